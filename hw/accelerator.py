"""The accelerator: the top of the hardware, which joins all components."""

from amaranth import Cat, Module, ResetInserter, Signal
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from deeplock.hw.array.accumulator import Accumulator
from deeplock.hw.array.array import SystolicArray
from deeplock.hw.basics.axi import AxiLite, AxiStream, receive, transmit
from deeplock.hw.basics.packet_gate import PacketGate
from deeplock.hw.basics.stream_buffers import SkidBuffer, StreamRegister
from deeplock.hw.control.events import CycleEvents
from deeplock.hw.control.loadable_port import LoadablePort
from deeplock.hw.control.permissions import Permissions
from deeplock.hw.control.registers import ADDRESS_BITS, RegisterFile
from deeplock.hw.control.sections import Sections
from deeplock.hw.control.sequencer import Sequencer
from deeplock.hw.control.supervisor import Supervisor
from deeplock.hw.families.placement import kept_if_large
from deeplock.hw.feed.activation_memory import ActivationMemory
from deeplock.hw.feed.eraser import Eraser
from deeplock.hw.feed.feeder import WindowFeeder
from deeplock.hw.feed.issue import IssueStage
from deeplock.hw.feed.unfold import Unfolder
from deeplock.hw.feed.weight_loader import WeightLoader
from deeplock.hw.lock.lock import lock_of
from deeplock.hw.post.ofmap_buffer import OfmapBuffer, buffer_beats
from deeplock.hw.post.post import PostProcessor
from deeplock.pymodel.lock.suites import suite
from deeplock.pymodel.spec.config import Config

__all__ = ["Accelerator"]


