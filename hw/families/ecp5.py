"""What synthesis does not infer on ECP5: DSP blocks with their own registers, tables in the LUTs of whole tiles.

Sources: Lattice FPGA-TN-02205 (sysDSP usage guide), FPGA-DS-02012 (ECP5 family data sheet, section 2.2).
"""

from collections.abc import Sequence

from amaranth import Cat, ClockSignal, Const, Instance, Module, Mux, Signal, Value

from deeplock.pymodel.spec.config import Config

__all__ = ["BLOCKS", "has_blocks_for", "is_ecp5", "looked_up", "multiplier"]

BLOCKS = {"LFE5U-25F": 28, "LFE5U-85F": 156}
"""DSP blocks of a device."""


def is_ecp5(platform) -> bool:
    """Whether the design is made for an ECP5; `platform` is Amaranth's or anything with its `device`."""
    return getattr(platform, "device", None) in BLOCKS


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


def looked_up(m: Module, table: Sequence[int], address: Value) -> Value:
    """table[address], of 256 bytes, combinational: 17 LUT4 a bit and two from input to output.

    Synthesis, which has to leave these multiplexers alone for the sake of all else, takes twice the LUTs, and more in a row.
    """
    bits = []
    for bit in range(8):
        column = [entry >> bit & 1 for entry in table]
        low, high = (_looked_up_7(m, half, address) for half in (column[:128], column[128:]))
        bits.append(Mux(address[7], high, low))
    return Cat(bits)
