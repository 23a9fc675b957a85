from itertools import product

import pytest
from amaranth.hdl import ResetInserter, Signal

from deeplock.hw.control.control import Control
from deeplock.pymodel.spec.registers import Command, Error, Status
from tests.hw.stream_tools import simulate

LOAD, START, ABORT, ZEROISE = Command.LOAD, Command.START, Command.ABORT, Command.ZEROISE
BUSY, LOADED, KEYED, DONE, FLUSHING = Status.BUSY, Status.LOADED, Status.KEYED, Status.DONE, Status.FLUSHING


class Core:
    """Control with a key and a program. Each step sets inputs for one cycle and gives the pulses of that cycle; "clear" in
    the cycle in which the data path is cleared, the one after the pulse."""

    def __init__(self, ctx, dut: Control, licences: bool = False):
        self.ctx, self.dut, self.licences = ctx, dut, licences
        self.clears = set()
        ctx.set(dut.keyed, 1)
        ctx.set(dut.loaded, 1)

    def level(self, **inputs) -> None:
        for name, value in inputs.items():
            self.ctx.set(getattr(self.dut, name), value)

    async def step(self, command=0, errors=0, finished=0) -> set[str]:
        self.level(command=command, errors=errors, finished=finished)
        seen = self.clears | {
            name for name in ("load", "stop", "run", "zeroise", "forget") if self.ctx.get(getattr(self.dut, name))
        }
        self.clears = {"clear"} if self.ctx.get(self.dut.clear) else set()
        await self.ctx.tick()
        self.level(command=0, errors=0, finished=0)
        return seen

    async def start(self) -> None:
        assert await self.step(START) == set()
        assert await self.step() == {"clear"}
        assert self.status() == BUSY | LOADED | KEYED

    def status(self) -> int:
        """The bits; the error code must be none."""
        assert self.ctx.get(self.dut.status) >> 8 == Error.NONE
        return self.ctx.get(self.dut.status) & 0xFF

    def error(self) -> Error:
        return Error(self.ctx.get(self.dut.status) >> 8)

    async def fail(self, error: Error, command=0, finished=0) -> None:
        """Report an error; it is acted upon a cycle later, and BUSY until then."""
        await self.step(command, error, finished)
        assert self.ctx.get(self.dut.status) & BUSY
        await self.loses()

    async def loses(self, command=0, finished=0) -> None:
        """A cycle with a failure: what is in the activation memory goes, and the key, if it is not the device's."""
        self.level(command=command, finished=finished)
        assert self.ctx.get(self.dut.erase)
        seen = await self.step(command, finished=finished)
        assert ("zeroise" in seen) != self.licences and "forget" not in seen

    async def check_stops(self, error: Error, clears: bool = True) -> None:
        """In the cycle after a fault: everything stops and is cleared, once. With licences the program is forgotten."""
        assert self.error() == error
        assert not self.ctx.get(self.dut.status) & (BUSY | DONE)
        assert await self.step() == {"stop", *["clear"] * clears, *["forget"] * self.licences}
        assert await self.step() == set()


def control_test(function):
    """Run an async test of a `Core` in the simulator."""

    def test():
        dut = Control(locks=True, seals=False)

        async def testbench(ctx):
            await function(Core(ctx, dut))

        simulate(dut, testbench)

    test.__name__, test.__doc__ = function.__name__, function.__doc__
    return test


@control_test
async def test_start_clears_for_one_cycle_and_runs_until_finished(core):
    assert await core.step() == set()
    await core.start()
    for _ in range(5):
        assert await core.step() == {"run"}
    assert core.status() == BUSY | LOADED | KEYED
    assert await core.step(finished=1) == {"run"}
    assert core.status() == LOADED | KEYED | DONE
    assert await core.step() == {"clear"}
    assert await core.step() == set()


@control_test
async def test_finished_counts_only_while_running(core):
    """The data path is idle before and in the cycle in which it is cleared, too."""
    assert await core.step(finished=1) == set()
    assert core.status() == LOADED | KEYED
    assert await core.step(START, finished=1) == set()
    assert await core.step(finished=1) == {"clear"}
    assert await core.step() == {"run"}


@control_test
async def test_next_start_takes_done_and_error_back(core):
    await core.start()
    await core.step(finished=1)
    assert await core.step() == {"clear"}
    await core.start()
    await core.step(ABORT)
    await core.check_stops(Error.ABORTED)
    await core.start()
    assert await core.step() == {"run"}