class Accelerator(wiring.Component):
    """Loadable, ifmaps and key in; ofmaps out. Block diagram: docs/architecture.md; registers: pymodel/spec/registers.py.

    Ports: AXI4-Lite `s_axil`; AXI4-Streams `s_axis_loadable` (bytes_per_beat bytes), `s_axis_ifmap` (rows bytes) and
    `m_axis_ofmap` (lanes bytes, tkeep), byte 0 of a beat the first one; and `irq`, active high (register INTERRUPT).
    `hw.basics.axi.flat_ports` names them for Verilog.
    """

    def __init__(self, config: Config):
        self._config = config
        super().__init__(
            {
                "s_axil": In(AxiLite(ADDRESS_BITS)),
                "s_axis_loadable": In(AxiStream(config.bytes_per_beat)),
                "s_axis_ifmap": In(AxiStream(config.rows)),
                "m_axis_ofmap": Out(AxiStream(config.lanes, keep=True)),
                "irq": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        config = self._config
        lock = lock_of(config)  # first, because the suite may have no hardware
        m = Module()
        m.submodules.registers = registers = RegisterFile(config)
        chosen = suite(config.suite)
        m.submodules.supervisor = supervisor = Supervisor(chosen.locks, chosen.seals, config.licences)
        m.submodules.events = events = CycleEvents()
        m.submodules.sections = sections = Sections(config)
        m.submodules.loadable_port = loadable_port = LoadablePort(config)

        # the datapath returns to its initial state on `clear`, registered for each component; also after a reset, for
        # registers that have none
        def clear_of(name: str) -> Signal:
            clear = Signal(name=f"clear_{name}", attrs=kept_if_large(config), init=1)
            m.d.sync += clear.eq(supervisor.clear)
            return clear

        clears: dict[str, Signal] = {}

        def cleared(name: str, component):
            clears[name] = clear_of(name)
            m.submodules[name] = ResetInserter(clears[name])(component)
            return component

        m.submodules.lock = lock
        m.submodules.array = array = SystolicArray(config)
        m.d.comb += [lock.clear.eq(clear_of("lock")), array.clear.eq(clear_of("array"))]
        loader = cleared("weight_loader", WeightLoader(config))
        unfolder = cleared("unfolder", Unfolder(config))
        activations = cleared("activation_memory", ActivationMemory(config))
        m.submodules.eraser = eraser = Eraser(config)  # goes on when a run begins: its ifmap waits
        feeder = cleared("feeder", WindowFeeder(config))
        issue = cleared("issue", IssueStage(config, buffer_beats(config)))
        accumulator = cleared("accumulator", Accumulator(config, array.sum_width))
        post = cleared("post", PostProcessor(config))
        ofmap = cleared("ofmap_buffer", OfmapBuffer(config))
        accumulated = array.latency + accumulator.latency
        sequencer = cleared("sequencer", Sequencer(config, accumulated + post.longest + 1))

        # ports
        flushing = []
        for name, port, inlet in (
            ("s_axis_loadable", self.s_axis_loadable, sections.inlet),
            ("s_axis_ifmap", self.s_axis_ifmap, unfolder.ifmap),
        ):
            m.submodules[f"{name}_gate"] = gate = PacketGate(inlet.payload.shape())
            receive(m, port, gate.inlet)
            connect(m, gate.outlet, inlet)
            m.d.comb += gate.stop.eq(supervisor.stop)
            flushing.append(gate.flushing)
        transmit(m, ofmap.ofmap, self.m_axis_ofmap)
        connect(m, flipped(self.s_axil), registers.s_axil)
        m.d.comb += self.irq.eq(registers.irq)

        # the loadable
        if config.pipeline_registers:
            # the lock is large and far away: the stream registers cut the paths to it, and to the loader if a cipher's logic is
            # in it; the skid buffer cuts that from the loader's `ready`
            locked = cleared("locked_register", StreamRegister(lock.locked.payload.shape()))
            parameters = cleared("parameter_skid", SkidBuffer(lock.plain.payload.shape(), kept_if_large(config)))
            connect(m, sections.outlet, locked.inlet)
            connect(m, locked.outlet, lock.locked)
            if chosen.seals:
                plain = cleared("plain_register", StreamRegister(lock.plain.payload.shape()))
                connect(m, lock.plain, plain.inlet)
                connect(m, plain.outlet, parameters.inlet)
            else:
                connect(m, lock.plain, parameters.inlet)
            connect(m, parameters.outlet, loader.parameters)
        else:
            connect(m, sections.outlet, lock.locked)
            connect(m, lock.plain, loader.parameters)
        connect(m, lock.head, loadable_port.head)
        connect(m, registers.key, lock.key)
        connect(m, loader.weights, array.weights)
        connect(m, loader.entries, post.entries)
        if config.tables:
            connect(m, loader.table, post.table)
        connect(m, loader.tiles, issue.tiles)

        if config.licences:
            # registered, because the sources are far apart; the first beat of a licence's terms comes later than that
            m.d.sync += lock.forget.eq(
                supervisor.loading.load | ~(loadable_port.control.loading | loadable_port.control.loaded)
            )
            m.d.comb += supervisor.unlicensed.eq(lock.unlicensed)
        if config.permissions:
            m.submodules.permissions = permissions = Permissions(config)
            connect(m, lock.terms, permissions.terms)
            m.d.comb += [
                permissions.forget.eq(lock.forget),
                permissions.header.eq(loadable_port.header),
                permissions.count.eq(supervisor.run.count),
                permissions.begin.eq(supervisor.begin),
                loadable_port.refusal.eq(permissions.refusal),
                supervisor.spent.eq(permissions.spent),
                ofmap.classes.eq(permissions.classes),
            ]

        # activations
        connect(m, unfolder.out, activations.ifmap)
        connect(m, feeder.memory, activations.words)
        connect(m, eraser.erase, activations.erase)
        connect(m, feeder.out, issue.words)
        connect(m, issue.out, array.words)
        connect(m, array.sums, accumulator.sums)
        connect(m, accumulator.totals, post.totals)
        connect(m, post.results, ofmap.results)
        connect(m, ofmap.words, activations.results)
        m.d.comb += [issue.retired.eq(post.retired), issue.held.eq(ofmap.level), issue.opens.eq(sequencer.opens)]

        # the program
        m.submodules.program = program = memory.Memory(shape=32, depth=config.program_words, init=[])
        connect(m, loadable_port.program, program.write_port())
        connect(m, loader.program, program.read_port())
        connect(m, sequencer.program, program.read_port())
        connect(m, sequencer.feeder, feeder.layer)
        connect(m, sequencer.post, post.layer)
        connect(m, unfolder.unfolded, sequencer.ifmap)
        m.d.comb += [
            loader.layers.eq(loadable_port.header.layers),
            sequencer.layers.eq(loadable_port.header.layers),
            unfolder.header.eq(loadable_port.header),
            sequencer.words_end.eq(issue.ends),
            unfolder.release.eq(feeder.release),
            ofmap.to_stream.eq(sequencer.post.fields.to_stream),
            ofmap.last_layer.eq(sequencer.last_layer),
        ]

        # control and counters
        connect(m, registers.control, supervisor.registers)
        connect(m, supervisor.loading, loadable_port.control)
        connect(m, supervisor.run, sections.run, loader.run, sequencer.run, unfolder.run)
        connect(m, unfolder.report, supervisor.unfolder)
        connect(m, loader.report, supervisor.loader)
        connect(m, sequencer.report, supervisor.sequencer, events.sequencer)
        connect(m, issue.report, events.issue)
        connect(m, sequencer.profiling, events.profiling)
        connect(m, registers.counters, events.registers)
        m.d.comb += [
            loadable_port.stop.eq(supervisor.stop),
            sections.load.eq(supervisor.loading.load),
            sections.stop.eq(supervisor.stop),
            sections.header.eq(loadable_port.header),
            lock.start.eq(supervisor.start),
            loadable_port.trusted.eq(lock.trusted),
            ofmap.release.eq(lock.right),
            supervisor.stream.eq(sections.error),
            supervisor.wrong_tag.eq(lock.wrong),
            supervisor.flushing.eq(Cat(flushing).any()),
            supervisor.delivering.eq(ofmap.level != 0),
            supervisor.erasing.eq(eraser.erase.active),
            eraser.start.eq(supervisor.erase),
            eraser.used.eq(supervisor.run.active),
            eraser.cleared.eq(clears["activation_memory"]),
            events.begin.eq(supervisor.begin),
            events.going.eq(supervisor.going),
            events.delivering.eq(ofmap.delivering),
            events.keyless.eq(lock.starved),
            events.offered.eq(sections.inlet.valid),
        ]
        return m
