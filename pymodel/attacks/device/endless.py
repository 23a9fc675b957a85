"""Endless: programs that hold the device for ever, or let an ofmap leave that has no end.

A header whose windows take 2^45 steps keeps the unfolder busy, and the device says BUSY until someone aborts. A last layer
with a wrong number of channels lets all its results leave without TLAST, and the device says DONE. Before the mend, that is:
both break rules that the device checks now (spec/rules.py).
"""

from dataclasses import dataclass, replace

from deeplock.pymodel.attacks.attack import Result
from deeplock.pymodel.attacks.device.target import BEATS, DeviceTarget
from deeplock.pymodel.progress import Progress, quiet
from deeplock.pymodel.spec.device import Device
from deeplock.pymodel.spec.header import Header

__all__ = ["BUDGET", "ENDLESS", "NEEDS", "Budget", "run"]

NEEDS = "a device with a key, any, and its locked loadable"

ENDLESS = "runs without an end"
"""Metric: runs that only ABORT or a reset ends."""


@dataclass(frozen=True)
class Budget:
    """Nothing to choose."""


BUDGET = Budget()


def run(device: Device, target: DeviceTarget, budget: Budget, seed: int, progress: Progress = quiet) -> list[Result]:
    """Beats of an ofmap without an end, and runs without one, of as many as were tried."""
    locked, fields = target.locked, Header.layout.fields
    last = replace(locked.program[-1], last_columns=0)
    head = target.head(replace(locked, program=(*locked.program[:-1], last)).records)
    job = [locked.parameters], target.ifmaps(locked.batch, seed)
    outcome = device.run(head, *job)
    beats = replace(outcome, ofmaps=()).beats(target.config.lanes)
    target.provision(device)
    longest = {name: fields[name].range[1] for name in ("run_bytes", "runs", "windows_x", "windows_y")}
    endless = target.head(replace(locked, header=replace(locked.header, **longest)).records)
    hangs = device.run(endless, *job).hangs
    return [Result(BEATS, beats, 0), Result(ENDLESS, float(hangs), 1)]
