"""The unlock as a custom instruction: inverse S-box and key schedule behind VexRiscv's custom function unit port."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from deeplock.hw.lock.key_schedule import KeySchedule
from deeplock.hw.lock.sbox import Sbox
from deeplock.pymodel.lock.sbox import INV_SBOX

__all__ = ["Cfu"]

_KEY_WORDS = 4


class Cfu(wiring.Component):
    """Two instructions, opcode custom-0: funct3 0 unlocks the next four bytes of the stream, funct3 1 shifts a key word in.

    The fourth key word (AES-128) starts the key stream at byte 0. Neither key nor key stream can be read back.

    Latency: the response is valid in the cycle after the command. Throughput: an instruction a cycle.

    Arguments
    ---------
    style : "lut" | "composite"
        Of the S-boxes; "rom" would give its output a cycle later.

    Members
    -------
    cmd_valid, cmd_ready, function_id, operand : the command; function_id is funct7 | funct3
    rsp_valid, rsp_ready, result : the response
    """

    def __init__(self, style: str = "composite"):
        if style not in ("lut", "composite"):
            raise ValueError(f"style must be lut or composite, not {style}")
        self._inverse = Sbox(4, style, INV_SBOX)
        self._schedule = KeySchedule(4, style, (4 * _KEY_WORDS,))
        super().__init__(
            {
                "cmd_valid": In(1),
                "cmd_ready": Out(1),
                "function_id": In(10),
                "operand": In(32),
                "rsp_valid": Out(1),
                "rsp_ready": In(1),
                "result": Out(32),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.inverse = inverse = self._inverse
        m.submodules.schedule = schedule = self._schedule

        taken = Signal()
        is_key = self.function_id[0]
        words = Signal(32 * (_KEY_WORDS - 1))
        count = Signal(range(_KEY_WORDS))
        m.d.comb += [
            self.cmd_ready.eq((is_key | schedule.output.valid) & (~self.rsp_valid | self.rsp_ready)),
            taken.eq(self.cmd_valid & self.cmd_ready),
            inverse.input.eq(self.operand),
            schedule.key.eq(Cat(words, self.operand)),
            schedule.start.eq(taken & is_key & (count == _KEY_WORDS - 1)),
            schedule.output.ready.eq(taken & ~is_key),
        ]
        with m.If(taken & is_key):
            m.d.sync += [words.eq(schedule.key[32:]), count.eq(count + 1)]
        with m.If(self.rsp_ready):
            m.d.sync += self.rsp_valid.eq(0)
        with m.If(taken):
            m.d.sync += self.rsp_valid.eq(1)
            m.d.sync += self.result.eq(inverse.output ^ schedule.output.payload)
        return m
