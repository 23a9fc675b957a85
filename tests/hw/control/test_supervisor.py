import pytest

from deeplock.hw.control.supervisor import Supervisor
from deeplock.pymodel.spec.registers import Command, Error, Status
from tests.hw.stream_tools import simulate

FAULTS = {
    "stream": ({"stream": Error.LOADABLE_TOO_LONG}, Error.LOADABLE_TOO_LONG),
    "tag": ({"wrong_tag": 1}, Error.BAD_TAG),
    "licence": ({"unlicensed": 1}, Error.BAD_LICENCE),
    "loading.error": ({"loading.error": Error.LOADABLE_TRUNCATED}, Error.LOADABLE_TRUNCATED),
    "length": ({"unfolder.bad_length": 1}, Error.IFMAP_LENGTH),
    "loader.short": ({"loader.short": 1}, Error.LOADABLE_TRUNCATED),
    "loader.long": ({"loader.long": 1}, Error.LOADABLE_TOO_LONG),
    "key size": ({"registers.bad_key_size": 1}, Error.BAD_KEY_SIZE),
}
WHENEVER = {"stream", "tag", "licence", "loading.error", "key size"}
with_and_without_licences = pytest.mark.parametrize("licences", [False, True], ids=["keyed", "licensed"])


def supervisor_test(testbench, seals=False, licences=False):
    """Run `await testbench(ctx, dut, level)` with a key and a program; `level` sets members by their paths."""
    dut = Supervisor(locks=True, seals=seals or licences, licences=licences)

    async def process(ctx):
        def level(**values: int) -> None:
            for path, value in values.items():
                port = dut
                for name in path.split("."):
                    port = getattr(port, name)
                ctx.set(port, value)

        level(**{"registers.keyed": 1, "registers.count": 5, "loading.loaded": 1})
        await testbench(ctx, dut, level)

    simulate(dut, process)


async def start(ctx, dut) -> None:
    ctx.set(dut.registers.command, Command.START)
    await ctx.tick()
    ctx.set(dut.registers.command, 0)
    assert ctx.get(dut.begin) and not ctx.get(dut.run.active)
    await ctx.tick()
    assert ctx.get(dut.start) and ctx.get(dut.run.active) and ctx.get(dut.run.count) == 5


@with_and_without_licences
@pytest.mark.parametrize("running", [False, True])
@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_has_its_error_and_ends_the_run(name, running, licences):
    """Those of the datapath only while it runs: what it says otherwise is of a run that has ended. It takes the key, or with
    licences the program."""
    values, error = FAULTS[name]

    async def testbench(ctx, dut, level):
        if running:
            await start(ctx, dut)
        level(**values)
        await ctx.tick()
        level(**dict.fromkeys(values, 0))
        zeroised = forgotten = 0
        for _ in range(4):
            await ctx.tick()
            zeroised += ctx.get(dut.registers.zeroise)
            forgotten += ctx.get(dut.loading.forget)
        heeded = running or name in WHENEVER
        assert ctx.get(dut.registers.status) >> 8 == (error if heeded else Error.NONE)
        assert not (ctx.get(dut.run.active) or ctx.get(dut.going))
        assert (zeroised, forgotten) == ((0, heeded) if licences else (heeded, 0))

    supervisor_test(testbench, licences=licences)


@pytest.mark.parametrize("name", FAULTS)
def test_with_licences_nothing_starts_once_a_failure_has_dropped_the_program(name):
    """In whatever cycle the START comes: it has no effect, as while BUSY, or its run ends with the failure, or there is no
    program. The key is in place all the time."""
    values, _ = FAULTS[name]

    async def testbench(ctx, dut, level):
        for running in (False, True):
            for delay in range(8):
                level(**{"loading.loaded": 1})
                if running:
                    await start(ctx, dut)
                for cycle in range(12):
                    level(**(values if cycle == 1 else dict.fromkeys(values, 0)))
                    level(**{"registers.command": Command.START if cycle == delay else 0})
                    forgets = ctx.get(dut.loading.forget)
                    assert not ctx.get(dut.run.active) or ctx.get(dut.loading.loaded)
                    await ctx.tick()
                    if forgets:
                        level(**{"loading.loaded": 0})
                level(**{"registers.command": Command.ABORT})
                await ctx.tick()
                level(**{"registers.command": 0})
                await ctx.tick().repeat(3)

    supervisor_test(testbench, licences=True)


@pytest.mark.parametrize("when", ["at the end", "by command"])
def test_with_licences_zeroise_goes_to_the_key_only_at_the_end_of_a_run_and_the_program_goes_with_the_key(when):
    """The command goes to the register file itself."""

    async def testbench(ctx, dut, level):
        await start(ctx, dut)
        at_end = when == "at the end"
        level(
            **{"sequencer.idle": 1, "registers.zeroise_at_end": 1} if at_end else {"registers.command": Command.ZEROISE}
        )
        seen = []
        for _ in range(4):
            await ctx.tick()
            level(**{"registers.command": 0})
            seen.append(ctx.get(dut.registers.zeroise))
        assert sum(seen) == at_end and not ctx.get(dut.run.active)
        assert ctx.get(dut.registers.status) >> 8 == (Error.NONE if at_end else Error.ABORTED)
        level(**{"registers.keyed": 0})
        assert ctx.get(dut.loading.forget)

    supervisor_test(testbench, licences=True)


