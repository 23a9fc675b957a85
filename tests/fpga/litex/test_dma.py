"""The DMAs of fpga/litex/litex_deeplock.py, in LiteX's simulator: packets, pauses, what is dropped, reset in mid-operation."""

import random
from pathlib import Path

import pytest
from litex_deeplock import Deeplock, PacketReader, PacketWriter
from migen import ResetInserter, passive, run_simulation

SEEDS = range(4)
SIZE = 512
"""Bytes of memory."""

MEMORY_CYCLES = 2
"""A write that `Memory` answers at once."""


class Memory:
    """What is behind a Wishbone bus: it answers after 0 to `delay` cycles."""

    def __init__(self, rng: random.Random, delay: int) -> None:
        self.rng, self.delay = rng, delay
        self.data = bytearray(rng.randbytes(SIZE))

    @passive
    def serve(self, bus):
        while True:
            if (yield bus.cyc) and (yield bus.stb):
                for _ in range(self.rng.randint(0, self.delay)):
                    yield
                at = 4 * (yield bus.adr)
                if (yield bus.we):
                    word = (yield bus.dat_w).to_bytes(4, "little")
                    for lane in range(4):
                        if (yield bus.sel) >> lane & 1:
                            self.data[at + lane] = word[lane]
                else:
                    yield bus.dat_r.eq(int.from_bytes(self.data[at : at + 4], "little"))
                yield bus.ack.eq(1)
                yield
                yield bus.ack.eq(0)
            yield


def write(storage, value: int):
    """A write of a CSR, as its bank makes it."""
    yield storage.storage.eq(value)
    yield
    yield storage.re.eq(1)
    yield
    yield storage.re.eq(0)


def packet(dut, base: int, length: int):
    yield from write(dut._base, base)
    yield from write(dut._length, length)


def idle(cycles: int):
    for _ in range(cycles):
        yield


class Receiver:
    """Takes a stream, with pauses, and keeps the packets, and what has come of the next."""

    def __init__(self, rng: random.Random, pauses: float) -> None:
        self.rng, self.pauses = rng, pauses
        self.packets, self.part = [], b""

    @passive
    def take(self, source):
        size = len(source.data) // 8
        while True:
            yield source.ready.eq(self.rng.random() >= self.pauses)
            yield
            if (yield source.valid) and (yield source.ready):
                self.part += (yield source.data).to_bytes(size, "little")
                if (yield source.last):
                    self.packets.append(self.part)
                    self.part = b""


def reading(bits: int, seed: int, pauses: float, delay: int):
    rng = random.Random(f"{bits} {seed}")
    dut = ResetInserter()(PacketReader(bits))
    return rng, dut, Memory(rng, delay), Receiver(rng, pauses)


