"""Byte substitution in three styles that trade block RAM for LUTs."""

from collections.abc import Sequence

import numpy as np
from amaranth.hdl import Cat, Module, Value
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from deeplock.hw.families import blocks_of
from deeplock.hw.lock.composite_sbox import CompositeSbox
from deeplock.pymodel.lock.sbox import INV_SBOX, SBOX, check_bijection

__all__ = ["STYLES", "Sbox"]

STYLES = ("rom", "lut", "composite")


class Sbox(wiring.Component):
    """Substitutes `lanes` bytes side by side, all by the same S-box.

    Style `rom` is block RAM: one for two lanes if it has two ports (ECP5), else one a lane (iCE40). Style `lut` is a table in
    LUTs, built by the device family if it has a way of its own (`hw.families`). Both take any 8-bit bijection. Style
    `composite` computes inversion in GF((2^4)^2), in the fewest LUTs, for the AES S-box and its inverse only.

    Latency: 1 cycle for `rom`, 1 for each of the `cuts` of `composite`, else 0. Throughput: `lanes` bytes a cycle.

    Arguments
    ---------
    lanes : int
        Bytes a cycle.
    style : "rom" | "lut" | "composite"
    table : uint8 [256]
        The S-box, S[x] at x.
    cuts : some of "forms", "norm"
        Where style `composite`, eight LUTs deep, has registers (hw.lock.composite_sbox.CompositeSbox). Other styles ignore it.

    Members
    -------
    input : In(8 * lanes)
        Byte i in bits 8 * i and up.
    output : Out(8 * lanes)
        S[byte] of every byte, after `latency` cycles.
    en : In(1)
        If the latency is not 0: input is taken while it is high, output stays while it is low.
    clear : In(1)
        Registers of `composite` read 0 in the next cycle. Other styles ignore it.

    Attributes
    ----------
    latency : int
        Cycles.

    Raises
    ------
    ValueError
        For an unsupported style, number of lanes or table.
    """

    def __init__(self, lanes: int, style: str, table: np.ndarray = SBOX, cuts: Sequence[str] = ()):
        if lanes < 1:
            raise ValueError(f"lanes must be at least 1, not {lanes}")
        if style not in STYLES:
            raise ValueError(f"style must be {', '.join(STYLES[:-1])} or {STYLES[-1]}, not {style}")
        self._table = check_bijection(table)
        if style == "composite" and not self._is(SBOX) and not self._is(INV_SBOX):
            raise ValueError("style composite knows only the AES S-box and its inverse; use rom or lut")
        self._lanes = lanes
        self._style = style
        self._cuts = cuts
        self.latency = {"rom": 1, "lut": 0, "composite": len(cuts)}[style]
        super().__init__({"input": In(8 * lanes), "output": Out(8 * lanes), "en": In(1), "clear": In(1)})

    def _is(self, table: np.ndarray) -> bool:
        return bool((self._table == table).all())

    def elaborate(self, platform) -> Module:
        m = Module()
        entries = [int(entry) for entry in self._table]
        inputs = [self.input.word_select(lane, 8) for lane in range(self._lanes)]
        outputs: list[Value] = []
        if self._style == "rom":
            for pair in range(0, self._lanes, 2):
                memory = m.submodules[f"rom_{pair}"] = Memory(
                    shape=8, depth=256, init=entries, attrs={"rom_style": "block"}
                )
                for address in inputs[pair : pair + 2]:
                    port = memory.read_port()
                    m.d.comb += [port.addr.eq(address), port.en.eq(self.en)]
                    outputs.append(port.data)
        elif self._style == "lut":
            blocks = blocks_of(platform)
            for lane, address in enumerate(inputs):
                output = blocks.looked_up(m, entries, address)
                if output is None:
                    # a memory, because only its attribute keeps the table out of block RAM
                    memory = m.submodules[f"table_{lane}"] = Memory(
                        shape=8, depth=256, init=entries, attrs={"rom_style": "logic"}
                    )
                    port = memory.read_port(domain="comb")
                    m.d.comb += port.addr.eq(address)
                    output = port.data
                outputs.append(output)
        else:
            for lane, address in enumerate(inputs):
                direction = "inverse" if self._is(INV_SBOX) else "forward"
                sbox = m.submodules[f"lane_{lane}"] = CompositeSbox(direction, self._cuts)
                m.d.comb += sbox.input.eq(address)
                if self._cuts:
                    m.d.comb += [sbox.en.eq(self.en), sbox.clear.eq(self.clear)]
                outputs.append(sbox.output)
        m.d.comb += self.output.eq(Cat(outputs))
        return m
