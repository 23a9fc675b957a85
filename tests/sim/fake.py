"""A stand-in for the accelerator: the same ports and the same protocol, but it only checks lengths and echoes.

Head: two beats of 8 bytes, four 32-bit numbers: beats of the head, of the parameters and of the ifmap, bytes of the
last ifmap beat. An inference consumes the parameters, then gives ifmap XOR (XOR of all parameter beats) XOR key[0:8].
"""

from dataclasses import dataclass

import numpy as np
from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from deeplock.hw.basics.axi import AxiLite, AxiStream
from deeplock.hw.control.registers import ADDRESS_BITS, RegisterFile
from deeplock.pymodel.lock.suites import suite
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.registers import COUNTERS, Command, Error

__all__ = ["FakeAccelerator", "FakeLoadable"]

BEAT = 8


@dataclass(frozen=True)
class FakeLoadable:
    """A loadable of `beats` parameter beats for ifmaps of `shape`."""

    shape: tuple[int, int, int]
    parameters: bytes
    batch = 1

    @property
    def head(self) -> bytes:
        size = int(np.prod(self.shape))
        beats = -(-size // BEAT)
        numbers = (2, len(self.parameters) // BEAT, beats, size - (beats - 1) * BEAT)
        return np.array(numbers, "<u4").tobytes()

    def pack_ifmap(self, ifmap: np.ndarray) -> bytes:
        return ifmap.tobytes()

    def unpack_ofmaps(self, data: bytes) -> np.ndarray:
        return np.frombuffer(data, np.int8).reshape(1, *self.shape)

    def expected(self, ifmap: np.ndarray, key: bytes) -> np.ndarray:
        """The ofmap of `ifmap`, by NumPy."""
        mask = np.bitwise_xor.reduce(np.frombuffer(self.parameters, np.uint8).reshape(-1, BEAT), axis=0)
        mask = mask ^ np.frombuffer(key[:BEAT].ljust(BEAT, b"\0"), np.uint8)
        flat = ifmap.view(np.uint8).reshape(-1)
        return (flat ^ np.resize(mask, flat.size)).view(np.int8).reshape(self.shape)


class FakeAccelerator(wiring.Component):
    def __init__(self, config: Config) -> None:
        assert config.rows == config.lanes == config.bytes_per_beat == BEAT
        self.config = config
        super().__init__(
            {
                "s_axil": In(AxiLite(ADDRESS_BITS)),
                "s_axis_loadable": In(AxiStream(BEAT)),
                "s_axis_ifmap": In(AxiStream(BEAT)),
                "m_axis_ofmap": Out(AxiStream(BEAT, keep=True)),
                "irq": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.registers = registers = RegisterFile(self.config)
        connect(m, flipped(self.s_axil), registers.s_axil)
        m.d.comb += self.irq.eq(registers.irq)

        loadable_beat = self.s_axis_loadable.tvalid & self.s_axis_loadable.tready
        ifmap_beat = self.s_axis_ifmap.tvalid & self.s_axis_ifmap.tready
        ofmap_beat = self.m_axis_ofmap.tvalid & self.m_axis_ofmap.tready
        count, left = Signal(16), Signal(32)
        parameter_beats, ifmap_beats, last_bytes = Signal(32), Signal(32), Signal(32)
        mask = Signal(64)
        loaded, done, error = Signal(), Signal(), Signal(8)
        in_loadable, in_ifmap = Signal(), Signal()
        busy, flushing = Signal(), Signal()
        m.d.comb += registers.control.status.eq(
            busy | loaded << 1 | registers.control.keyed << 2 | done << 3 | flushing << 4 | error << 8
        )
        with m.If(loadable_beat):
            m.d.sync += in_loadable.eq(~self.s_axis_loadable.tlast)
        with m.If(ifmap_beat):
            m.d.sync += in_ifmap.eq(~self.s_axis_ifmap.tlast)

        def stop(code: Error):
            m.d.comb += registers.control.zeroise.eq(1)
            m.d.sync += error.eq(code)
            m.next = "flush"

        def stop_on_abort():
            with m.If((registers.control.command & Command.ABORT).any()):
                stop(Error.ABORTED)

        with m.FSM() as fsm:
            m.d.comb += [busy.eq(~fsm.ongoing("idle") & ~fsm.ongoing("flush")), flushing.eq(fsm.ongoing("flush"))]
            runs = fsm.ongoing("start") | fsm.ongoing("parameters") | fsm.ongoing("echo")
            m.d.comb += registers.counters.events.eq(runs << [name for name, _ in COUNTERS].index("CYCLES"))
            with m.State("idle"):
                with m.If(registers.control.bad_key_size):
                    stop(Error.BAD_KEY_SIZE)
                stop_on_abort()
                with m.If((registers.control.command & Command.LOAD).any()):
                    m.d.sync += [loaded.eq(0), done.eq(0), error.eq(0)]
                    m.next = "head"
                with m.If((registers.control.command & Command.START).any()):
                    m.d.comb += registers.counters.restart.eq(1)
                    m.d.sync += [done.eq(0), error.eq(0), count.eq(registers.control.count)]
                    m.next = "start"
                    with m.If(~registers.control.keyed & suite(self.config.suite).locks):
                        stop(Error.NO_KEY)
                    with m.If(~loaded):
                        stop(Error.NO_PROGRAM)
            with m.State("flush"):
                m.d.comb += [self.s_axis_loadable.tready.eq(in_loadable), self.s_axis_ifmap.tready.eq(in_ifmap)]
                with m.If(~in_loadable & ~in_ifmap):
                    m.next = "idle"
            with m.State("head"):
                m.d.comb += self.s_axis_loadable.tready.eq(1)
                with m.If(loadable_beat):
                    m.d.sync += parameter_beats.eq(self.s_axis_loadable.tdata[32:])
                    m.next = "head2"
                    with m.If(self.s_axis_loadable.tdata[:32] != 2):
                        stop(Error.BAD_MAGIC)
                stop_on_abort()
            with m.State("head2"):
                m.d.comb += self.s_axis_loadable.tready.eq(1)
                with m.If(loadable_beat):
                    m.d.sync += [ifmap_beats.eq(self.s_axis_loadable.tdata[:32]), loaded.eq(1)]
                    m.d.sync += last_bytes.eq(self.s_axis_loadable.tdata[32:])
                    m.next = "idle"
                stop_on_abort()
            with m.State("start"):
                m.d.sync += [left.eq(parameter_beats - 1), mask.eq(registers.key.value[:64])]
                m.next = "parameters"
                stop_on_abort()
            with m.State("parameters"):
                m.d.comb += self.s_axis_loadable.tready.eq(1)
                with m.If(loadable_beat):
                    m.d.sync += [mask.eq(mask ^ self.s_axis_loadable.tdata), left.eq(left - 1)]
                    with m.If(left == 0):
                        m.d.sync += left.eq(ifmap_beats - 1)
                        m.next = "echo"
                        with m.If(~self.s_axis_loadable.tlast):
                            stop(Error.LOADABLE_TOO_LONG)
                    with m.Elif(self.s_axis_loadable.tlast):
                        stop(Error.LOADABLE_TRUNCATED)
                stop_on_abort()
            with m.State("echo"):
                m.d.comb += [
                    self.m_axis_ofmap.tvalid.eq(self.s_axis_ifmap.tvalid),
                    self.s_axis_ifmap.tready.eq(self.m_axis_ofmap.tready),
                    self.m_axis_ofmap.tdata.eq(self.s_axis_ifmap.tdata ^ mask),
                    self.m_axis_ofmap.tlast.eq(left == 0),
                    self.m_axis_ofmap.tkeep.eq(Mux(left == 0, (1 << last_bytes[:4]) - 1, 0xFF)),
                ]
                with m.If(ifmap_beat):
                    m.d.sync += left.eq(left - 1)
                    with m.If(self.s_axis_ifmap.tlast != (left == 0)):
                        stop(Error.IFMAP_LENGTH)
                with m.If(ofmap_beat & (left == 0)):
                    m.d.sync += count.eq(count - 1)
                    m.next = "start"
                    with m.If(count == 1):
                        m.d.sync += done.eq(1)
                        m.d.comb += registers.control.zeroise.eq(registers.control.zeroise_at_end)
                        m.next = "idle"
                stop_on_abort()
        return m
