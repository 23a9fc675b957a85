"""Supervisor: turns the datapath's status into errors, the end of a run, and STATUS."""

from amaranth import Module, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from deeplock.hw.basics.bundles import Run
from deeplock.hw.control.control import Control
from deeplock.hw.control.loadable_port import LoadControl
from deeplock.hw.control.registers import ControlRegisters
from deeplock.hw.control.sequencer import SequencerReport
from deeplock.hw.feed.unfold import UnfolderReport
from deeplock.hw.feed.weight_loader import LoaderReport
from deeplock.pymodel.spec.registers import Error

__all__ = ["Supervisor"]


class Supervisor(wiring.Component):
    """Control between register file and datapath.

    Latency: a fault or the end of a run acts one cycle after the datapath reports it. Registered, because the sources are far
    apart on a large device.

    locks, seals, licences   as in Control

    Members:
        registers   the register file
        loading     the loadable port
        stream      Error that the loadable stream's sections report
        wrong_tag   pulse: of the lock
        unlicensed  pulse: of the lock
        spent       of the permissions
        sequencer, loader, unfolder   their status
        flushing    a packet gate drops beats
        delivering  the ofmap buffer holds beats
        erasing     the activation memory is being erased
        run         to the datapath
        begin       pulse: a run begins in the next cycle
        start       pulse: its first cycle
        going       high during a run, but not in its last cycle
        stop        pulse: to ports and packet gates, as in Control; also when the key is lost
        clear       to the datapath, as in Control
        erase       pulse: erase the activation memory, also because the key has changed
    """

    def __init__(self, locks: bool, seals: bool, licences: bool = False):
        self._locks, self._seals, self._licences = locks, seals, licences
        super().__init__(
            {
                "registers": In(ControlRegisters()),
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
                "run": Out(Run()),
                "begin": Out(1),
                "start": Out(1),
                "going": Out(1),
                "stop": Out(1),
                "clear": Out(1),
                "erase": Out(1),
            }
        )

    def elaborate(self, platform) -> Module:
        m = Module()
        m.submodules.control = control = Control(self._locks, self._seals, self._licences)
        registers = self.registers
        finished = Signal()  # registered, because it goes to the whole core
        m.d.sync += finished.eq(control.run & self.sequencer.idle & ~self.delivering)
        m.d.comb += [
            control.command.eq(registers.command),
            control.keyed.eq(registers.keyed & ~registers.zeroise),
            control.zeroise_at_end.eq(registers.zeroise_at_end),
            control.loaded.eq(self.loading.loaded & ~control.forget),
            control.loading.eq(self.loading.loading),
            control.flushing.eq(self.flushing),
            control.erasing.eq(self.erasing),
            control.spent.eq(self.spent),
            control.finished.eq(finished),
            registers.status.eq(control.status),
            self.loading.load.eq(control.load),
            self.run.active.eq(control.run),
            self.run.count.eq(registers.count),
            self.begin.eq(control.begin),
            self.going.eq(control.run & ~finished),
            self.clear.eq(control.clear),
        ]
        m.d.sync += self.start.eq(control.begin)
        # registered, because the sources are far apart on a large device; it masks `keyed` until that is cleared
        m.d.sync += registers.zeroise.eq(control.zeroise)
        keyed, loses_key = Signal(), Signal()
        m.d.comb += [
            loses_key.eq(keyed & ~registers.keyed),
            self.loading.forget.eq(loses_key | control.forget),
            # the rest of a packet whose program is forgotten is dropped; where an error took the key, it is being dropped
            self.stop.eq(control.stop | (loses_key & ~self.flushing)),
        ]
        m.d.sync += [keyed.eq(registers.keyed), self.erase.eq(control.erase | loses_key)]
        with m.If(self.stream.any()):
            m.d.comb += control.errors.eq(self.stream)
        with m.Elif(self.loading.error.any()):
            m.d.comb += control.errors.eq(self.loading.error)
        with m.Elif(self.wrong_tag):
            m.d.comb += control.errors.eq(Error.BAD_TAG)
        with m.Elif(self.unlicensed):
            m.d.comb += control.errors.eq(Error.BAD_LICENCE)
        with m.Elif(control.run & self.unfolder.bad_length):
            m.d.comb += control.errors.eq(Error.IFMAP_LENGTH)
        with m.Elif(control.run & self.loader.short):
            m.d.comb += control.errors.eq(Error.LOADABLE_TRUNCATED)
        with m.Elif(control.run & self.loader.long):
            m.d.comb += control.errors.eq(Error.LOADABLE_TOO_LONG)
        with m.Elif(registers.bad_key_size):
            m.d.comb += control.errors.eq(Error.BAD_KEY_SIZE)
        return m
