"""The RTL as a device that attacks and tests run on."""

from collections.abc import Sequence
from typing import Self

from deeplock.pymodel.progress import Progress, quiet
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.device import Device, Outcome
from deeplock.pymodel.spec.registers import Command, Error, Status
from deeplock.sim.build import TOP, build
from deeplock.sim.native import WATCHDOG, Native
from deeplock.sim.results import WatchdogError

__all__ = ["RtlDevice"]


class RtlDevice(Device):
    """The accelerator under the native simulator, powered up once. Use it as a context manager.

    watchdog  cycles without a beat on any stream after which a run counts as one that hangs
    """

    def __init__(self, config: Config, watchdog: int = WATCHDOG, progress: Progress = quiet) -> None:
        self.config = config
        self._watchdog = watchdog
        self._native = Native(build(config, "native", progress=progress) / TOP)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised) -> None:
        self._native.__exit__(*raised)

    def write(self, name: str, value: int) -> bool:
        return self._native.write(name, value)

    def status(self) -> int:
        return self._native.read("STATUS")

    def run(self, head: bytes, sections: Sequence[bytes], ifmaps: Sequence[bytes]) -> Outcome:
        device = self._native
        hangs = False
        device.write("CONTROL", Command.LOAD)
        device.send_loadable(head + sections[0])
        try:
            status = device.poll(Status.LOADED, Status.LOADED, "the program", True, self._watchdog)
            if not status >> 8:
                device.write("COUNT", len(sections))
                for packet in ifmaps:
                    device.send_ifmap(packet)
                for section in sections[1:]:
                    device.send_loadable(section)
                device.write("CONTROL", Command.START)
                status = device.poll(Status.DONE, Status.DONE, "DONE", True, self._watchdog)
        except WatchdogError:
            hangs = True
            device.write("CONTROL", Command.ABORT)
        device.drop()
        status = device.poll(Status.BUSY | Status.FLUSHING, 0, "an idle device", False, self._watchdog)
        if not hangs and not status >> 8:
            device.await_ofmaps(len(sections), self._watchdog)
        *ofmaps, rest = device.take_ofmaps()
        return Outcome(Error(status >> 8), hangs, tuple(ofmaps), rest)
