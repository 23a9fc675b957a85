"""The hard blocks of iCE40 UltraPlus that synthesis does not infer: SB_MAC16 and SB_SPRAM256KA.

Source: Lattice FPGA-TN-02007 (DSP function usage guide), FPGA-TN-02022 (SPRAM usage guide).
"""

from amaranth import ClockSignal, Const, Instance, Signal

__all__ = ["SPRAM_WORDS", "dual_multiplier", "has_hard_blocks", "spram"]

SPRAM_WORDS = 1 << 14
"""16-bit words of one SB_SPRAM256KA."""


def has_hard_blocks(platform) -> bool:
    """Whether the design is made for an iCE40 UltraPlus 5K; `platform` is Amaranth's or anything with its `device`."""
    return getattr(platform, "device", None) == "iCE40UP5K"


def dual_multiplier(a: Signal, b: Signal, hold_b: Signal, product: Signal) -> Instance:
    """Two signed 8x8 products: product[16 * i:][:16] = A[i] * B[i], A and B registers, `product` straight from them.

    a, b      16 bits, two int8 each; A takes a every cycle, B takes b unless `hold_b`
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


def spram(
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
