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

    watchdog      cycles without a beat on any stream after which a run counts as one that hangs
    pauses, seed  as in sim.native.Native
    """

    def __init__(
        self,
        config: Config,
        watchdog: int = WATCHDOG,
        progress: Progress = quiet,
        pauses: float = 0.0,
        seed: int = 0,
    ) -> None:
        self.config = config
        self._watchdog = watchdog
        self._native = Native(build(config, "native", progress=progress) / TOP, pauses, seed)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised) -> None:
        self._native.__exit__(*raised)

    def write(self, name: str, value: int) -> bool:
        return self._native.write(name, value)

    def status(self) -> int:
        return self._native.read("STATUS")

    def later(self, cycles: int) -> bytes:
        """Ofmap bytes that leave in so many cycles more."""
        self._native.await_ofmaps(1 << 32, cycles)
        return b"".join(self._native.take_ofmaps())

    def run(
        self, head: bytes, sections: Sequence[bytes], ifmaps: Sequence[bytes], abort_after: int | None = None
    ) -> Outcome:
        """As Device.run; `abort_after` so many cycles from START comes an ABORT."""
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
                if abort_after is not None:
                    device.await_ofmaps(1 << 32, abort_after)
                    device.write("CONTROL", Command.ABORT)
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