def test_a_run_that_the_licence_does_not_allow_does_not_begin():
    async def testbench(ctx, dut, level):
        level(spent=1, **{"registers.command": Command.START})
        await ctx.tick()
        level(**{"registers.command": 0})
        assert ctx.get(dut.registers.status) >> 8 == Error.NONE_LEFT and ctx.get(dut.loading.forget)
        assert ctx.get(dut.erase)
        for _ in range(4):
            assert not (ctx.get(dut.begin) or ctx.get(dut.run.active) or ctx.get(dut.registers.zeroise))
            await ctx.tick()

    supervisor_test(testbench, licences=True)


def test_of_faults_in_the_same_cycle_the_earlier_part_of_the_stream_tells_the_error():
    async def testbench(ctx, dut, level):
        await start(ctx, dut)
        values = {name: value for fault, _ in FAULTS.values() for name, value in fault.items()}
        level(**values)
        await ctx.tick()
        level(**dict.fromkeys(values, 0))
        await ctx.tick().repeat(4)
        assert ctx.get(dut.registers.status) >> 8 == Error.LOADABLE_TOO_LONG

    supervisor_test(testbench)


@pytest.mark.parametrize("seals", [False, True])
def test_a_key_is_needed_to_load_if_the_suite_seals(seals):
    async def testbench(ctx, dut, level):
        for keyed in (0, 1):
            level(**{"registers.keyed": keyed, "registers.command": Command.LOAD})
            assert ctx.get(dut.loading.load) == (keyed or not seals)
            await ctx.tick()
            level(**{"registers.command": 0})
            refused = seals and not keyed
            assert ctx.get(dut.registers.status) >> 8 == (Error.NO_KEY if refused else Error.NONE)
            await ctx.tick().repeat(3)

    supervisor_test(testbench, seals)


@pytest.mark.parametrize("seals", [False, True])
def test_a_key_that_goes_takes_the_program_with_it(seals):
    """A pulse in the cycle in which it has gone, however it goes; no pulse while a key comes or stays."""

    async def testbench(ctx, dut, level):
        for keyed, forgets in ((1, 0), (1, 0), (0, 1), (0, 0), (1, 0), (0, 1), (1, 0)):
            await ctx.tick()
            level(**{"registers.keyed": keyed})
            assert ctx.get(dut.loading.forget) == forgets

    supervisor_test(testbench, seals)


def test_a_run_is_done_when_the_sequencer_is_idle_and_every_beat_has_left():
    async def testbench(ctx, dut, level):
        await start(ctx, dut)
        level(**{"sequencer.idle": 1, "delivering": 1})
        await ctx.tick().repeat(5)
        assert ctx.get(dut.going)
        level(delivering=0)
        await ctx.tick()
        assert ctx.get(dut.run.active) and not ctx.get(dut.going)
        await ctx.tick()
        assert not ctx.get(dut.run.active)
        assert ctx.get(dut.registers.status) == Status.LOADED | Status.KEYED | Status.DONE

    supervisor_test(testbench)


def test_a_key_that_is_being_zeroised_counts_no_more():
    async def testbench(ctx, dut, level):
        level(**{"registers.bad_key_size": 1})
        await ctx.tick()
        level(**{"registers.bad_key_size": 0})
        await ctx.tick()
        assert ctx.get(dut.registers.zeroise)
        assert not ctx.get(dut.registers.status) & Status.KEYED

    supervisor_test(testbench)


@pytest.mark.parametrize(
    "event, erases",
    [
        ({"stream": Error.LOADABLE_TRUNCATED}, True),
        ({"wrong_tag": 1}, True),
        ({"unlicensed": 1}, True),
        ({"loading.error": Error.BAD_MAGIC}, True),
        ({"unfolder.bad_length": 1}, True),
        ({"registers.command": Command.ABORT}, True),
        ({"registers.command": Command.ZEROISE}, True),
        ({"registers.keyed": 0}, True),
        ({"registers.bad_key_size": 1}, True),
        ({"sequencer.idle": 1, "registers.zeroise_at_end": 1}, True),
        ({"sequencer.idle": 1}, False),
        ({"registers.command": Command.START}, False),
        ({"flushing": 1}, False),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else str(value),
)
@with_and_without_licences
def test_what_takes_the_key_or_stops_a_run_erases(event, erases, licences):
    """Within 3 cycles; the end of a run does not."""

    async def testbench(ctx, dut, level):
        await start(ctx, dut)
        level(**event)
        seen = []
        for cycle in range(6):
            await ctx.tick()
            seen.append(ctx.get(dut.erase))
            pulses = (
                "registers.command",
                "registers.bad_key_size",
                "stream",
                "wrong_tag",
                "unlicensed",
                "loading.error",
            )
            level(**dict.fromkeys((*pulses, "unfolder.bad_length"), 0))
            if cycle == 0:
                level(erasing=1)
                assert ctx.get(dut.registers.status) & Status.ERASING
        assert any(seen[:3]) == any(seen) == erases

    supervisor_test(testbench, licences=licences)
