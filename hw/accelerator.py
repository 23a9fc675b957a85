"""The accelerator: the top of the hardware, all components joined."""

from amaranth import Cat, Module, Mux, ResetInserter, Signal
from amaranth.lib import data, memory, wiring
from amaranth.lib.fifo import SyncFIFOBuffered
from amaranth.lib.wiring import In, Out, connect

from deeplock.hw.array.accumulator import Accumulator
from deeplock.hw.array.array import SystolicArray
from deeplock.hw.basics.axi import axi_lite_members, axi_stream_members
from deeplock.hw.basics.packet_gate import PacketGate
from deeplock.hw.basics.stream_buffers import RegisterSlice, SkidBuffer
from deeplock.hw.control.control import Control
from deeplock.hw.control.loadable_port import LoadablePort
from deeplock.hw.control.registers import ADDRESS_BITS, RegisterFile
from deeplock.hw.control.sequencer import Sequencer
from deeplock.hw.families.placement import kept_if_large
from deeplock.hw.feed.activation_memory import ActivationMemory
from deeplock.hw.feed.feeder import WindowFeeder
from deeplock.hw.feed.issue import IssueStage
from deeplock.hw.feed.unfold import Unfolder
from deeplock.hw.feed.weight_loader import WeightLoader
from deeplock.hw.lock.lock import Lock
from deeplock.hw.post.post import PostProcessor
from deeplock.pymodel.lock.suites import SUITES
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.registers import COUNTERS, Error

__all__ = ["Accelerator"]

OFMAP_BEATS = 32
"""Depth of the ofmap buffer: more than the results that can be on their way through array and post-processor."""