@control_test
async def test_load_is_passed_on_and_takes_done_and_error_back(core):
    await core.fail(Error.BAD_KEY_SIZE)
    await core.check_stops(Error.BAD_KEY_SIZE)
    assert await core.step(LOAD) == {"load"}
    core.level(loading=1, loaded=0)
    assert core.status() == BUSY | KEYED
    assert await core.step() == set()
    core.level(loading=0, loaded=1)
    assert core.status() == LOADED | KEYED


@control_test
async def test_load_and_start_are_ignored_while_busy(core):
    await core.step(START)
    assert await core.step(LOAD | START) == {"clear"}
    for _ in range(2):
        assert await core.step(LOAD | START) == {"run"}
    assert core.status() == BUSY | LOADED | KEYED
    await core.step(finished=1)
    core.level(loading=1)
    assert await core.step(LOAD) == {"clear"}  # one is being loaded
    for _ in range(3):  # START does not clear a lock that a head passes
        assert await core.step(START) == set()
    assert core.status() & BUSY


@control_test
async def test_load_goes_before_start(core):
    assert await core.step(LOAD | START) == {"load"}
    for _ in range(3):
        assert await core.step() == set()


@control_test
async def test_start_without_key(core):
    core.level(keyed=0)
    assert await core.step(START) == {"zeroise"}
    await core.check_stops(Error.NO_KEY)


@control_test
async def test_start_without_program(core):
    for keyed in (0, 1):
        core.level(loaded=0, keyed=keyed)
        assert await core.step(START) == {"zeroise"}
        await core.check_stops(Error.NO_PROGRAM)


def test_a_suite_without_lock_starts_without_key():
    dut = Control(locks=False, seals=False)

    async def testbench(ctx):
        core = Core(ctx, dut)
        core.level(keyed=0)
        assert await core.step(START) == set()
        assert await core.step() == {"clear"}
        assert await core.step() == {"run"}
        assert core.status() == BUSY | LOADED

    simulate(dut, testbench)


@pytest.mark.parametrize("seals", [False, True])
def test_a_suite_that_seals_loads_only_with_a_key(seals):
    """Else the error is that of a START without one. While a head loads or a run goes on, LOAD does nothing."""
    dut = Control(locks=True, seals=seals)

    async def testbench(ctx):
        core = Core(ctx, dut)
        assert await core.step(LOAD) == {"load"}
        core.level(keyed=0)
        for loaded in (0, 1):
            core.level(loaded=loaded)
            if seals:
                assert await core.step(LOAD) == {"zeroise"}
                assert core.error() == Error.NO_KEY and not ctx.get(dut.status) & BUSY
                assert await core.step() == {"stop"}
            else:
                assert await core.step(LOAD) == {"load"}
                assert core.error() == Error.NONE
            assert await core.step() == set()
        core.level(loading=1, loaded=0)
        assert await core.step(LOAD) == set(), "one is being loaded"
        core.level(loading=0, loaded=1, keyed=1)
        await core.start()
        core.level(keyed=0)
        for _ in range(2):
            assert await core.step(LOAD) == {"run"}

    simulate(dut, testbench)


FAILURES = [
    *((False, error) for error in Error if error != Error.NONE),
    *((True, error) for error in (Error.BAD_LICENCE, Error.OTHER_MODEL, Error.BAD_TAG, Error.BAD_KEY_SIZE)),
]


@pytest.mark.parametrize("licences, error", FAILURES)
@pytest.mark.parametrize("when", ["idle", "starting", "running", "finishing", "loading"])
def test_an_error_stops_clears_and_zeroises_at_any_time(when, licences, error):
    """With licences it drops the program instead: the key is the device's own."""
    dut = Control(locks=True, seals=licences, licences=licences)

    async def testbench(ctx):
        core = Core(ctx, dut, licences)
        if when == "starting":
            await core.step(START)
        elif when in ("running", "finishing"):
            await core.start()
            await core.step()
        core.level(loading=when == "loading")
        await core.fail(error, finished=when == "finishing")
        core.level(loading=0)
        await core.check_stops(error)
        await core.start()
        assert await core.step() == {"run"}

    simulate(dut, testbench)


@pytest.mark.parametrize("licences", [False, True])
@pytest.mark.parametrize("command", [ABORT, ZEROISE])
@pytest.mark.parametrize("when", ["starting", "running", "finishing", "loading"])
def test_abort_is_an_error_while_busy(when, command, licences):
    """The register file takes the key with ZEROISE, whatever is going on."""
    dut = Control(locks=True, seals=licences, licences=licences)

    async def testbench(ctx):
        core = Core(ctx, dut, licences)
        if when == "starting":
            await core.step(START)
        elif when in ("running", "finishing"):
            await core.start()
        core.level(loading=when == "loading")
        await core.loses(command, finished=when == "finishing")
        core.level(loading=0)
        await core.check_stops(Error.ABORTED)

    simulate(dut, testbench)


