"""Interface from generic components to a device family."""

from collections.abc import Collection, Sequence

from amaranth import Module, Signal, Value
from amaranth.lib import io

from deeplock.hw.families.placement import DspSites
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.spec.config import Config

__all__ = ["Blocks"]


class Blocks:
    """The hard blocks of one device that synthesis does not infer. This base class, for generic RTL, has none.

    A family's file exports a subclass as FAMILY, which overrides the methods for its blocks. Methods add blocks to a module.
    One that returns False or None has added nothing, and the component uses generic RTL instead.

    devices     of the family, as named by Amaranth's platforms
    dsp_sites   where this device's DSP blocks are; None: the placer decides
    """

    devices: Collection[str] = ()
    dsp_sites: DspSites | None = None

    def __init__(self, device: str = ""):
        self.device = device

    def multiply_for(self, config: Config) -> bool:
        """Whether array and post-processor of that accelerator should ask for multipliers."""
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
        """2 ** len(address) words; members as in hw.feed.single_port_memory.SinglePortMemory."""
        return False

    def looked_up(self, m: Module, table: Sequence[int], address: Value) -> Value | None:
        """table[address], of 256 bytes, combinational."""
        return None

    def pll(self, m: Module, pin: io.PortLike, input_hz: int, output_hz: int, clock: Signal, locked: Signal) -> None:
        """Makes `clock` from the oscillator at `pin`; ValueError if no setting fits."""
        raise DeeplockError(f"no PLL is known of {self.device or 'a device without a name'}")

    def configuration_clock(self, m: Module, level: Signal) -> None:
        """Drives the configuration flash's clock on a device where it is not an ordinary pin."""
        raise DeeplockError(
            f"{self.device or 'a device without a name'} has no configuration clock: name the flash's clk pin"
        )
