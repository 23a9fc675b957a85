"""What the generic components ask a device family for."""

from collections.abc import Collection, Sequence

from amaranth import Module, Signal, Value
from amaranth.lib import io

from deeplock.hw.families.placement import DspSites
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.spec.config import Config

__all__ = ["Blocks"]


class Blocks:
    """The hard blocks of one device that synthesis does not infer. These are of no device: there are none.

    A family is a subclass, FAMILY of its file, that overrides what it has. Methods add blocks to a module. One that gives False
    or None has added nothing, and the component does the same in generic RTL.

    devices     of the family, as Amaranth's platforms call them
    dsp_sites   where the DSP blocks of this device lie; None: the placer decides
    """

    devices: Collection[str] = ()
    dsp_sites: DspSites | None = None

    def __init__(self, device: str = ""):
        self.device = device

    def multiply_for(self, config: Config) -> bool:
        """Whether array and post-processor of that accelerator are to ask for multipliers."""
        return False

    def multiplier(self, m: Module, a: Value, b: Value, product: Value) -> bool:
        """product = a * b, signed, of up to 18x18 bits, two cycles later."""
        return False

    def dual_multiplier(self, m: Module, activation: Value, weights: Sequence[Value], take: Value, products) -> bool:
        """products[i] = activation * weights[i], int8, two cycles later; weights are taken with `take`."""
        return False

    def single_port_memory(
        self, m: Module, address: Value, read: Value, write: Value, data: Value, word: Value
    ) -> bool:
        """2 ** len(address) words; members as of hw.feed.single_port_memory.SinglePortMemory."""
        return False

    def looked_up(self, m: Module, table: Sequence[int], address: Value) -> Value | None:
        """table[address], of 256 bytes, combinational."""
        return None

    def pll(self, m: Module, pin: io.PortLike, input_hz: int, output_hz: int, clock: Signal, locked: Signal) -> None:
        """Makes `clock` of the oscillator at `pin`; ValueError where no setting does."""
        raise DeeplockError(f"no PLL is known of {self.device or 'a device without a name'}")

    def configuration_clock(self, m: Module, level: Signal) -> None:
        """Drives the clock of the flash that the device configures itself from, where that is no pin."""
        raise DeeplockError(
            f"{self.device or 'a device without a name'} has no configuration clock: name the flash's clk pin"
        )
