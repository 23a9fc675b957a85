"""Control and register file together, with a free bus and a free datapath: runs begin only with a program and a key, and what
goes wrong ends them and takes the key, or with licences the program."""

from types import ModuleType

import pytest
from amaranth.hdl import Assert, Assume, Cat, Module, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from deeplock.hw.basics.axi import AxiLite
from deeplock.hw.control import control, registers, supervisor
from deeplock.hw.control.loadable_port import LoadControl
from deeplock.hw.control.sequencer import SequencerReport
from deeplock.hw.feed.unfold import UnfolderReport
from deeplock.hw.feed.weight_loader import LoaderReport
from deeplock.hw.lock import key_memory
from deeplock.pymodel.lock.suites import suite
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.registers import Command, Interrupt, Status, address
from tests.features import LEAN
from tests.formal.mutant import mutant
from tests.formal.prover import implies, past, prove, stays
from tests.formal.test_loadable_port import loading_contract

CONFIGS = {
    "deep-lock 8x8": Config(),
    "deep-lock 4x4 lean": Config(rows=4, cols=4, bytes_per_beat=4, key_sizes=(16,), **LEAN),
    "plain 8x8": Config(suite="plain"),
    "acorn 8x8": Config(suite="acorn"),
    "acorn 8x8 licences": Config(suite="acorn", licences=True),
}
KEY_WORDS = [f"KEY{index}" for index in range(8)]
KEY_REGISTERS = [*KEY_WORDS, "KEY_SIZE"]


