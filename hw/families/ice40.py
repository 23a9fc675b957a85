"""What synthesis does not infer on iCE40: SB_MAC16 and SB_SPRAM256KA of UltraPlus, and the PLL.

Sources: Lattice FPGA-TN-02007 (DSP function usage guide), FPGA-TN-02022 (SPRAM usage guide), FPGA-TN-02052 (sysCLOCK PLL design
and usage guide).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from amaranth import Cat, ClockSignal, Const, Instance, Module, Signal, Value
from amaranth.lib import io

from deeplock.hw.families.blocks import Blocks
from deeplock.pymodel.spec.config import Config

__all__ = ["FAMILY", "pll_dividers"]

_ULTRA_PLUS = "iCE40UP5K"
_SPRAM_ADDRESS_BITS = 14
"""Of one SB_SPRAM256KA, which has words of 16 bits."""


@dataclass(frozen=True)
class Pll:
    """Dividers of SB_PLL40 with simple feedback: output = clock * (divf + 1) / (divr + 1) / 2**divq."""

    divr: int
    divf: int
    divq: int
    filter_range: int


def pll_dividers(input_hz: int, output_hz: int) -> Pll:
    """The dividers (FPGA-TN-02052: phase detector 10..133 MHz, VCO 533..1066 MHz); ValueError if there are none."""
    for divr in range(16):
        detector = input_hz / (divr + 1)
        if not 10e6 <= detector <= 133e6:
            continue
        for divq in range(1, 7):
            divf, rest = divmod(output_hz << divq, detector)
            if rest == 0 and 1 <= divf <= 128 and 533e6 <= output_hz << divq <= 1066e6:
                limits = (17e6, 26e6, 44e6, 66e6, 101e6)
                return Pll(divr, int(divf) - 1, divq, 1 + sum(detector >= limit for limit in limits))
    raise ValueError(f"no PLL setting makes {output_hz} Hz of {input_hz} Hz")


def _dual_multiplier(a: Signal, b: Signal, hold_b: Signal, product: Signal) -> Instance:
    """Two signed 8x8 products: product[16 * i:][:16] = A[i] * B[i] a cycle later; all three are registers of the block.

    a, b      16 bits, two int8 each; A takes `a` in every cycle, B takes `b` unless `hold_b`
    product   32 bits
    """
    return Instance(
        "SB_MAC16",
        p_NEG_TRIGGER=Const(0, 1),
        p_MODE_8x8=Const(1, 1),
        p_A_SIGNED=Const(1, 1),
        p_B_SIGNED=Const(1, 1),
        p_A_REG=Const(1, 1),
        p_B_REG=Const(1, 1),
        p_TOP_8x8_MULT_REG=Const(1, 1),
        p_BOT_8x8_MULT_REG=Const(1, 1),
        p_TOPOUTPUT_SELECT=Const(2, 2),  # the 8x8 product itself
        p_BOTOUTPUT_SELECT=Const(2, 2),
        i_CLK=ClockSignal("sync"),
        i_CE=Const(1, 1),
        i_A=a,
        i_B=b,
        i_C=Const(0, 16),
        i_D=Const(0, 16),
        i_AHOLD=Const(0, 1),
        i_BHOLD=hold_b,
        i_CHOLD=Const(0, 1),
        i_DHOLD=Const(0, 1),
        i_IRSTTOP=Const(0, 1),
        i_IRSTBOT=Const(0, 1),
        i_ORSTTOP=Const(0, 1),
        i_ORSTBOT=Const(0, 1),
        i_OLOADTOP=Const(0, 1),
        i_OLOADBOT=Const(0, 1),
        i_OHOLDTOP=Const(0, 1),
        i_OHOLDBOT=Const(0, 1),
        i_ADDSUBTOP=Const(0, 1),
        i_ADDSUBBOT=Const(0, 1),
        i_CI=Const(0, 1),
        i_ACCUMCI=Const(0, 1),
        i_SIGNEXTIN=Const(0, 1),
        o_O=product,
    )


def _spram(
    address: Signal, enable: Signal, write: Signal, nibbles: Signal, data_in: Signal, data_out: Signal
) -> Instance:
    """16384 words of 16 bits behind one port; a read shows its word from the next cycle until the next access.

    address, data_in, data_out   14, 16 and 16 bits
    nibbles   4 bits: the parts of the word that a write changes
    """
    return Instance(
        "SB_SPRAM256KA",
        i_ADDRESS=address,
        i_DATAIN=data_in,
        i_MASKWREN=nibbles,
        i_WREN=write,
        i_CHIPSELECT=enable,
        i_CLOCK=ClockSignal("sync"),
        i_STANDBY=Const(0, 1),
        i_SLEEP=Const(0, 1),
        i_POWEROFF=Const(1, 1),  # active low
        o_DATAOUT=data_out,
    )


class Ice40(Blocks):
    """SB_MAC16 and SB_SPRAM256KA on UltraPlus, SB_PLL40_PAD on all devices."""

    devices = (_ULTRA_PLUS, "iCE40HX8K")

    def multiply_for(self, config: Config) -> bool:
        return self.device == _ULTRA_PLUS

    def dual_multiplier(self, m: Module, activation: Value, weights: Sequence[Value], take: Value, products) -> bool:
        m.submodules.mac16 = _dual_multiplier(
            Cat(activation, activation), Value.cast(weights), ~take, Value.cast(products)
        )
        return True

    def single_port_memory(
        self, m: Module, address: Value, read: Value, write: Value, data: Value, word: Value
    ) -> bool:
        """One SPRAM for each 16-bit column of the word."""
        if self.device != _ULTRA_PLUS or len(address) > _SPRAM_ADDRESS_BITS:
            return False
        width = len(word)
        nibbles = Cat(bit.replicate(width // len(write) // 4) for bit in write)
        for column in range(0, width, 16):
            data_in, data_out, mask = Signal(16), Signal(16), Signal(4)
            m.d.comb += [
                data_in.eq(data[column : column + 16]),
                mask.eq(nibbles[column // 4 : column // 4 + 4]),
                word[column : column + 16].eq(data_out),
            ]
            padded = Signal(_SPRAM_ADDRESS_BITS)
            m.d.comb += padded.eq(address)
            m.submodules[f"spram_{column // 16}"] = _spram(
                padded, read | write.any(), write.any(), mask, data_in, data_out
            )
        return True

    def pll(self, m: Module, pin: io.PortLike, input_hz: int, output_hz: int, clock: Signal, locked: Signal) -> None:
        dividers = pll_dividers(input_hz, output_hz)
        m.submodules.pll = Instance(
            "SB_PLL40_PAD",
            p_FEEDBACK_PATH="SIMPLE",
            p_DIVR=Const(dividers.divr, 4),
            p_DIVF=Const(dividers.divf, 7),
            p_DIVQ=Const(dividers.divq, 3),
            p_FILTER_RANGE=Const(dividers.filter_range, 3),
            i_PACKAGEPIN=pin.io,
            i_RESETB=Const(1),
            i_BYPASS=Const(0),
            o_PLLOUTGLOBAL=clock,
            o_LOCK=locked,
        )


FAMILY = Ice40
