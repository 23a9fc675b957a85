"""What synthesis does not infer on ECP5: DSP blocks with their own registers, tables in the LUTs of whole tiles; and its PLL.

Sources: Lattice FPGA-TN-02205 (sysDSP usage guide), FPGA-TN-02200 (sysCLOCK PLL usage guide), FPGA-DS-02012 (ECP5 family data
sheet, section 2.2).
"""

from collections.abc import Sequence
from dataclasses import dataclass

from amaranth import Cat, ClockSignal, Const, Instance, Module, Mux, Signal, Value
from amaranth.lib import io

from deeplock.hw.families.blocks import Blocks
from deeplock.hw.families.placement import DspSites
from deeplock.pymodel.spec.config import Config

__all__ = ["DSP_BLOCKS", "FAMILY", "pll_dividers"]

DSP_BLOCKS = {"LFE5U-25F": 28, "LFE5U-85F": 156}
"""Number of MULT18X18D in each device."""

_SITES = {
    "LFE5U-85F": DspSites(
        (*range(4, 59, 9), *range(69, 115, 9)),
        (58, 34, 10),
        ((0, 0), (1, 1), (4, 4), (5, 5)),
        "X{x}/Y{y}/MULT18_{number}",
    )
}
"""Sites of MULT18X18D, with nextpnr's names."""


@dataclass(frozen=True)
class Pll:
    """Dividers of EHXPLLL with feedback from CLKOP: output = clock / clki * clkfb, VCO = output * clkop."""

    clki: int
    clkfb: int
    clkop: int


def pll_dividers(input_hz: int, output_hz: int) -> Pll:
    """The dividers (FPGA-TN-02200: phase detector 3.125..400 MHz, VCO 400..800 MHz); ValueError if there are none."""
    for clki in range(1, 9):
        detector = input_hz / clki
        clkfb, rest = divmod(output_hz, detector)
        if detector < 3.125e6 or rest or not 1 <= clkfb <= 80:
            continue
        for clkop in range(1, 129):
            if 400e6 <= output_hz * clkop <= 800e6:
                return Pll(clki, int(clkfb), clkop)
    raise ValueError(f"no PLL setting makes {output_hz} Hz of {input_hz} Hz")


def _multiplier(a: Value, b: Value, take_b: Value, product: Value) -> Instance:
    """A signed product of up to 18x18 bits: product = A * B a cycle later; A, B and `product` are registers of the block.

    A takes `a` in every cycle, B takes `b` with `take_b`.
    """
    ports: dict[str, object] = {}
    for name, operand in (("A", a), ("B", b)):
        # in the upper of 18 bits, so that sign extension needs no wires
        padded = Cat(Const(0, 18 - len(operand)), operand)
        ports |= {f"i_{name}{bit}": padded[bit] for bit in range(18)}
    ports |= {f"o_P{36 - len(product) + bit}": product[bit] for bit in range(len(product))}
    for register, enable in (("INPUTA", "CE0"), ("INPUTB", "CE1"), ("OUTPUT", "CE0")):
        ports |= {f"p_REG_{register}_CLK": "CLK0", f"p_REG_{register}_CE": enable, f"p_REG_{register}_RST": "RST0"}
    return Instance(
        "MULT18X18D",
        p_GSR="DISABLED",
        p_RESETMODE="SYNC",
        i_CLK0=ClockSignal("sync"),
        i_CE0=Const(1, 1),
        i_CE1=take_b,
        i_RST0=Const(0, 1),
        i_SIGNEDA=Const(1, 1),
        i_SIGNEDB=Const(1, 1),
        **ports,
    )


def _looked_up_7(m: Module, bits: Sequence[int], address: Value) -> Value:
    """bits[address], of 128 bits: the eight LUTs of a tile and the multiplexers between them."""
    level = [Signal(name="looked_up") for _ in range(8)]
    for i, output in enumerate(level):
        init = sum(bit << place for place, bit in enumerate(bits[16 * i : 16 * i + 16]))
        inputs = {f"i_{name}": address[bit] for bit, name in enumerate("ABCD")}
        m.submodules += Instance("LUT4", p_INIT=Const(init, 16), **inputs, o_Z=output)
    for bit in (4, 5, 6):
        pairs, level = [*zip(level[::2], level[1::2], strict=True)], []
        for low, high in pairs:
            level.append(output := Signal(name="looked_up"))
            m.submodules += (
                Instance("PFUMX", i_ALUT=high, i_BLUT=low, i_C0=address[bit], o_Z=output)
                if bit == 4
                else Instance("L6MUX21", i_D0=low, i_D1=high, i_SD=address[bit], o_Z=output)
            )
    return level[0]


class Ecp5(Blocks):
    """MULT18X18D, if the device has one for each multiplication of the accelerator; tables in LUTs, EHXPLLL and USRMCLK."""

    devices = DSP_BLOCKS

    def __init__(self, device: str):
        super().__init__(device)
        self.dsp_sites = _SITES.get(device)

    def multiply_for(self, config: Config) -> bool:
        requantise = (2 + config.products) * config.lanes if config.multiplier_cycles == 1 else 0
        return config.rows * config.cols + requantise <= DSP_BLOCKS[self.device]

    def multiplier(self, m: Module, a: Value, b: Value, product: Value) -> bool:
        m.submodules.block = _multiplier(a, b, Const(1, 1), product)
        return True

    def dual_multiplier(self, m: Module, activation: Value, weights: Sequence[Value], take: Value, products) -> bool:
        for i in range(2):
            m.submodules[f"block_{i}"] = _multiplier(activation, weights[i], take, products[i])
        return True

    def looked_up(self, m: Module, table: Sequence[int], address: Value) -> Value:
        """17 LUT4 a bit, two in series. Synthesis takes twice as many, and more in series: for the sake of the rest of the
        design it runs without these multiplexers."""
        bits = []
        for bit in range(8):
            column = [entry >> bit & 1 for entry in table]
            low, high = (_looked_up_7(m, half, address) for half in (column[:128], column[128:]))
            bits.append(Mux(address[7], high, low))
        return Cat(bits)

    def pll(self, m: Module, pin: io.PortLike, input_hz: int, output_hz: int, clock: Signal, locked: Signal) -> None:
        m.submodules.pin = buffer = io.Buffer("i", pin)
        dividers = pll_dividers(input_hz, output_hz)
        m.submodules.pll = Instance(
            "EHXPLLL",
            p_CLKI_DIV=dividers.clki,
            p_CLKFB_DIV=dividers.clkfb,
            p_CLKOP_DIV=dividers.clkop,
            p_CLKOP_ENABLE="ENABLED",
            p_CLKOP_CPHASE=dividers.clkop - 1,
            p_FEEDBK_PATH="CLKOP",
            i_CLKI=buffer.i,
            i_CLKFB=clock,
            i_RST=Const(0),
            i_STDBY=Const(0),
            i_PHASESEL0=Const(0),
            i_PHASESEL1=Const(0),
            i_PHASEDIR=Const(0),
            i_PHASESTEP=Const(0),
            i_PHASELOADREG=Const(0),
            i_PLLWAKESYNC=Const(0),
            i_ENCLKOP=Const(0),
            o_CLKOP=clock,
            o_LOCK=locked,
        )

    def configuration_clock(self, m: Module, level: Signal) -> None:
        # kept: it drives no net, so Yosys would remove it
        m.submodules.sck = Instance("USRMCLK", a_keep=1, i_USRMCLKI=level, i_USRMCLKTS=Const(0))


FAMILY = Ecp5