class Core(wiring.Component):
    """Register file and supervisor, with licences also the key memory. Subclasses assert.

    value  the device's key
    late   cycles that it may follow `keyed` by
    stops  a command ends what runs and takes the key
    fails  the datapath or the register file reports an error
    more   ports that a subclass needs
    """

    def __init__(
        self,
        config: Config,
        registers: ModuleType = registers,
        supervisor: ModuleType = supervisor,
        key_memory: ModuleType = key_memory,
        **more: wiring.Member,
    ):
        self.locks, self.seals = suite(config.suite).locks, suite(config.suite).seals
        self.file = registers.RegisterFile(config)
        self.licences = config.licences
        self.keys = key_memory.KeyMemory(config) if self.licences else None
        self.value = self.keys.key[:128] if self.keys else self.file.key.value
        self.late = 4 if self.keys else 0
        self.supervisor = supervisor.Supervisor(self.locks, self.seals, self.licences)
        super().__init__(
            {
                "s_axil": In(AxiLite(registers.ADDRESS_BITS)),
                "loading": Out(LoadControl()),
                "stream": In(8),
                "wrong_tag": In(1),
                "unlicensed": In(1),
                "spent": In(1),
                "sequencer": In(SequencerReport()),
                "loader": In(LoaderReport()),
                "unfolder": In(UnfolderReport()),
                "flushing": In(1),
                "delivering": In(1),
                "erasing": In(1),
            }
            | more
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.file, m.submodules.supervisor = file, supervisor = self.file, self.supervisor
        bus = self.s_axil
        connect(m, flipped(bus), file.s_axil)
        connect(m, file.control, supervisor.registers)
        for name in ("loading", "sequencer", "loader", "unfolder"):
            connect(m, flipped(getattr(self, name)), getattr(supervisor, name))
        m.d.comb += [supervisor.flushing.eq(self.flushing), supervisor.delivering.eq(self.delivering)]
        m.d.comb += [supervisor.stream.eq(self.stream), supervisor.wrong_tag.eq(self.wrong_tag)]
        m.d.comb += supervisor.erasing.eq(self.erasing)
        if self.keys:
            m.submodules.keys = self.keys
            connect(m, file.key, self.keys.device)
            m.d.comb += [self.keys.of_device.eq(1), self.keys.forget.eq(self.loading.forget)]
            m.d.comb += [supervisor.unlicensed.eq(self.unlicensed), supervisor.spent.eq(self.spent)]
        m.d.comb += Assume(stays(m, bus.awvalid, bus.awready, bus.awaddr))
        m.d.comb += Assume(stays(m, bus.wvalid, bus.wready, bus.wdata, bus.wstrb))

        self.run, self.busy = supervisor.run.active, (file.control.status & Status.BUSY).any()
        self.stops, self.fails = Signal(), Signal()
        faults = self.unfolder.bad_length | self.loader.short | self.loader.long
        m.d.comb += [
            self.stops.eq(self.commanded(Command.ZEROISE) | (self.commanded(Command.ABORT) & self.busy)),
            self.fails.eq(
                (self.stream | self.loading.error).any()
                | self.wrong_tag
                | supervisor.unlicensed
                | (self.run & faults)
                | file.control.bad_key_size
            ),
        ]
        self.check(m)
        return m

    def steady(self, m: Module) -> Value:
        """There is a key, and it was there long enough to show."""
        keyed = self.file.control.keyed
        return Cat(keyed, *(past(m, keyed, cycle) for cycle in range(1, self.late + 2))).all()

    def commanded(self, command: Command) -> Value:
        return self.file.control.command[command.bit_length() - 1]


class Begins(Core):
    """A run begins two cycles after START, if nothing was going on, program and key were there, and the licence allows it."""

    def check(self, m):
        key = self.file.control.keyed if self.locks else 1
        begins = self.commanded(Command.START) & ~self.busy & self.loading.loaded & key & ~self.supervisor.spent
        m.d.comb += Assert(implies(self.run & ~past(m, self.run), past(m, begins, 2)))


class Ends(Core):
    """No run goes on in the cycle after ABORT or ZEROISE, nor two cycles after an error. However a run ends, the datapath is
    cleared in its last cycle."""

    def check(self, m):
        m.d.comb += Assert(implies(past(m, self.stops & self.busy), ~self.run))
        m.d.comb += Assert(implies(past(m, self.fails, 2), ~self.run))
        m.d.comb += Assert(implies(past(m, self.run) & ~self.run, past(m, self.supervisor.clear)))


class Keyed(Core):
    """During a run key and count stay as they are. A run without a key ends in the next cycle."""

    def check(self, m):
        file = self.file
        goes_on = self.run & past(m, self.run)
        m.d.comb += Assert(implies(goes_on, file.control.count == past(m, file.control.count)))
        m.d.comb += Assert(implies(goes_on & self.steady(m), self.value == past(m, self.value)))
        m.d.comb += Assert(~(goes_on & past(m, ~file.control.keyed)))


class Zeroises(Core):
    """KEYED is low 2 cycles after a command that takes the key, and 3 after an error. In the next cycle no word of the key is
    left. Both but for what was written since. With licences only ZEROISE takes the key, and its words show 4 cycles longer."""

    def check(self, m):
        bus, file = self.s_axil, self.file

        def written(name: str, cycles: int) -> Value:
            """In the last cycles."""
            write = bus.awvalid & bus.awready & (bus.awaddr[2:] == address(name) >> 2)
            return Cat(past(m, write, cycle) for cycle in range(1, cycles + 1)).any()

        events = [(self.stops, 2), (self.fails, 3)] if not self.licences else [(self.commanded(Command.ZEROISE), 2)]
        for event, wait in events:
            since = {name: written(name, wait + 1) for name in KEY_REGISTERS}
            m.d.comb += Assert(implies(past(m, event, wait) & ~Cat(since.values()).any(), ~file.control.keyed))
            since = {name: written(name, wait + self.late + 1) for name in KEY_REGISTERS} if self.late else since
            for index, name in enumerate(KEY_WORDS[: len(self.value) // 32]):
                word = self.value.word_select(index, 32)
                m.d.comb += Assert(implies(past(m, event, wait + self.late + 1) & ~since[name], word == 0))


class Erases(Core):
    """The activation memory is erased from the cycle after ABORT or ZEROISE on, or the second one after an error or the last
    cycle with a key. Of errors in a row the first one counts."""

    def check(self, m):
        keyed, erase = self.file.control.keyed, self.supervisor.erase
        m.d.comb += Assert(implies(past(m, self.commanded(Command.ABORT) | self.commanded(Command.ZEROISE)), erase))
        m.d.comb += Assert(implies(past(m, self.fails, 2), erase | past(m, erase)))
        m.d.comb += Assert(implies(past(m, keyed, 2) & past(m, ~keyed), erase))


class Forgets(Core):
    """With a loadable port that keeps its contract (test_loadable_port.py), no program stays once its key has gone, not even
    one that was being loaded. From the head on, the key is the same. If the suite seals, a head comes only with a key, and a
    program is there only with its key."""

    def check(self, m):
        file, port = self.file, self.loading
        keyed, there = file.control.keyed, port.loaded | port.loading
        m.d.comb += [Assume(each) for each in loading_contract(m, port, self.supervisor.stop)]
        m.d.comb += Assert(implies(past(m, keyed) & ~keyed, port.forget))
        goes_on = there & past(m, there) & self.steady(m)
        m.d.comb += Assert(implies(goes_on, self.value == past(m, self.value)))
        if self.seals:
            m.d.comb += Assert(implies(port.load & ~port.loading, keyed))
            m.d.comb += Assert(implies(port.loaded, keyed | past(m, keyed)))


class Drops(Core):
    """With licences, and a loadable port as in `Forgets`, no program is there from the second cycle after a command that stops
    something on, nor from the next one after a new error code in STATUS, until another is loaded. A run has its program in
    all of its cycles."""

    def check(self, m):
        port, error = self.loading, (self.file.control.status[8:] != 0)
        m.d.comb += [Assume(each) for each in loading_contract(m, port, self.supervisor.stop)]
        m.d.comb += Assert(implies(past(m, error) & ~past(m, error, 2), ~port.loaded))
        m.d.comb += Assert(implies(past(m, self.fails, 3) | past(m, self.stops, 2), ~port.loaded))
        m.d.comb += Assert(implies(self.run, port.loaded))


class Keeps(Core):
    """With licences, the key goes with ZEROISE, with the end of a run if CONFIG says so, or with a write of a key register, and
    with nothing else. While there is one it is the same."""

    def check(self, m):
        bus, file = self.s_axil, self.file
        keyed = file.control.keyed
        writes = Cat(bus.awaddr[2:] == address(name) >> 2 for name in KEY_REGISTERS).any() & bus.awvalid & bus.awready
        ended = past(m, self.run, 2) & past(m, ~self.run) & past(m, file.control.zeroise_at_end, 2)
        goes = past(m, keyed) & ~keyed
        m.d.comb += Assert(implies(goes, self.commanded(Command.ZEROISE) | past(m, writes) | ended))
        m.d.comb += Assert(implies(self.steady(m), self.value == past(m, self.value)))


class Interrupts(Core):
    """`irq` follows STATUS and what was last written to INTERRUPT, which is there when the write is answered, a cycle later."""

    def check(self, m):
        bus, status = self.s_axil, self.file.control.status
        written = bus.awvalid & bus.awready & (bus.awaddr[2:] == address("INTERRUPT") >> 2) & bus.wstrb.all()
        mask, shown = Signal(32), Signal()
        with m.If(written):
            m.d.sync += mask.eq(bus.wdata)
        causes = ((Interrupt.LOADED, Status.LOADED), (Interrupt.DONE, Status.DONE), (Interrupt.ERROR, 0xFF00))
        m.d.comb += shown.eq(Cat((mask & cause).any() & (status & bits).any() for cause, bits in causes).any())
        m.d.comb += Assert(self.file.irq == past(m, shown))


PROPERTIES = {
    Begins: "a run begins only after START, with a program and a key",
    Ends: "a run ends 1 cycle after ABORT or ZEROISE and 2 after an error, and its end clears the datapath",
    Drops: "with licences every failure drops the program, and a run has its program",
    Erases: "ABORT, ZEROISE, an error or a key that goes erases the activation memory",
    Interrupts: "irq is high in a cycle if in the one before STATUS showed a cause that INTERRUPT has, and else low",
    Forgets: "a program goes with its key, and the key is stable while a program is loaded; a sealed one loads only with a key",
    Keeps: "with licences the key goes with ZEROISE, a key write, or the end of a run if CONFIG says so, and with nothing else",
    Keyed: "key and count are stable in a run; a run without a key ends in the next cycle",
    Zeroises: "ABORT, ZEROISE or an error, with licences ZEROISE only, clears KEYED in 2 or 3 cycles, and in one more the key",
}


@pytest.mark.parametrize(
    "harness, name",
    [
        (harness, name)
        for harness in PROPERTIES
        for name in CONFIGS
        if (name != "plain 8x8" or harness in (Begins, Ends, Erases, Interrupts))
        and (CONFIGS[name].licences or harness not in (Drops, Keeps))
    ],
)
def test_runs_have_program_and_key_and_end_with_them(harness, name, proves):
    proves(harness(CONFIGS[name]), PROPERTIES[harness], f"registers and supervisor, {name}")


def core_with_fault(harness: type[Core], module: ModuleType, right: str, wrong: str) -> Core:
    faulty = mutant(module, right, wrong)
    if module is control:
        parts = {"supervisor": mutant(supervisor, Control=faulty.Control)}
    else:
        parts = {"registers" if module is registers else "supervisor": faulty}
    name = {Forgets: "acorn 8x8", Drops: "acorn 8x8 licences", Keeps: "acorn 8x8 licences"}.get(
        harness, "deep-lock 8x8"
    )
    return harness(CONFIGS[name], **parts)


@pytest.mark.parametrize(
    "harness, module, right, wrong",
    [
        (Begins, control, "ready = self.loaded & (self.keyed if self._locks else 1)", "ready = self.loaded"),
        (Begins, control, "ready = self.loaded & (", "ready = ("),
        (Begins, control, "starts = commanded(Command.START) & ~busy", "starts = commanded(Command.START)"),
        (Ends, control, "with m.If(halted):", "with m.If(caused):"),
        (Ends, control, "halted = caused | commanded", "halted = commanded"),
        (Ends, supervisor, "control.run & self.loader.short", "control.run & self.loader.short & self.loader.long"),
        (Erases, control, "self.zeroise | halted", "self.zeroise"),
        (Erases, supervisor, "control.erase | loses_key", "control.erase"),
        (Ends, supervisor, "control.errors.eq(self.stream)", "control.errors.eq(0)"),
        (Ends, supervisor, "with m.Elif(self.wrong_tag):", "with m.Elif(self.wrong_tag & control.run):"),
        (Forgets, supervisor, "forget.eq(loses_key | control.forget)", "forget.eq(control.zeroise)"),
        (Forgets, supervisor, "keyed & ~registers.keyed", "keyed & ~registers.keyed & ~control.run"),
        (Forgets, control, "~self.loading & ~self.keyed if self._seals", "~self.keyed if not self._seals"),
        (Forgets, registers, "idle.eq(~(control.status & Status.BUSY).any())", "idle.eq(1)"),
        (Ends, control, "| (self.run & self.finished)", ""),
        (Keyed, registers, "idle.eq(~(control.status & Status.BUSY).any())", "idle.eq(1)"),
        (Keyed, registers, "(wdata[16:] == 0) & idle", "(wdata[16:] == 0)"),
        (Keyed, supervisor, "registers.keyed & ~registers.zeroise", "registers.keyed"),
        (Drops, control, "self.forget.eq(failed)", "self.forget.eq(caused)"),
        (Drops, control, "failed = caused | (halted & busy)", "failed = caused"),
        (Drops, supervisor, "loses_key | control.forget", "loses_key"),
        (Drops, supervisor, "self.loading.loaded & ~control.forget", "self.loading.loaded"),
        (Drops, supervisor, "with m.Elif(self.unlicensed):", "with m.Elif(self.unlicensed & control.run):"),
        (Keeps, control, "self.zeroise.eq(not self._licences)", "self.zeroise.eq(1)"),
        (Keeps, control, "self.zeroise.eq(self.zeroise_at_end)", "self.zeroise.eq(1)"),
        (Keeps, registers, "zeroises | is_size", "zeroises | control.command.any() | is_size"),
        (Interrupts, registers, "status[8:].any()", "status[8:14].any()"),
        (Interrupts, registers, "wdata & _CAUSES", "wdata & Interrupt.DONE"),
        (Zeroises, control, "failed = caused | (halted & busy)", "failed = caused"),
        (Zeroises, registers, "erased.eq(erase)", "erased.eq(control.zeroise)"),
        (Zeroises, registers, "word.eq(0)", "word.eq(word)"),
        (Zeroises, registers, "control.zeroise | ", ""),
    ],
)
def test_a_control_with_a_fault_is_refuted(harness, module, right, wrong):
    assert not prove(core_with_fault(harness, module, right, wrong)).proved
