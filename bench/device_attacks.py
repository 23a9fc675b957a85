"""`deeplock attack device`: the attacks by the holder of a device, on the golden device and on the RTL."""

from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

from deeplock.bench.attacks import read_results, write_results
from deeplock.pymodel.attacks.device.catalogue import ATTACKS
from deeplock.pymodel.attacks.device.target import make_target
from deeplock.pymodel.compiler.golden_device import GoldenDevice
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.lock.suites import suite
from deeplock.pymodel.progress import Progress, quiet, within
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.zoo import trained
from deeplock.sim.device import RtlDevice

__all__ = ["TARGETS", "DeviceLaboratory", "run_on_devices"]

TARGETS = ("golden", "rtl")

_SETTINGS = ("scheme", "attack", "network", "target", "rtl", "seeds")
"""`rtl`, in rows that are kept to compare with, says of which RTL they are; today's rows have none."""


@dataclass(frozen=True)
class DeviceLaboratory:
    """What is attacked, and how; every combination is. The device is the default accelerator, 8x8."""

    attacks: tuple[str, ...] = tuple(ATTACKS)
    suite: str = "deep-lock"
    networks: tuple[str, ...] = ("digits",)
    targets: tuple[str, ...] = ("golden",)
    seeds: tuple[int, ...] = (0,)

    def check(self) -> None:
        """Raise DeeplockError for an unknown name, or a suite that does not lock."""
        for what, given, known in (
            ("attack", self.attacks, ATTACKS),
            ("network", self.networks, trained.NAMES),
            ("target", self.targets, TARGETS),
        ):
            for name in given:
                if name not in known:
                    raise DeeplockError(f"{what} must be one of {', '.join(known)}, not {name}")
        if not suite(self.suite).locks:
            raise DeeplockError(f"suite {self.suite} locks nothing that could be attacked")


def _settings(row: dict[str, Any]) -> tuple[str, ...]:
    return tuple(str(row.get(name)) for name in _SETTINGS)


def _attack(asked: DeviceLaboratory, attack: str, network: str, target: str, seed: int, progress: Progress):
    """The rows of one attack, on a device that was just switched on and given its key by the owner."""
    config = Config(suite=asked.suite)
    module = ATTACKS[attack]
    about = make_target(trained.load(network), config, seed)
    with ExitStack() as stack:
        device = (
            GoldenDevice(config) if target == "golden" else stack.enter_context(RtlDevice(config, progress=progress))
        )
        about.provision(device)
        results = module.run(device, about, module.BUDGET, seed, progress)
    common = {"scheme": asked.suite, "attack": attack, "network": network, "budget": asdict(module.BUDGET)}
    for result in results:
        figures = {"value": result.value, "yardstick": result.yardstick, "inferences": result.inferences}
        yield common | {"metric": result.metric} | figures | {"target": target, "seeds": [seed]}


def run_on_devices(
    asked: DeviceLaboratory, path: Path | None = None, fresh: bool = False, progress: Progress = quiet
) -> list[dict[str, Any]]:
    """Run the attacks and return their rows.

    path   result file (security.json), rewritten after each attack; what it holds already is not run again unless `fresh`
    """
    asked.check()
    results = read_results(path)
    shown: list[dict[str, Any]] = []
    jobs = list(product(asked.networks, asked.attacks, asked.targets, asked.seeds))
    for number, (network, attack, target, seed) in enumerate(jobs):
        name = f"{attack} on {network}, {target}"
        wanted = {"scheme": asked.suite, "attack": attack, "network": network, "target": target}
        wanted_settings = _settings(wanted | {"seeds": [seed]})
        there = [row for row in results["rows"] if _settings(row) == wanted_settings]
        if fresh or not there:
            progress(name, number, len(jobs))
            results["rows"] = [row for row in results["rows"] if _settings(row) != wanted_settings]
            there = list(_attack(asked, attack, network, target, seed, within(progress, name)))
            results["rows"] += there
            write_results(path, results)
        shown += there
    return shown
