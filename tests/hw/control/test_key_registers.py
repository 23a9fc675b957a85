"""The key in the register file, against a model of its rules alone: size first, words in order, never read, zeroised."""

from dataclasses import dataclass, replace

import pytest
from amaranth import Signal
from amaranth.sim import Simulator

from deeplock.hw.basics.axi import Response
from deeplock.hw.control.registers import ADDRESS_BITS, RegisterFile
from deeplock.pymodel.spec.registers import REGISTERS, Access, Command, Status, address, key_writes
from tests.hw.register_bus import CONFIG, FIXED, KEY, KEY_REGISTERS, NO_KEY, PLAIN, Bus, run

CONFIGS = [CONFIG, FIXED[16], FIXED[24], FIXED[32], replace(CONFIG, pipeline_registers=False)]
WRITES = key_writes(KEY)


@dataclass
class Rules:
    """The key registers of a device that takes `sizes`: each method answers whether the write is taken."""

    sizes: tuple[int, ...]
    size: int = 0
    words: tuple[int, ...] = ()
    busy: bool = False

    def zeroise(self) -> None:
        self.size, self.words = 0, ()

    def write(self, name: str, value: int) -> bool:
        if self.busy or name not in KEY_REGISTERS[: 1 + max(self.sizes) // 4]:
            return False
        if name == "KEY_SIZE":
            self.zeroise()
            self.size = value if value in self.sizes else 0
            return True
        if name == f"KEY{len(self.words)}" and len(self.words) < self.size // 4:
            self.words += (value,)
            return True
        self.zeroise()
        return False

    def key(self) -> tuple[int, bytes, int]:
        keyed = len(self.words) == self.size // 4 > 0
        return keyed, b"".join(word.to_bytes(4, "little") for word in self.words).ljust(32, b"\0"), self.size


async def write(bus: Bus, name: str, value: int) -> bool:
    """Whether the write is taken; a cycle later, when erased words are 0."""
    response = await bus.write(address(name), value)
    await bus.tick()
    return response == Response.OKAY


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: f"{config.key_sizes}-{config.pipeline_registers}")
def test_random_writes_leave_what_the_rules_say(config, dice):
    """Nine steps in ten go on as a key does."""
    rules = Rules(config.key_sizes)
    keys = sized = 0

    async def core_zeroises(bus):
        bus.ctx.set(bus.dut.control.zeroise, 1)
        await bus.tick()
        bus.ctx.set(bus.dut.control.zeroise, 0)
        await bus.tick()
        rules.zeroise()

    async def testbench(bus):
        nonlocal keys, sized
        for _ in range(1500):
            if dice.random() < 0.9:
                name = f"KEY{len(rules.words)}" if len(rules.words) < rules.size // 4 else "KEY_SIZE"
            else:
                name = dice.choice([*KEY_REGISTERS, "ZEROISE", "core", "BUSY", "COUNT"])
            value = dice.choice([*config.key_sizes * 6, 20]) if name == "KEY_SIZE" else dice.randrange(1 << 32)
            if name == "core":
                await core_zeroises(bus)
            elif name == "ZEROISE":
                assert await write(bus, "CONTROL", Command.ZEROISE)
                rules.zeroise()
            elif name == "BUSY":
                rules.busy = True
                bus.ctx.set(bus.dut.control.status, Status.BUSY)
                for other in dice.sample(KEY_REGISTERS, 3):
                    assert await write(bus, other, value) == rules.write(other, value)
                rules.busy = False
                bus.ctx.set(bus.dut.control.status, 0)
                await bus.tick()
            elif name == "COUNT":
                await write(bus, name, value)
            else:
                assert await write(bus, name, value) == rules.write(name, value), name
            assert bus.key() == rules.key()
            keys, sized = keys + rules.key()[0], sized + (name == "KEY_SIZE" and value == 20)
        assert keys > 20 and bus.bad_key_sizes == sized > 0

    run(testbench, config)


