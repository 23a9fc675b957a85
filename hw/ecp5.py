"""The DSP block of ECP5 with its own registers, which synthesis does not infer: MULT18X18D.

Source: Lattice FPGA-TN-02205 (sysDSP usage guide).
"""

from amaranth import Cat, ClockSignal, Const, Instance, Value

from pymodel.config import Config

__all__ = ["BLOCKS", "has_blocks_for", "multiplier"]

BLOCKS = {"LFE5U-25F": 28, "LFE5U-85F": 156}
"""DSP blocks of a device."""


def has_blocks_for(platform, config: Config) -> bool:
    """Whether the design is made for an ECP5 with a DSP block for each multiplication of that accelerator; `platform` is
    Amaranth's or anything with its `device`."""
    requantise = 2 * config.lanes if config.multiplier_cycles == 1 else 0
    return config.rows * config.cols + requantise <= BLOCKS.get(getattr(platform, "device", None), 0)


def multiplier(a: Value, b: Value, take_b: Value, product: Value) -> Instance:
    """A signed product of up to 18x18 bits: product = A * B a cycle later; A, B and `product` are registers of the block.

    A takes a every cycle, B takes b with `take_b`.
    """
    ports: dict[str, object] = {}
    for name, operand in (("A", a), ("B", b)):
        # in the upper bits of 18: so their signs need no wires
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
