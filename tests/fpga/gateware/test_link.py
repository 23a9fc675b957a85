import re
import subprocess
from functools import partial

import pytest
from amaranth.back import rtlil
from amaranth.hdl import Fragment, Module, Signal, Value
from amaranth.lib.wiring import connect

from deeplock.fpga.frames import (
    REQUEST_SYNC,
    VERSION,
    Command,
    Frame,
    Info,
    State,
    read_item,
    stream_item,
    write_item,
)
from deeplock.fpga.gateware.flash import FlashReader
from deeplock.fpga.gateware.link import Link
from deeplock.fpga.gateware.uart import UartReceiver, UartTransmitter
from deeplock.fpga.host.client import LinkClient
from deeplock.hw.control.registers import RegisterFile
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.spec.registers import ID, address
from tests.fpga.link_tools import (
    CLOCK,
    CONFIG,
    GEOMETRY,
    BytePipe,
    Registers,
    config_of,
    give_ofmaps,
    raw,
    run,
    take_ifmaps,
)
from tests.hw.refusal import assert_refused
from tests.hw.yosys import YOSYS

LANES = CONFIG.lanes


@pytest.mark.parametrize("pauses", [0.0, 0.7])
def test_registers_are_read_and_written_one_by_one(pauses, dice):
    dut = Link(CONFIG, CLOCK, "testboard")
    registers = Registers(dut, dice, pauses, GEOMETRY | {4 * index: dice.randrange(1 << 32) for index in range(2, 256)})
    before = dict(registers.values)

    async def testbench(ctx):
        client = LinkClient(BytePipe(ctx, dut))
        assert await client.connect() == Info(VERSION, CLOCK, "testboard")
        assert await client.connect("testboard")
        names = ["CYCLES", "STATUS", "COMPUTE"] * 30
        assert await client.read_all(names) == [before[address(name)] for name in names]
        for name in ("COUNT", "KEY7", "CONFIG"):
            value = dice.randrange(1 << 32)
            await client.write(name, value)
            assert registers.written == [(address(name), value)]
            assert await client.read(name) == value
            registers.written.clear()
        items = [(4 * dice.randrange(1, 256), dice.randrange(1 << 32)) for _ in range(51)]
        data, state = await raw(ctx, dut, Command.WRITE, b"".join(write_item(*item) for item in items))
        assert (data, state) == (b"", State(0)) and registers.written == items

    run(dut, testbench, registers.work)


def test_a_refused_access_ends_the_request(dice):
    dut = Link(CONFIG, CLOCK, "testboard")
    registers = Registers(dut, dice, 0.3, {**GEOMETRY, address("COUNT"): 7})

    async def testbench(ctx):
        client = LinkClient(BytePipe(ctx, dut))
        with pytest.raises(OSError, match="^read of STATUS: refused$"):
            await client.read("STATUS")
        with pytest.raises(OSError, match="^write of KEY0: refused$"):
            await client.write("KEY0", 0x12345678)
        assert await client.read("COUNT") == 7
        registers.read.clear()
        registers.written.clear()
        count, other = address("COUNT"), address("CONFIG")
        data, state = await raw(ctx, dut, Command.READ, b"".join(map(read_item, (count, other, count))))
        assert (data, state) == (b"\7\0\0\0\0\0\0\0", State.REFUSED) and registers.read == [count, other]
        items = [(count, 8), (other, 9), (count, 10)]
        data, state = await raw(ctx, dut, Command.WRITE, b"".join(write_item(*item) for item in items))
        assert (data, state) == (b"", State.REFUSED) and registers.written == items[:2]

    run(dut, testbench, registers.work)