def some_packet(rng: random.Random, beat: int) -> tuple[int, int]:
    """Base and length, whole beats."""
    beats = rng.randint(1, 12)
    return beat * rng.randint(0, SIZE // beat - beats), beat * beats


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("bits", [32, 64, 128])
def test_packets_come_whole_and_in_order(bits, seed):
    rng, dut, memory, receiver = reading(bits, seed, [0, 0.5][seed % 2], [0, 5][seed // 2])
    packets = [some_packet(rng, bits // 8) for _ in range(8)]

    def send():
        for number, (base, length) in enumerate(packets):
            while len(receiver.packets) < number - 1:  # one may wait
                yield
            yield from packet(dut, base, length)
        while len(receiver.packets) < len(packets):
            yield

    run_simulation(dut, [send(), memory.serve(dut.bus), receiver.take(dut.source)])
    assert receiver.packets == [memory.data[base : base + length] for base, length in packets]


@pytest.mark.parametrize("length, read", [(0, 4), (6, 8)])
def test_a_length_that_is_none_ends(length, read):
    _, dut, memory, receiver = reading(32, 0, 0, 0)

    def send():
        yield from packet(dut, 8, length)
        yield from idle(40)

    run_simulation(dut, [send(), memory.serve(dut.bus), receiver.take(dut.source)])
    assert receiver.packets == [memory.data[8 : 8 + read]]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("how", ["drop", "reset"])
def test_after_a_stop_at_any_time_only_whole_packets_come(how, seed):
    rng, dut, memory, receiver = reading(64, seed, 0.5, 3)
    first, waiting, fresh = (some_packet(rng, 8) for _ in range(3))
    seen = {}

    def send():
        yield from packet(dut, *first)
        yield from packet(dut, *waiting)
        yield from idle(rng.randint(0, 60))
        if how == "drop":
            yield from write(dut._drop, 1)
        else:
            yield dut.reset.eq(1)
            yield from idle(2)
            yield dut.reset.eq(0)
            yield from idle(4)  # the memory has answered
        seen["before"] = len(receiver.packets), receiver.part
        yield from idle(300)
        if how == "reset":
            receiver.part = b""  # what was cut
        seen["after"] = len(receiver.packets), receiver.part
        yield from packet(dut, *fresh)
        yield from idle(300)

    run_simulation(dut, [send(), memory.serve(dut.bus), receiver.take(dut.source)])
    (done, part), (then, rest) = seen["before"], seen["after"]
    assert rest == b"" and then == done + (how == "drop" and part != b""), (
        "what was begun comes to its end, and no more"
    )
    expected = [memory.data[base : base + length] for base, length in (first, waiting)][:then]
    assert receiver.packets == [*expected, memory.data[fresh[0] : sum(fresh)]]


def beats_of(rng: random.Random, lanes: int, count: int) -> list[tuple[bytes, int]]:
    """Beats with any bytes kept, even none."""
    return [(rng.randbytes(lanes), rng.getrandbits(lanes)) for _ in range(count)]


def kept(beats: list[tuple[bytes, int]]) -> bytes:
    return bytes(byte for data, keep in beats for lane, byte in enumerate(data) if keep >> lane & 1)


def give(sink, beats: list[tuple[bytes, int]], rng: random.Random, last: bool = True):
    for number, (data, keep) in enumerate(beats):
        while rng.random() < 0.3:
            yield
        yield sink.data.eq(int.from_bytes(data, "little"))
        yield sink.keep.eq(keep)
        yield sink.last.eq(last and number == len(beats) - 1)
        yield sink.valid.eq(1)
        yield
        while not (yield sink.ready):
            yield
        yield sink.valid.eq(0)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("lanes", [1, 4, 8])
def test_kept_bytes_lie_one_behind_the_other_from_any_address(lanes, seed):
    rng = random.Random(f"{lanes} {seed}")
    dut, memory = PacketWriter(lanes), Memory(rng, [0, 5][seed % 2])
    expected = bytearray(memory.data)

    def drive():
        yield from give(dut.sink, beats_of(rng, lanes, 3), rng)  # nobody asked for it
        for _ in range(4):
            beats = beats_of(rng, lanes, rng.randint(1, 9))
            room = rng.choice([len(kept(beats)), len(kept(beats)), rng.randint(0, len(kept(beats)))])
            base = rng.randint(0, SIZE - room)
            expected[base : base + room] = kept(beats)[:room]
            yield from packet(dut, base, room)
            yield
            assert not (yield dut._done.status)
            yield from give(dut.sink, beats, rng)
            while not (yield dut._done.status):
                yield

    run_simulation(dut, [drive(), memory.serve(dut.bus)])
    assert memory.data == expected


def test_a_word_takes_4_cycles_and_a_write():
    rng, dut, cycles = random.Random(0), PacketWriter(4), 0
    memory = Memory(rng, 0)
    beats = [(rng.randbytes(4), 15) for _ in range(16)]

    def drive():
        nonlocal cycles
        yield from packet(dut, 0, 64)
        for number, (data, keep) in enumerate(beats):
            yield dut.sink.data.eq(int.from_bytes(data, "little"))
            yield dut.sink.keep.eq(keep)
            yield dut.sink.last.eq(number == 15)
            yield dut.sink.valid.eq(1)
            yield
            cycles += 1
            while not (yield dut.sink.ready):
                yield
                cycles += 1

    run_simulation(dut, [drive(), memory.serve(dut.bus)])
    assert cycles == 15 * (4 + MEMORY_CYCLES) + 4, "until the last byte is taken"


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("how", ["drop", "reset"])
def test_after_a_stop_at_any_time_the_next_packet_is_right(how, seed):
    rng = random.Random(f"{how} {seed}")
    dut, memory = ResetInserter()(PacketWriter(4)), Memory(rng, 2)
    expected, late = bytearray(memory.data), {}

    def drive():
        beats = beats_of(rng, 4, 6)
        yield from packet(dut, 5, len(kept(beats)))
        yield from give(dut.sink, beats[: rng.randint(1, 6)], rng, last=False)
        yield from idle(rng.randint(0, 5))
        if how == "drop":
            yield from write(dut._drop, 1)
        else:
            yield dut.reset.eq(1)
            yield
            yield dut.reset.eq(0)
        yield from idle(20)
        assert (yield dut._done.status)
        late["begun"] = bytes(memory.data[5:29])
        yield from give(dut.sink, beats[:1], rng)  # the accelerator flushes
        yield from packet(dut, 101, len(kept(beats)))
        expected[101 : 101 + len(kept(beats))] = kept(beats)
        yield from give(dut.sink, beats, rng)
        while not (yield dut._done.status):
            yield

    run_simulation(dut, [drive(), memory.serve(dut.bus)])
    expected[5:29] = late["begun"]
    assert memory.data == expected


def test_faults_are_named(tmp_path):
    with pytest.raises(ValueError, match="^a beat must be a multiple of 32 bits, not 16: choose another array"):
        PacketReader(16)
    for text in ("", "module other (\n    input wire clk\n);\nendmodule\n"):
        (tmp_path / "other.v").write_text(text)
        with pytest.raises(ValueError, match="other.v: must be a file that `deeplock verilog` wrote$"):
            Deeplock(None, Path(tmp_path / "other.v"))