@pytest.mark.parametrize("size", [16, 24, 32])
def test_a_key_is_in_place_with_its_last_word_lowest_byte_first_and_never_read_back(size):
    async def testbench(bus):
        for number, (name, value) in enumerate(key_writes(KEY[:size])):
            assert bus.key() == (0, KEY[: max(4 * number - 4, 0)].ljust(32, b"\0"), size if number else 0)
            assert await bus.write(address(name), value) == Response.OKAY
        assert bus.key() == (1, KEY[:size].ljust(32, b"\0"), size)
        seen = []
        for where in range(0, 1 << ADDRESS_BITS, 4):
            register = next((r for r in REGISTERS if r.address == where), None)
            value, _ = await bus.read(where)
            if register is None or register.access == Access.WRITE:
                assert value == 0
            seen.append(value.to_bytes(4, "little"))
        assert not {KEY[i : i + 4] for i in range(29)} & set(seen)

    run(testbench)


@pytest.mark.parametrize("only", FIXED)
def test_an_accelerator_for_one_key_size_takes_no_other(only):
    async def testbench(bus):
        for size in (16, 24, 32):
            if size > only:  # no register, so the write changes nothing
                await bus.load_key(KEY[:only])
                assert not await write(bus, f"KEY{size // 4 - 1}", 5)
                assert bus.key()[0]
            if size != only:
                assert await write(bus, "KEY_SIZE", size)
                assert bus.bad_key_sizes == 1 and bus.key() == NO_KEY
                assert not await write(bus, "KEY0", 5)
                bus.bad_key_sizes = 0
        await bus.load_key(KEY[:only])
        assert bus.key() == (1, KEY[:only].ljust(32, b"\0"), only)

    run(testbench, FIXED[only])


@pytest.mark.parametrize("size", [0, 1, 15, 17, 48, 16 | 32 << 8, 1 << 31 | 16])
@pytest.mark.parametrize("there", [0, 4, 9])
def test_a_wrong_key_size_clears_the_key_and_pulses(size, there):
    async def testbench(bus):
        for name, value in WRITES[:there]:
            await bus.write(address(name), value)
        assert await write(bus, "KEY_SIZE", size)
        assert bus.bad_key_sizes == 1 and bus.key() == NO_KEY

    run(testbench)