def test_the_accelerators_registers_take_a_key_and_latencies_are_as_stated():
    """Latency: cycles from the last byte of a request to the first one of its answer."""
    m = Module()
    m.submodules.dut = dut = Link(CONFIG, CLOCK, "testboard")
    m.submodules.registers = registers = RegisterFile(CONFIG)
    connect(m, dut.registers, registers.s_axil)

    async def latency(ctx, command: Command, payload: bytes = b"") -> int:
        pipe = BytePipe(ctx, dut)
        request = Frame(0, command, payload).encode(REQUEST_SYNC)
        await pipe.send(request[:-1])
        ctx.set(dut.rx.valid, 1)
        ctx.set(dut.rx.payload, request[-1])
        cycles = 0
        while not ctx.get(dut.tx.valid):
            await ctx.tick()
            ctx.set(dut.rx.valid, 0)
            cycles += 1
        head = await pipe.receive(3, 1)
        await pipe.receive(head[2] + 2, 1)
        return cycles

    async def testbench(ctx):
        client = LinkClient(BytePipe(ctx, dut))
        await client.connect()
        assert await client.read("ID") == ID
        await client.write("KEY_SIZE", 16)
        for index in range(4):
            await client.write(f"KEY{index}", 0x01010101 * (index + 1))
        assert ctx.get(registers.control.keyed)
        assert ctx.get(registers.key.value) == int.from_bytes(
            bytes((1,) * 4 + (2,) * 4 + (3,) * 4 + (4,) * 4), "little"
        )
        assert await latency(ctx, Command.READ) == 3
        assert await latency(ctx, Command.RESET) == 3 + 1
        assert await latency(ctx, Command.INFO) == 3 + 17
        ctx.set(dut.ofmap.payload.keep, -1)
        ctx.set(dut.ofmap.valid, 1)  # without end; 240 bytes end the answer
        assert await latency(ctx, Command.RECEIVE) == 3 + 240 // LANES * (LANES + 2) + 1
        for items in (1, 5):
            assert await latency(ctx, Command.READ, items * read_item(0)) <= 3 + items * (2 + 1 + 5 + 4)
            assert await latency(ctx, Command.WRITE, items * write_item(address("COUNT"), 1)) <= 3 + items * (
                2 * 5 + 1 + 3
            )
            ctx.set(dut.ifmap.ready, 1)
            assert await latency(ctx, Command.SEND, bytes(4 * items)) <= 3 + items * (2 * 4 + 1 + 1)
            ctx.set(dut.flash.ready, 1)
            assert await latency(ctx, Command.STREAM, items * stream_item(0, 4)) <= 3 + items * (2 * 6 + 1 + 1)

    run(dut, testbench, design=m)