@pytest.mark.parametrize("keyed, loaded, spent", [*product((0, 1), repeat=3)])
def test_with_licences_a_start_that_is_refused_begins_nothing_and_drops_the_program(keyed, loaded, spent):
    """Without a program, without a key, or with fewer inferences left than the run has. So does a LOAD without a key."""
    dut = Control(locks=True, seals=True, licences=True)
    wanted = Error.NO_PROGRAM if not loaded else Error.NO_KEY if not keyed else Error.NONE_LEFT if spent else Error.NONE

    async def testbench(ctx):
        core = Core(ctx, dut, licences=True)
        core.level(keyed=keyed, loaded=loaded, spent=spent)
        if wanted == Error.NONE:
            await core.start()
            core.level(spent=1)  # of the run that comes next
            for _ in range(3):
                assert await core.step() == {"run"}
            return
        await core.loses(START)
        assert not ctx.get(dut.begin)
        await core.check_stops(wanted)
        for _ in range(3):
            assert await core.step() == set()
        if keyed:
            assert await core.step(LOAD) == {"load"}
        else:
            await core.loses(LOAD)
            await core.check_stops(Error.NO_KEY, clears=False)

    simulate(dut, testbench)


@control_test
async def test_abort_while_idle_stops_the_ports_without_error_or_zeroise(core):
    """The second ABORT, for a host whose packet was cut off while the port flushes."""
    core.level(flushing=1)
    assert core.status() == LOADED | KEYED | FLUSHING
    assert await core.step(ABORT) == set()
    assert core.status() == LOADED | KEYED | FLUSHING
    assert await core.step() == {"stop", "clear"}
    assert await core.step() == set()


@control_test
async def test_abort_and_start_together_start_nothing_that_hangs(core):
    assert await core.step(ABORT | START) == set()
    assert await core.step() == {"stop", "clear"}
    assert await core.step() == {"run"}
    await core.step(finished=1)
    assert core.status() == LOADED | KEYED | DONE


@control_test
async def test_an_error_of_the_data_path_goes_before_abort_and_a_bad_start(core):
    core.level(keyed=0)
    await core.step(START | ABORT, Error.IFMAP_LENGTH)
    assert await core.step() == {"stop", "clear", "zeroise"}  # of ABORT; the error brings no second stop
    assert core.error() == Error.IFMAP_LENGTH
    assert await core.step() == {"clear"}
    assert await core.step() == set()


@control_test
async def test_an_error_that_stays_up_as_long_as_the_run_stops_once(core):
    """A second stop would tell the packet gates that the sender has given up."""
    await core.start()
    for _ in range(2):  # the data path runs on while the error is acted upon
        assert await core.step(errors=Error.BAD_DESCRIPTOR) >= {"run"}
    assert "stop" in await core.step()
    for _ in range(5):
        assert "stop" not in await core.step()
    assert core.error() == Error.BAD_DESCRIPTOR


@control_test
async def test_the_last_error_is_kept(core):
    await core.step(errors=Error.BAD_MAGIC)
    await core.step()
    await core.step(errors=Error.TOO_LARGE)
    for _ in range(10):
        await core.step()
        assert core.error() == Error.TOO_LARGE


def test_reset_while_running():
    dut = Control(locks=True, seals=False)
    reset = Signal()

    async def testbench(ctx):
        core = Core(ctx, dut)
        await core.start()
        await core.step()
        core.level(loading=0)
        ctx.set(reset, 1)
        await ctx.tick()
        ctx.set(reset, 0)
        assert core.status() == LOADED | KEYED
        assert await core.step() == set()
        await core.start()

    simulate(ResetInserter(reset)(dut), testbench)


@pytest.mark.parametrize("licences", [False, True])
def test_the_key_goes_at_the_end_of_a_run_if_so_configured(licences):
    """And in any case the data path is cleared, whose key schedule has read the key again after the last section."""
    dut = Control(locks=True, seals=licences, licences=licences)

    async def testbench(ctx):
        core = Core(ctx, dut, licences)
        for at_end in (0, 1):
            core.level(zeroise_at_end=at_end)
            await core.start()
            assert await core.step() == {"run"}
            assert await core.step(finished=1) == {"run"} | ({"zeroise"} if at_end else set())
            assert core.status() == LOADED | KEYED | DONE
            assert await core.step() == {"clear"}

    simulate(dut, testbench)
