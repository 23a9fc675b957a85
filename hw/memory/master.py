"""The memory master: moves loadables and ifmaps from a memory to the accelerator, and ofmaps to it, by AXI4."""

from amaranth import Module, Mux
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from deeplock.hw.basics.axi import Axi4, AxiLite
from deeplock.hw.basics.layouts import beat_layout
from deeplock.hw.memory.read_channel import ReadChannel
from deeplock.hw.memory.read_master import ReadMaster
from deeplock.hw.memory.registers import REGISTER_ADDRESS_BITS, MemoryRegisters
from deeplock.hw.memory.write_channel import WriteChannel
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.memory import ADDRESS_BITS, Channel, MemoryOptions

__all__ = ["MemoryMaster"]

_IFMAP_BURST = 8
"""Beats of an ifmap's longest burst, and half of its buffer: one is taken, a byte a cycle, while another comes."""


class MemoryMaster(wiring.Component):
    """Beats in memory have the size of the loadable's, `config.bytes_per_beat`. An ifmap goes before the loadable.

    Latency: 3 cycles from the answer of the write that begins a transfer of reads to AR. Throughput: a beat of the loadable a
    cycle, if the bursts on their way cover the memory's latency; else `options.outstanding` bursts in the time from a burst's
    address to its last beat and 4 cycles.

    Members:
        s_axil    registers: pymodel.spec.memory
        port      AXI4
        loadable  the same range for each packet
        ifmap     packets that follow each other, as those of `ofmap`
        ofmap
        irq       see MemoryRegisters
    """

    def __init__(self, config: Config, options: MemoryOptions):
        self._config, self._options = config, options
        super().__init__(
            {
                "s_axil": In(AxiLite(REGISTER_ADDRESS_BITS)),
                "port": Out(Axi4(config.bytes_per_beat, ADDRESS_BITS)),
                "loadable": Out(stream.Signature(beat_layout(config.bytes_per_beat))),
                "ifmap": Out(stream.Signature(beat_layout(config.rows))),
                "ofmap": In(stream.Signature(beat_layout(config.lanes, keep=True))),
                "irq": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        config, options, size = self._config, self._options, self._config.bytes_per_beat
        m.submodules.registers = registers = MemoryRegisters(config)
        depth, short = options.burst * options.outstanding, min(options.burst, _IFMAP_BURST)
        m.submodules.loadable = loadable = ReadChannel(size, size, options.burst, depth, repeats=True)
        m.submodules.ifmap = ifmap = ReadChannel(size, config.rows, short, 2 * short)
        m.submodules.ofmap = ofmap = WriteChannel(size, config.lanes)
        m.submodules.reads = reads = ReadMaster(size, options, channels=2)

        connect(m, flipped(self.s_axil), registers.s_axil)
        for channel, part in ((Channel.LOADABLE, loadable), (Channel.IFMAP, ifmap), (Channel.OFMAP, ofmap)):
            connect(m, registers.transfers[channel], part.transfer)
            m.d.comb += [part.stop.eq(registers.stop), registers.busy[channel].eq(part.busy)]
        for number, part in enumerate((ifmap, loadable)):
            m.d.comb += [
                reads.bursts[number].valid.eq(part.burst.valid),
                reads.bursts[number].payload.beat.eq(part.burst.payload.beat),
                reads.bursts[number].payload.length_1.eq(part.burst.payload.length_1),
                part.burst.ready.eq(reads.bursts[number].ready),
            ]
            connect(m, reads.beats[number], part.beats)
        connect(m, loadable.outlet, flipped(self.loadable))
        connect(m, ifmap.outlet, flipped(self.ifmap))
        connect(m, flipped(self.ofmap), ofmap.inlet)
        for half in (reads.port, ofmap.port):
            for name, member in half.signature.members.items():
                inner, outer = getattr(half, name), getattr(self.port, name)
                m.d.comb += outer.eq(inner) if member.flow == Out else inner.eq(outer)
        m.d.comb += [
            reads.stop.eq(registers.stop),
            registers.error.eq(Mux(reads.error.any(), reads.error, ofmap.error)),
            self.irq.eq(registers.irq),
        ]
        return m