@pytest.mark.parametrize("rows", [4, *(pytest.param(rows, marks=pytest.mark.slow) for rows in (8, 16))])
def test_an_ifmap_arrives_in_beats_when_the_accelerator_takes_it(rows, dice):
    dut = Link(config_of(rows=rows, lanes=1), CLOCK, "testboard")
    registers = Registers(dut, dice, 0.0, {address("GEOMETRY"): 0x0A0B0C00 | rows})
    beats, busy = [], False

    async def testbench(ctx):
        nonlocal busy
        client = LinkClient(BytePipe(ctx, dut))
        await client.connect()
        for size in (rows, 252 // rows * rows, 252 // rows * rows + rows, 800):
            ifmap = dice.randbytes(size)
            busy = True
            assert not await client.send_ifmap(ifmap)
            assert not await client.send_ifmap(ifmap) and beats == []
            busy = False
            assert await client.send_ifmap(ifmap)
            got = b"".join(data.to_bytes(rows, "little") for data, _ in beats)
            assert got == ifmap and [last for _, last in beats] == [0] * (size // rows - 1) + [1]
            beats.clear()
        with pytest.raises(ValueError, match=f"an ifmap must be a multiple of {rows} bytes, not {rows + 1}"):
            await client.send_ifmap(bytes(rows + 1))

    run(dut, testbench, registers.work, partial(take_ifmaps, dut=dut, beats=beats, ready=lambda: not busy))


def test_an_accelerator_that_stops_in_the_middle_of_an_ifmap_gets_no_more_of_it(dice):
    dut = Link(CONFIG, CLOCK, "testboard")
    registers = Registers(dut, dice, 0.0, dict(GEOMETRY))
    beats = []

    async def testbench(ctx):
        client = LinkClient(BytePipe(ctx, dut))
        await client.connect()
        assert not await client.send_ifmap(dice.randbytes(800))
        assert len(beats) == 70 and not any(last for _, last in beats)
        assert await client.read("GEOMETRY") == 4

    run(dut, testbench, registers.work, partial(take_ifmaps, dut=dut, beats=beats, ready=lambda: len(beats) < 70))


@pytest.mark.parametrize("lanes", [1, 2, 8])
def test_ofmaps_come_whole_and_one_by_one(lanes, dice):
    """Of any size and with gaps between bytes of a beat; None as long as the last byte is missing."""
    dut = Link(config_of(rows=8, lanes=lanes), CLOCK, "testboard")
    registers = Registers(dut, dice, 0.0, dict(GEOMETRY))
    offered, ofmaps = [], []
    for beats in (1, 3, 250 // lanes, 2):
        kept = [(dice.randbytes(lanes), dice.randrange(1, 1 << lanes)) for _ in range(beats)]
        ofmaps.append(bytes(byte for data, keep in kept for lane, byte in enumerate(data) if keep >> lane & 1))
        offered += [(int.from_bytes(data, "little"), keep, i == beats - 1) for i, (data, keep) in enumerate(kept)]

    async def testbench(ctx):
        client = LinkClient(BytePipe(ctx, dut))
        await client.connect()
        while ofmaps:
            if (ofmap := await client.receive_ofmap()) is not None:
                assert ofmap == ofmaps.pop(0)
        assert await client.receive_ofmap() is None and State.OFMAP not in client.state

    run(dut, testbench, registers.work, partial(give_ofmaps, dut=dut, beats=offered, dice=dice, pauses=0.8))


def test_the_flash_reader_gets_its_ranges_or_the_host_an_error(dice):
    dut = Link(CONFIG, CLOCK, "testboard")
    registers = Registers(dut, dice, 0.0, dict(GEOMETRY))
    ranges = []

    async def take(ctx):
        async for *_, valid, ready, request in ctx.tick().sample(dut.flash.valid, dut.flash.ready, dut.flash.payload):
            if valid and ready:
                ranges.append((request.address, request.length))

    async def testbench(ctx):
        client = LinkClient(BytePipe(ctx, dut))
        await client.connect()
        with pytest.raises(DeeplockError, match="^the board: the board's flash does not answer$"):
            await client.stream_loadable(0, 4)
        ctx.set(dut.flash.ready, 1)
        wanted = [(0x123456, 0xABCDE8), (0, 1 << 20), (0xFFFFF0, 16)]
        for start, length in wanted:
            await client.stream_loadable(start, length)
        assert ranges == wanted
        for start, length in ((0, 0), (-4, 4), (0xFFFFF0, 20)):
            with pytest.raises(ValueError, match=f"must lie within 16777216 bytes, not {start} and {length}"):
                await client.stream_loadable(start, length)

    run(dut, testbench, registers.work, take)


def test_reset_is_one_pulse(dice):
    dut = Link(CONFIG, CLOCK, "testboard")
    registers = Registers(dut, dice, 0.0, dict(GEOMETRY))
    pulses = 0

    async def count(ctx):
        nonlocal pulses
        async for *_, reset in ctx.tick().sample(dut.reset):
            pulses += reset

    async def testbench(ctx):
        client = LinkClient(BytePipe(ctx, dut))
        await client.connect()
        assert pulses == 0
        await client.reset()
        assert pulses == 1

    run(dut, testbench, registers.work, count)


def test_no_command_gives_a_key_back(dice):
    """Whatever follows the write of a key: nothing that was in its request comes out anywhere."""
    dut = Link(CONFIG, CLOCK, "testboard")
    registers = Registers(dut, dice, 0.0, {4 * index: 0 for index in range(64)})
    key, beats, words = dice.randbytes(16), [], []
    parts = {key[at : at + 2] for at in range(15)}

    async def watch(ctx):
        async for *_, valid, request in ctx.tick().sample(dut.flash.valid, dut.flash.payload.as_value()):
            if valid:
                words.append(request.to_bytes(6, "little"))

    async def testbench(ctx):
        ctx.set(dut.flash.ready, 1)
        for command in range(16):
            for size in (0, 1, 5, 24):
                items = [
                    write_item(address(f"KEY{i}"), int.from_bytes(key[4 * i : 4 * i + 4], "little")) for i in range(4)
                ]
                await raw(ctx, dut, Command.WRITE, b"".join(items))
                registers.values.clear()
                data, _ = await raw(ctx, dut, command, bytes(size))
                seen = [data, *words, *(beat.to_bytes(4, "little") for beat, _ in beats)]
                assert not any(part in text for part in parts for text in seen)
                registers.values |= {4 * index: 0 for index in range(64)}

    run(dut, testbench, registers.work, watch, partial(take_ifmaps, dut=dut, beats=beats, ready=lambda: True))


def test_link_uart_and_flash_reader_take_few_luts(tmp_path):
    """On iCE40 UP5K, as on the iCEBreaker."""
    config, clock = config_of(cols=4, lanes=1, pipeline_registers=False), 24_000_000
    parts = (
        Link(config, clock, "icebreaker"),
        FlashReader(clock, 4, 1),
        UartReceiver(clock, 1e6),
        UartTransmitter(clock, 1e6),
    )
    luts = 0
    for part in parts:
        ports = [port for *_, value in part.signature.flatten(part) if isinstance(port := Value.cast(value), Signal)]
        (tmp_path / "top.il").write_text(rtlil.convert(Fragment.get(part, None), ports=ports))
        script = "read_rtlil top.il; synth_ice40 -device u; tee -o stat.txt stat"
        subprocess.run([YOSYS, "-q", "-p", script], cwd=tmp_path, check=True, timeout=120)
        (count,) = re.findall(r"^\s+(\d+)\s+SB_LUT4$", (tmp_path / "stat.txt").read_text(), re.MULTILINE)
        luts += int(count)
    print(luts, "LUT4")
    assert luts <= 535  # docs/link.md says so


def test_faults_of_arguments_are_named():
    assert_refused(
        "board must be at most 11 characters, not colorlight-i5", lambda: Link(CONFIG, CLOCK, "colorlight-i5")
    )
