"""Control: commands, errors, and when the datapath runs or is cleared."""

from amaranth import Cat, Const, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from deeplock.pymodel.spec.registers import Command, Error, Status

__all__ = ["Control"]


class Control(wiring.Component):
    """Runs and clears the datapath. START clears it for one cycle and runs it until `finished`, which clears it again in the
    next cycle: between runs only the key register holds the key. An error or ABORT stops what runs, clears the datapath and
    zeroises the key. So does ZEROISE: without its key a run can only go wrong.

    Latency: a command acts in the next cycle, and clears the datapath in that cycle; an error takes one cycle more.

    locks   the suite needs a key to run
    seals   ... and to load
    licences  the key is the device's own: no failure takes it, but each takes the program

    Members:
        command            one-cycle pulses, bits of registers.Command
        keyed              a key is in place
        loaded, loading    of the loadable port
        flushing           a packet gate drops beats
        errors             the Error that the datapath reports in this cycle, or Error.NONE
        spent              fewer inferences are left than the next run has
        finished           all inferences have left the core
        zeroise_at_end     of CONFIG
        load               to sections and loadable port: take a program. Not while one is loaded: sections may have ended its
                           head before the port has, and would begin another one alone
        stop               to ports and packet gates: drop the rest of the packet
        begin              pulse: a run begins in the next cycle
        run                to the datapath: a run is going on
        clear              all registers of the datapath return to their initial values in the next cycle; also on a START,
                           ABORT or ZEROISE while nothing runs
        forget             with licences, pulse: to the loadable port, after a failure
        zeroise            to the key register
        erase              to the activation memory: what stopped, or should have, leaves nothing behind
        erasing            of the activation memory
        status             value of STATUS
    """

    def __init__(self, locks: bool, seals: bool, licences: bool = False):
        self._locks, self._seals, self._licences = locks, seals, licences
        super().__init__(
            {
                "command": In(4),
                "keyed": In(1),
                "loaded": In(1),
                "loading": In(1),
                "flushing": In(1),
                "errors": In(8),
                "spent": In(1),
                "finished": In(1),
                "zeroise_at_end": In(1),
                "load": Out(1),
                "stop": Out(1),
                "begin": Out(1),
                "run": Out(1),
                "clear": Out(1),
                "forget": Out(1),
                "zeroise": Out(1),
                "erase": Out(1),
                "erasing": In(1),
                "status": Out(16),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        error = Signal(8)
        done = Signal()
        # registered, so that no path holds both a check and its consequences; one cycle long
        caused, cause = Signal(), Signal(8)
        m.d.sync += [caused.eq(~caused & self.errors.any()), cause.eq(self.errors)]
        working = self.run | self.begin | caused
        busy = working | self.loading

        def commanded(command: Command):
            return self.command[command.bit_length() - 1]

        # stopping depends neither on whether anything runs nor on which error it is: that keeps the path short
        halted = caused | commanded(Command.ABORT) | commanded(Command.ZEROISE)
        starts = commanded(Command.START) & ~busy
        ready = self.loaded & (self.keyed if self._locks else 1)
        loads = commanded(Command.LOAD) & ~working
        keyless = loads & ~self.loading & ~self.keyed if self._seals else Const(0)
        allowed = ready & ~self.spent
        failed = caused | (halted & busy) | (starts & ~allowed) | keyless
        missing = Mux(self.loaded | keyless, Mux(ready & ~keyless, Error.NONE_LEFT, Error.NO_KEY), Error.NO_PROGRAM)

        m.d.sync += self.begin.eq(starts & allowed & ~commanded(Command.LOAD))
        with m.If(self.begin):
            m.d.sync += self.run.eq(1)
        m.d.comb += self.load.eq(loads & ~keyless & ~self.loading)
        with m.If(~busy & (commanded(Command.LOAD) | commanded(Command.START))):
            m.d.sync += [error.eq(0), done.eq(0)]
        with m.If(self.run & self.finished):
            m.d.sync += [self.run.eq(0), done.eq(1)]
            m.d.comb += self.zeroise.eq(self.zeroise_at_end)
        with m.If(failed):
            m.d.sync += [error.eq(Mux(caused, cause, Mux(busy, Error.ABORTED, missing))), done.eq(0)]
            m.d.comb += self.zeroise.eq(not self._licences)
        with m.If(halted):
            m.d.sync += self.run.eq(0)
        # one `stop` a failure: packet gates take a second one to mean that the sender has abandoned the packet
        m.d.sync += self.stop.eq((failed & ~self.stop) | commanded(Command.ABORT))
        # goes to the whole core, so it does not depend on whether a command succeeds: while nothing runs or loads it does no
        # harm
        m.d.comb += self.clear.eq(
            (commanded(Command.START) & ~commanded(Command.LOAD) & ~self.run & ~self.begin & ~self.loading)
            | (self.run & self.finished)
            | halted
        )

        m.d.comb += self.erase.eq(self.zeroise | halted | failed)
        if self._licences:
            m.d.sync += self.forget.eq(failed)

        bits = {
            Status.BUSY: busy,
            Status.LOADED: self.loaded,
            Status.KEYED: self.keyed,
            Status.DONE: done,
            Status.FLUSHING: self.flushing,
            Status.ERASING: self.erasing,
        }
        m.d.comb += self.status.eq(Cat(*(bits[bit] for bit in sorted(bits)))[: len(bits)] | (error << 8))
        assert sorted(bits) == [1 << index for index in range(len(bits))], "status bits are contiguous from bit 0"
        assert Error.NONE == 0
        return m