class Accelerator(wiring.Component):
    """Loadable, ifmaps and key in; ofmaps out. docs/architecture.md draws it; pymodel/spec/registers.py lists its registers.

    Ports: AXI4-Lite `s_axil`; AXI4-Streams `s_axis_loadable` (bytes_per_beat bytes), `s_axis_ifmap` (rows bytes) and
    `m_axis_ofmap` (lanes bytes, tkeep). Byte 0 of a beat is the first one.
    """

    def __init__(self, config: Config):
        self._config = config
        super().__init__(
            axi_lite_members("s_axil", ADDRESS_BITS)
            | axi_stream_members("s_axis_loadable", In, config.bytes_per_beat)
            | axi_stream_members("s_axis_ifmap", In, config.rows)
            | axi_stream_members("m_axis_ofmap", Out, config.lanes, keep=True)
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        config = self._config
        m.submodules.registers = registers = RegisterFile(config)
        for name in axi_lite_members("s_axil", ADDRESS_BITS):
            inner, outer = getattr(registers, name), getattr(self, name)
            driver, driven = (outer, inner) if self.signature.members[name].flow == In else (inner, outer)
            m.d.comb += driven.eq(driver)
        m.submodules.control = control = Control(SUITES[config.suite].locks)
        m.submodules.loadable_port = loadable_port = LoadablePort(config)

        # the data path: all of it returns to its initial state on `clear`, which each component has in a register of its own;
        # after a reset, too, for registers that have none
        def clear_of(name: str) -> Signal:
            clear = Signal(name=f"clear_{name}", attrs=kept_if_large(config), init=1)
            m.d.sync += clear.eq(control.clear)
            return clear

        def cleared(name: str, component):
            m.submodules[name] = ResetInserter(clear_of(name))(component)
            return component

        m.submodules.lock = lock = Lock(config)
        m.submodules.array = array = SystolicArray(config)
        m.d.comb += [lock.clear.eq(clear_of("lock")), array.clear.eq(clear_of("array"))]
        loader = cleared("weight_loader", WeightLoader(config))
        sequencer = cleared("sequencer", Sequencer(config))
        unfolder = cleared("unfolder", Unfolder(config))
        activations = cleared("activation_memory", ActivationMemory(config))
        feeder = cleared("feeder", WindowFeeder(config))
        issue = cleared("issue", IssueStage(config, OFMAP_BEATS))
        accumulator = cleared("accumulator", Accumulator(config, array.sum_width))
        post = cleared("post", PostProcessor(config))
        beat = data.StructLayout({"data": 8 * config.lanes, "keep": config.lanes, "last": 1})
        ofmap = cleared("ofmap_buffer", SyncFIFOBuffered(width=beat.size, depth=OFMAP_BEATS))

        m.submodules.program = program = memory.Memory(shape=32, depth=config.program_words, init=[])
        write = program.write_port()
        m.d.comb += [
            write.en.eq(loadable_port.program.en),
            write.addr.eq(loadable_port.program.address),
            write.data.eq(loadable_port.program.word),
        ]
        for user in (loader, sequencer):
            read = program.read_port()
            m.d.comb += [read.addr.eq(user.address), user.word.eq(read.data)]

        self._connect_ports(m, control, loadable_port, unfolder, ofmap, beat)

        # parameters
        # the key schedule, far away and large, need not know in a cycle what the loader finds out in it, and for large
        # accelerators it is the same with the loadable port
        beats = lock.plain.payload.shape()
        plain = cleared("parameter_skid", SkidBuffer(beats, kept_if_large(config)))
        connect(m, lock.plain, plain.inlet)
        connect(m, plain.outlet, loader.parameters)
        if config.lean:
            connect(m, loadable_port.parameters, lock.locked)
        else:
            locked = cleared("parameter_slice", RegisterSlice(beats, kept_if_large(config)))
            connect(m, loadable_port.parameters, locked.inlet)
            connect(m, locked.outlet, lock.locked)
        connect(m, loader.weights, array.weights)
        connect(m, loader.entries, post.entries)
        m.d.comb += [
            lock.key.eq(registers.key),
            lock.key_bytes.eq(registers.key_bytes),
            loader.swap.eq(issue.swap),
            loader.group_done.eq(post.group_done),
            issue.full.eq(loader.full),
        ]

        # activations
        connect(m, feeder.out, issue.words)
        connect(m, unfolder.out, activations.ifmap)
        m.d.comb += [
            activations.addresses.eq(feeder.addresses),
            activations.read.eq(feeder.read),
            feeder.granted.eq(activations.granted),
            feeder.word.eq(activations.word),
            array.valid.eq(issue.issue),
            array.data.eq(issue.word.data),
            array.swap.eq(issue.word.swap),
            array.tag.eq(issue.word.tag),
            accumulator.valid.eq(array.out_valid),
            accumulator.sums.eq(array.sums),
            accumulator.tag.eq(array.out_tag),
            post.valid.eq(accumulator.out_valid),
            post.totals.eq(accumulator.totals),
            post.tag.eq(accumulator.out_tag),
            issue.retired.eq(post.retired),
            issue.held.eq(ofmap.level),
            activations.results.valid.eq(post.out_valid & ~sequencer.to_stream),
            activations.results.payload.word.eq(post.out.word),
            activations.results.payload.chunks.eq(1 << post.out.chunk),
            *(part.eq(post.out.data) for part in activations.results.payload.data),
            ofmap.w_en.eq(post.out_valid & sequencer.to_stream),
            ofmap.w_data.eq(Cat(post.out.data, post.out.keep, post.out.last & sequencer.last_layer)),
        ]

        # the program
        m.d.comb += [
            feeder.start.eq(sequencer.feeder_start),
            feeder.fields.eq(sequencer.feeder_fields),
            sequencer.feeder_done.eq(feeder.done),
            post.start.eq(sequencer.post_start),
            post.fields.eq(sequencer.post_fields),
            sequencer.layer_done.eq(post.layer_done),
            sequencer.ifmap_ready.eq(unfolder.ready),
            unfolder.take.eq(sequencer.ifmap_take),
            unfolder.release.eq(sequencer.ifmap_release),
            sequencer.loaded.eq(loader.inferences),
            unfolder.header.eq(loadable_port.header),
        ]
        for part in (loadable_port, loader, sequencer, unfolder):
            m.d.comb += [part.run.eq(control.run), part.count.eq(registers.count)]
        for part in (loader, sequencer):
            m.d.comb += part.layers.eq(loadable_port.header.layers)

        self._control(m, registers, control, loadable_port, lock, loader, sequencer, unfolder, issue, ofmap)
        self._count(m, registers, control, loadable_port, lock, sequencer, issue, ofmap)
        return m

    def _connect_ports(self, m: Module, control, loadable_port, unfolder, ofmap, beat: data.StructLayout) -> None:
        flushing = []
        for inner, prefix in ((loadable_port.loadable, "s_axis_loadable"), (unfolder.ifmap, "s_axis_ifmap")):
            m.submodules[f"{prefix}_gate"] = gate = PacketGate(inner.payload.shape())
            connect(m, gate.outlet, inner)
            m.d.comb += [
                gate.inlet.valid.eq(getattr(self, f"{prefix}_tvalid")),
                gate.inlet.payload.data.eq(getattr(self, f"{prefix}_tdata")),
                gate.inlet.payload.last.eq(getattr(self, f"{prefix}_tlast")),
                getattr(self, f"{prefix}_tready").eq(gate.inlet.ready),
                gate.stop.eq(control.stop),
            ]
            flushing.append(gate.flushing)
        m.d.comb += control.flushing.eq(Cat(flushing).any())
        result = data.View(beat, ofmap.r_data)
        m.d.comb += [
            self.m_axis_ofmap_tvalid.eq(ofmap.r_rdy),
            self.m_axis_ofmap_tdata.eq(result.data),
            self.m_axis_ofmap_tkeep.eq(result.keep),
            self.m_axis_ofmap_tlast.eq(result.last),
            ofmap.r_en.eq(self.m_axis_ofmap_tready),
        ]

    def _control(self, m, registers, control, loadable_port, lock, loader, sequencer, unfolder, issue, ofmap) -> None:
        """Commands, errors, status."""
        starting = Signal()  # the first cycle of a run
        m.d.sync += starting.eq(control.begin)
        # the program asks for what will not come: weights after a group's or the program's last, an ifmap after the last
        no_weights = issue.events.weights & (loader.idle | (loader.waits & ~issue.busy))
        no_ifmap = sequencer.waits_for_ifmap & unfolder.never
        stuck = Signal()  # a cycle later, as it stays so
        m.d.sync += stuck.eq(control.run & (no_weights | no_ifmap))
        bad = control.run & (loader.bad | sequencer.bad | stuck)
        finished = Signal()  # a cycle later, as it goes on to all over the core
        m.d.sync += finished.eq(control.run & sequencer.idle & (ofmap.level == 0))
        m.d.comb += [
            control.command.eq(registers.command),
            control.keyed.eq(registers.keyed & ~registers.zeroise),
            control.zeroise_at_end.eq(registers.zeroise_at_end),
            control.loaded.eq(loadable_port.loaded),
            control.loading.eq(loadable_port.loading),
            control.finished.eq(finished),
            registers.status.eq(control.status),
            loadable_port.load.eq(control.load),
            loadable_port.stop.eq(control.stop),
            lock.start.eq(starting),
        ]
        # a cycle later, as it comes from all over the core; until then `keyed` counts no more
        m.d.sync += registers.zeroise.eq(control.zeroise)
        with m.If(loadable_port.error.any()):
            m.d.comb += control.errors.eq(loadable_port.error)
        with m.Elif(control.run & unfolder.bad_length):
            m.d.comb += control.errors.eq(Error.IFMAP_LENGTH)
        with m.Elif(bad):
            m.d.comb += control.errors.eq(Error.BAD_DESCRIPTOR)
        with m.Elif(registers.bad_key_size):
            m.d.comb += control.errors.eq(Error.BAD_KEY_SIZE)

    def _count(self, m, registers, control, loadable_port, lock, sequencer, issue, ofmap) -> None:
        """Every cycle of a run that belongs to a layer of PROFILE counts once in CYCLES and once in one of the others, but the
        one in which Control ends the run."""
        events = issue.events
        delivering = sequencer.idle & (ofmap.level != 0)
        starved = ~lock.starved & ~loadable_port.loadable.valid
        high = {
            "CYCLES": 1,
            "COMPUTE": events.compute,
            "PARAM_STARVED": events.weights & starved,
            "KEY_STARVED": events.weights & lock.starved,
            "LOAD_BOUND": events.weights & ~starved & ~lock.starved,
            "FEEDER": events.empty & sequencer.feeding,
            "POST": events.post,
            "OUTPUT_STALLED": events.output_stalled | (events.empty & delivering),
            "DRAIN": events.empty & ~sequencer.feeding & ~sequencer.waits_for_ifmap & ~delivering,
            "INPUT_STARVED": events.empty & sequencer.waits_for_ifmap,
        }
        m.d.comb += [
            registers.restart.eq(control.begin),
            sequencer.profile.eq(registers.profile),
        ]
        # a cycle later, as it comes from all over the core
        m.d.sync += registers.events.eq(
            Mux(control.run & sequencer.counted & ~control.finished, Cat(high[name] for name, _ in COUNTERS), 0)
        )