@pytest.mark.parametrize("config", [CONFIG, FIXED[16]])
@pytest.mark.parametrize("there", [0, 1, 2, 4, 9])
def test_a_word_that_does_not_follow_clears_all(config, there):
    """With no size, twice, one left out, KEY0 again, beyond the size, over a key in place; and what follows makes no key."""
    writes = key_writes(KEY[: max(config.key_sizes)])[:there]

    async def testbench(bus):
        for index in range(max(config.key_sizes) // 4):
            rules = Rules(config.key_sizes)
            for name, value in writes:
                assert await bus.write(address(name), value) == Response.OKAY
                rules.write(name, value)
            if rules.write(f"KEY{index}", 0):
                continue  # the word that follows
            assert not await write(bus, f"KEY{index}", 0x0102_0304)
            assert bus.key() == NO_KEY
            for name, value in key_writes(KEY)[index + 2 :]:
                await bus.write(address(name), value)
            await bus.tick()
            assert bus.key() == NO_KEY

    run(testbench, config)


def test_words_beyond_the_size_clear_all():
    async def testbench(bus):
        for size, beyond in ((16, 4), (16, 7), (24, 6)):
            await bus.load_key(KEY[:size])
            assert not await write(bus, f"KEY{beyond}", 5)
            assert bus.key() == NO_KEY

    run(testbench)


@pytest.mark.parametrize("there", [1, 3, 5])
def test_a_size_again_begins_anew_and_leaves_no_word(there):
    async def testbench(bus):
        for size in (16, 24, 32):
            await bus.load_key(KEY[::-1])  # and then a part of another one
            for name, value in WRITES[:there]:
                await bus.write(address(name), value)
            assert await write(bus, "KEY_SIZE", size)
            assert bus.key() == (0, bytes(32), size)
            await bus.load_key(KEY[:size])
            assert bus.key() == (1, KEY[:size].ljust(32, b"\0"), size)

    run(testbench)


@pytest.mark.parametrize("way", ["command", "core"])
@pytest.mark.parametrize("there", [1, 4, 9])
def test_zeroise_clears_size_in_one_cycle_and_key_in_two(way, there):
    async def testbench(bus):
        for name, value in WRITES[:there]:
            await bus.write(address(name), value)
        if way == "command":
            await bus.write(address("CONTROL"), Command.ZEROISE)
        else:
            bus.ctx.set(bus.dut.control.zeroise, 1)
            await bus.tick()
            bus.ctx.set(bus.dut.control.zeroise, 0)
        keyed, _, size = bus.key()
        assert (keyed, size) == (0, 0)
        await bus.tick()
        assert bus.key() == NO_KEY
        assert not await write(bus, f"KEY{there % 8}", 5)
        await bus.load_key(KEY[:16])
        assert bus.key() == (1, KEY[:16].ljust(32, b"\0"), 16)

    run(testbench)


@pytest.mark.parametrize("number", [1, 4, 8])
@pytest.mark.parametrize("delay", range(4))
def test_a_word_written_while_the_core_zeroises_leaves_nothing(delay, number):
    """In any cycle of the write, which is taken in the second one; the last word makes no key of zeros."""

    async def testbench(bus):
        for name, value in WRITES[:number]:
            await bus.write(address(name), value)
        name, value = WRITES[number]
        writes = ((bus.awaddr, address(name)), (bus.wdata, value), (bus.wstrb, 15), (bus.bready, 1))
        for signal, level in (*writes, (bus.awvalid, 1), (bus.wvalid, 1)):
            bus.ctx.set(signal, level)
        for cycle in range(5):
            bus.ctx.set(bus.dut.control.zeroise, cycle == delay)
            accepted, bvalid, bresp = await bus.tick(bus.awready, bus.bvalid, bus.bresp)
            if accepted:
                bus.ctx.set(bus.awvalid, 0)
                bus.ctx.set(bus.wvalid, 0)
            if bvalid:
                assert bresp == (Response.SLVERR if delay == 0 else Response.OKAY)
            assert not bus.key()[0] or cycle < delay
        await bus.tick()
        assert bus.key() == NO_KEY

    run(testbench)


def test_the_key_registers_refuse_writes_while_busy_but_zeroise_works():
    async def testbench(bus):
        for there in (3, 9):  # a key half written, and a whole one
            for name, value in WRITES[:there]:
                await bus.write(address(name), value)
            before = bus.key()
            bus.ctx.set(bus.dut.control.status, Status.BUSY)
            for name in KEY_REGISTERS:
                assert not await write(bus, name, 16)
                assert not await write(bus, name, 17)
            assert bus.key() == before and bus.bad_key_sizes == 0
            await write(bus, "CONTROL", Command.ZEROISE)
            assert bus.key() == NO_KEY
            bus.ctx.set(bus.dut.control.status, 0)
            await bus.tick()

    run(testbench)


def test_a_start_together_with_zeroise_finds_no_key():
    dut = RegisterFile(CONFIG)

    async def testbench(ctx):
        bus = Bus(dut, ctx)
        await bus.load_key(KEY)
        await bus.write(address("CONTROL"), Command.ZEROISE | Command.START)

    async def observer(ctx):
        async for *_, command, keyed in ctx.tick().sample(dut.control.command, dut.control.keyed):
            assert not (command and keyed)

    simulator = Simulator(dut)
    simulator.add_clock(1e-6)
    simulator.add_testbench(observer, background=True)
    simulator.add_testbench(testbench)
    simulator.run()


@pytest.mark.parametrize("there", range(10))
def test_after_a_reset_in_mid_sequence_the_rest_makes_no_key(there):
    reset = Signal()

    async def testbench(bus):
        for name, value in WRITES[:there]:
            await bus.write(address(name), value)
        bus.ctx.set(reset, 1)
        await bus.tick()
        bus.ctx.set(reset, 0)
        assert bus.key() == NO_KEY
        for name, value in WRITES[max(there, 1) :]:
            assert await bus.write(address(name), value) == Response.SLVERR
        await bus.tick()
        assert bus.key() == NO_KEY
        assert await write(bus, "KEY_SIZE", 32)
        assert bus.key() == (0, bytes(32), 32)
        await bus.load_key(KEY)
        assert bus.key() == (1, KEY, 32)

    run(testbench, reset=reset)


def test_plain_has_no_key():
    async def testbench(bus):
        for name in KEY_REGISTERS:
            assert not await write(bus, name, 16)
        assert bus.key() == NO_KEY and bus.bad_key_sizes == 0

    run(testbench, PLAIN)
