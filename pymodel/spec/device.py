"""The accelerator as whoever holds it meets it: registers to write, streams to fill, ofmaps that come back.

Unlike a driver, it takes any bytes. Attacks and tests run on it, whether it is the golden model or the RTL.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.registers import Command, Error, Status, key_writes

__all__ = ["Device", "Outcome"]


@dataclass(frozen=True)
class Outcome:
    """What came of one LOAD and START.

    error    Error.NONE if all inferences ended
    hangs    it came to no end; it was then aborted
    ofmaps   the complete packets
    rest     the beginning of a packet that has no end
    """

    error: Error
    hangs: bool = False
    ofmaps: tuple[bytes, ...] = ()
    rest: bytes = b""

    def beats(self, lanes: int) -> int:
        """Ofmap beats of `lanes` bytes that left the device, as few as these bytes take."""
        return sum(-(-len(packet) // lanes) for packet in (*self.ofmaps, self.rest))


class Device(ABC):
    """An accelerator. Its memories live on from one run to the next, as the chip's do."""

    config: Config

    @abstractmethod
    def write(self, name: str, value: int) -> bool:
        """Write a register; False if the device refuses."""

    @abstractmethod
    def status(self) -> int:
        """Register STATUS."""

    @property
    def keyed(self) -> bool:
        """Whether a whole key is in place."""
        return bool(self.status() & Status.KEYED)

    @abstractmethod
    def run(self, head: bytes, sections: Sequence[bytes], ifmaps: Sequence[bytes]) -> Outcome:
        """LOAD header and program, then START an inference for each parameter section.

        head      header and program, any bytes
        sections  locked parameters of each inference; the first one is the rest of the packet that begins with `head`
        ifmaps    packets of the ifmap stream
        """

    def load_key(self, key: bytes) -> None:
        """Put a key into the key register, as its owner does; b"" is none."""
        for name, value in key_writes(key):
            self.write(name, value)

    def zeroise(self) -> None:
        """Clear the key register."""
        self.write("CONTROL", Command.ZEROISE)
