"""cocotb tests of the whole accelerator with a suite that seals, beside the golden device; test_sealed.py runs them."""

import os
from collections.abc import Sequence
from dataclasses import replace
from random import Random

import cocotb
import numpy as np
from cocotb.triggers import ReadOnly, RisingEdge

from deeplock.pymodel.compiler.golden_device import GoldenDevice
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.spec.descriptor import Descriptor
from deeplock.pymodel.spec.device import Outcome
from deeplock.pymodel.spec.header import Header
from deeplock.pymodel.spec.loadable import Loadable
from deeplock.pymodel.spec.record import WORDS
from deeplock.pymodel.spec.registers import COUNTERS, Command, Error, Status
from deeplock.sim.driver import Driver
from tests.sim import mini, tiny

SUITE = os.environ["DEEPLOCK_TEST_SUITE"]
PAUSES = float(os.environ["DEEPLOCK_TEST_PAUSES"])
THOROUGH = bool(os.environ.get("DEEPLOCK_TEST_THOROUGH"))
"""The larger network, and each stop at each place; else, on a slow simulator, a few of them."""
CONFIG = mini.config_of(SUITE)
KEY, WRONG_KEY = tiny.KEY, tiny.WRONG_KEY[:16]
BEAT, RECORD = CONFIG.bytes_per_beat, 4 * WORDS
PLAIN = mini.mini_loadable(CONFIG)
LOADABLE = PLAIN.locked(SUITE, KEY)
HEAD, PARAMETERS = LOADABLE.head, LOADABLE.parameters
IFMAPS = mini.ifmaps(LOADABLE, 4)
PACKETS = [LOADABLE.pack_ifmap(ifmap) for ifmap in IFMAPS]
GOLDEN = GoldenDevice(CONFIG)
SHOWN = Status.BUSY | Status.LOADED | Status.KEYED | Status.DONE
PATIENCE = 20_000


class Bench(Driver):
    """The RTL beside the golden device. Of each ofmap packet it sees the bytes and when its first beat was offered.

    packets  bytes of each ofmap packet; the last one has not ended
    offered  loadable beats that were taken before the cycle in which each packet was first offered
    """

    def __init__(self, dut) -> None:
        super().__init__(dut, pauses=PAUSES, seed=11, watchdog=PATIENCE)
        self.packets, self.offered = [b""], []
        self._dice = Random(3)

    async def begin(self) -> None:
        await self.reset()
        cocotb.start_soon(self._watch())

    async def _watch(self) -> None:
        bus = self.ofmap.bus
        while True:
            if not bus.tvalid.value:
                await RisingEdge(bus.tvalid)
            taken = self.loadable.beats
            if len(self.offered) < len(self.packets):
                self.offered.append(taken)
            await RisingEdge(self.dut.clk)
            if bus.tvalid.value and bus.tready.value:
                keep = int(bus.tkeep.value)
                data = int(bus.tdata.value).to_bytes(CONFIG.lanes, "little")
                assert keep & (keep + 1) == 0
                self.packets[-1] += data[: keep.bit_length()]
                if bus.tlast.value:
                    self.packets.append(b"")
            await ReadOnly()
            await self.wait(0.5)  # behind what other tasks do in this step

    async def provision(self, key: bytes = KEY) -> None:
        """Put the key into both devices."""
        for name in ("zeroise", "load_key"):
            arguments = [key] if name == "load_key" else []
            await getattr(self, name)(*arguments)
            getattr(GOLDEN, name)(*arguments)

    async def settles(self, bit: Status) -> int:
        """STATUS as soon as it has the bit or an error."""
        for _ in range(PATIENCE // 16):
            status = await self.status()
            if status & bit or status >> 8:
                return status
            await self.wait(16)
        raise AssertionError(f"no {bit.name}: STATUS 0x{status:04x}, {self.loadable.beats} beats taken")

    async def start(self, ifmaps: Sequence[bytes], count: int) -> None:
        await self.write("COUNT", count)
        for packet in ifmaps:
            self.ifmap.send_nowait(packet)
        await self.write("CONTROL", Command.START)

    async def attempt(self, head: bytes, sections: Sequence[bytes], ifmaps: Sequence[bytes]) -> Outcome:
        """As Device.run. No beat is offered before the tag of its inference has been taken."""
        self.packets, self.offered, begin = [b""], [], self.loadable.beats
        await self.write("CONTROL", Command.LOAD)
        self.loadable.send_nowait(head + sections[0])
        status = await self.settles(Status.LOADED)
        if not status >> 8:
            for section in sections[1:]:
                self.loadable.send_nowait(section)
            await self.start(ifmaps, len(sections))
            status = await self.settles(Status.DONE)
        if status >> 8:
            await self._recover()
        else:
            await self.packets_came(len(sections))
        taken = begin + len(head) // BEAT
        for section, offered in zip(sections, self.offered, strict=False):
            taken += len(section) // BEAT
            assert offered >= taken, f"{taken - offered} beats before the tag"
        return Outcome(Error(status >> 8), False, tuple(self.packets[:-1]), self.packets[-1])

    async def packets_came(self, count: int) -> None:
        for _ in range(PATIENCE):
            if len(self.packets) > count:
                return
            await self.wait(1)
        raise AssertionError(f"{len(self.packets) - 1} of {count} packets came")

    async def same(self, head: bytes, sections: Sequence[bytes], ifmaps: Sequence[bytes]) -> Outcome:
        """What came of it, on both devices."""
        found, expected = await self.attempt(head, sections, ifmaps), GOLDEN.run(head, sections, ifmaps)
        assert found == expected, (
            f"{found.error.name}, {len(found.ofmaps)} ofmaps, rest {found.rest.hex()}: not {expected}"
        )
        assert await self.status() & SHOWN == GOLDEN.status() & SHOWN
        return found

    async def refused(
        self, code: Error | None, head: bytes, sections: Sequence[bytes] = (PARAMETERS,), ofmaps: int = 0
    ) -> Error:
        """With the right key, and of `ofmaps` inferences the ofmap comes. Afterwards there is neither key nor program."""
        await self.provision()
        found = await self.same(head, sections, PACKETS[: len(sections)])
        assert found.error and found.error == (code or found.error), f"{found.error.name}, not {code}"
        assert len(found.ofmaps) == ofmaps == len(self.offered) and not found.rest
        assert not await self.status() & SHOWN
        return found.error

    async def works(self, key: bytes = KEY, loadable: Loadable = LOADABLE, count: int = 2) -> None:
        """Runs are right, from the key on."""
        ifmaps = mini.ifmaps(loadable, count, seed=count)
        await self.load_key(key)
        run = await self.run(loadable, list(ifmaps))
        assert np.array_equal(np.stack(run.ofmaps), tiny.expected(loadable, CONFIG, ifmaps, key))

    async def send_part(self, data: bytes, ends: bool = False) -> None:
        """Beats of a packet that goes on unless it `ends`. All are taken."""
        bus = self.loadable.bus
        await RisingEdge(self.dut.clk)
        for at in range(0, len(data), BEAT):
            while self._dice.random() < PAUSES:
                await RisingEdge(self.dut.clk)
            bus.tdata.value = int.from_bytes(data[at : at + BEAT], "little")
            bus.tlast.value = int(ends and at + BEAT == len(data))
            bus.tvalid.value = 1
            for _ in range(PATIENCE):
                await RisingEdge(self.dut.clk)
                if bus.tready.value:
                    break
            else:
                raise AssertionError(f"beat {at // BEAT} is not taken")
            bus.tvalid.value, bus.tlast.value = 0, 0
            self.loadable.beats += 1


async def started(dut) -> Bench:
    bench = Bench(dut)
    await bench.begin()
    return bench


def flipped(data: bytes, bit: int) -> bytes:
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


@cocotb.test()
async def runs_follow_runs(dut):
    """Several inferences in a START, another START without a LOAD: only parameters come."""
    bench = await started(dut)
    loadable = tiny.tiny_loadable(CONFIG) if THOROUGH else LOADABLE
    ifmaps = mini.ifmaps(loadable, 3)
    expected = tiny.expected(loadable, CONFIG, ifmaps)
    await bench.load_key(KEY)
    run = await bench.run(loadable, list(ifmaps[:2]))
    assert np.array_equal(np.stack(run.ofmaps), expected[:2])
    assert run.counters["CYCLES"] == sum(run.counters[name] for name, _ in COUNTERS if name != "CYCLES")
    begin = bench.loadable.beats
    run = await bench.run(loadable, list(ifmaps[2:]))
    assert np.array_equal(np.stack(run.ofmaps), expected[2:])
    assert bench.loadable.beats - begin == len(loadable.parameters) // BEAT
    await bench.works()
    await bench.works(WRONG_KEY, PLAIN.locked(SUITE, WRONG_KEY))


@cocotb.test()
async def no_ofmap_beat_leaves_before_its_tag(dut):
    bench = await started(dut)
    await bench.provision()
    found = await bench.same(HEAD, [PARAMETERS] * 3, PACKETS[:3])
    assert len(found.ofmaps) == len(bench.offered) == 3 and len(set(found.ofmaps)) == 3
    # all but the tag's last beat
    bench.packets, bench.offered = [b""], []
    await bench.start(PACKETS[:1], 1)
    await bench.send_part(PARAMETERS[:-BEAT])
    await bench.wait(2000 if THOROUGH else 500)
    assert bench.offered == [] and bench.ofmap.bus.tvalid.value == 0
    assert await bench.status() & SHOWN == Status.BUSY | Status.LOADED | Status.KEYED
    await bench.send_part(PARAMETERS[-BEAT:], ends=True)
    await bench.settles(Status.DONE)
    await bench.packets_came(1)
    assert bench.packets[0] == found.ofmaps[0]


@cocotb.test()
async def a_batch(dut):
    bench = await started(dut)
    await bench.works(KEY, mini.mini_loadable(CONFIG, batch=2).locked(SUITE, KEY), count=3)


@cocotb.test()
async def an_ofmap_may_take_half_of_the_buffer_and_no_more(dut):
    bench = await started(dut)
    full = mini.wide_loadable(CONFIG, mini.HALF_BEATS).locked(SUITE, KEY)
    full.check_fits(CONFIG)
    await bench.works(loadable=full, count=3)
    # while nobody takes an ofmap the next one is computed, and neither is lost
    packets = [full.pack_ifmap(ifmap) for ifmap in mini.ifmaps(full, 3)]
    await bench.provision()
    bench.ofmap.clear_pause_generator()
    bench.ofmap.pause = True
    task = cocotb.start_soon(bench.same(full.head, [full.parameters] * 3, packets))
    await bench.wait(5000)
    assert bench.packets == [b""]
    bench.ofmap.pause = False
    assert len((await task).ofmaps) == 3

    large = mini.wide_loadable(replace(CONFIG, ofmap_bytes=2 * CONFIG.ofmap_bytes), mini.HALF_BEATS + 4)
    for beats, code in ((large.header.ofmap_beats, Error.TOO_LARGE), (mini.HALF_BEATS, Error.BAD_DESCRIPTOR)):
        sealed = replace(large, header=replace(large.header, ofmap_beats=beats)).locked(SUITE, KEY)
        try:
            sealed.check_fits(CONFIG)
        except DeeplockError as error:
            assert "ofmap" in str(error)
        else:
            raise AssertionError("the host takes an ofmap that is too large")
        await bench.refused(code, sealed.head, [sealed.parameters])
    await bench.works()


@cocotb.test()
async def a_wrong_key(dut):
    bench = await started(dut)
    for key in (WRONG_KEY, flipped(KEY, 127)):
        await bench.provision(key)
        assert (await bench.same(HEAD, [PARAMETERS], PACKETS[:1])).error == Error.BAD_TAG
        assert not await bench.status() & SHOWN and bench.offered == []
        await bench.write("CONTROL", Command.START)
        assert (await bench.status()) >> 8 == Error.NO_PROGRAM
        await bench.works()


@cocotb.test()
async def a_load_without_key(dut):
    bench = await started(dut)
    for provisioned in (False, True):
        if provisioned:
            await bench.works()
        await bench.zeroise()
        GOLDEN.zeroise()
        assert (await bench.same(HEAD, [PARAMETERS], PACKETS[:1])).error == Error.NO_KEY
        assert not await bench.status() & SHOWN
    await bench.works()


@cocotb.test()
async def any_changed_bit_of_the_head(dut):
    bench = await started(dut)
    nonce, tag = 8 * len(LOADABLE.nonce), 8 * (len(HEAD) - len(LOADABLE.head_tag))

    def bit_of(record: type, number: int, name: str, bit: int = 0) -> int:
        field = record.layout.fields[name]
        return nonce + 8 * RECORD * number + 32 * field.word + field.low + bit

    bits = {
        "nonce": [0, 9, nonce // 2, nonce - 1],
        "checked header": [bit_of(Header, 0, name) for name in ("magic", "version", "suite", "layers", "batch")],
        "header": [bit_of(Header, 0, *at) for at in (("model_low", 5), ("ofmap_beats", 0), ("parameter_beats", 3))],
        "checked descriptor": [bit_of(Descriptor, 1, "opcode"), bit_of(Descriptor, 2, "last_columns", 3)],
        "descriptor": [bit_of(Descriptor, 1, "zero_point", 2), bit_of(Descriptor, 2, "source", 7)],
        "head tag": [tag, (tag + 8 * len(HEAD)) // 2, 8 * len(HEAD) - 1],
    }
    for where, places in bits.items():
        for bit in places:
            code = Error.BAD_TAG if where in ("nonce", "header", "descriptor", "head tag") else None
            found = await bench.refused(code, flipped(HEAD, bit))
            assert code or found != Error.BAD_TAG, f"{where}: the rules come before the tag"
    await bench.works()


@cocotb.test()
async def parts_of_two_sealed_loadables_do_not_mix(dut):
    """Sealed with one key: another network's, and the same network sealed again."""
    bench = await started(dut)
    for other in (mini.mini_loadable(CONFIG, seed=1).locked(SUITE, KEY), PLAIN.locked(SUITE, KEY)):
        await bench.refused(Error.BAD_TAG, HEAD, [other.parameters])
        await bench.refused(Error.BAD_TAG, HEAD, [PARAMETERS, other.parameters], ofmaps=1)
        await bench.refused(Error.BAD_TAG, other.nonce + HEAD[len(other.nonce) :])
        await bench.refused(Error.BAD_TAG, HEAD[: -len(other.head_tag)] + other.head_tag)
        tag = -len(LOADABLE.head_tag)
        await bench.refused(Error.BAD_TAG, HEAD, [other.parameters[:tag] + PARAMETERS[tag:]])
    await bench.works()


@cocotb.test()
async def other_parameters_for_the_second_inference(dut):
    bench = await started(dut)
    end = len(PARAMETERS)
    tag = end - len(LOADABLE.head_tag)
    swapped = PARAMETERS[BEAT : 2 * BEAT] + PARAMETERS[:BEAT] + PARAMETERS[2 * BEAT :]
    for section, code in (
        (flipped(PARAMETERS, 3), Error.BAD_TAG),
        (flipped(PARAMETERS, 8 * tag - 1), Error.BAD_TAG),
        (flipped(PARAMETERS, 8 * tag), Error.BAD_TAG),
        (flipped(PARAMETERS, 8 * end - 1), Error.BAD_TAG),
        (swapped, Error.BAD_TAG),
        (PARAMETERS[:-BEAT], Error.LOADABLE_TRUNCATED),
        (PARAMETERS[:tag], Error.LOADABLE_TRUNCATED),
        (PARAMETERS[: tag // 2 // BEAT * BEAT], Error.LOADABLE_TRUNCATED),
        (PARAMETERS[: tag - BEAT] + PARAMETERS[tag:], Error.LOADABLE_TRUNCATED),
        (PARAMETERS + bytes(BEAT), Error.LOADABLE_TOO_LONG),
        (PARAMETERS * 2, Error.LOADABLE_TOO_LONG),
    ):
        await bench.refused(code, HEAD, [PARAMETERS, section, PARAMETERS], ofmaps=1)
    await bench.refused(Error.BAD_TAG, HEAD, [flipped(PARAMETERS, 3), PARAMETERS])
    await bench.works()


@cocotb.test()
async def stops_at_any_time(dut):
    """ABORT, ZEROISE and reset in each part of the stream, and while the ofmap leaves."""
    bench = await started(dut)
    stream, head, tag = LOADABLE.stream, len(HEAD), len(LOADABLE.head_tag)
    places = {
        "first beat": BEAT,
        "nonce": len(LOADABLE.nonce) - BEAT,
        "header": len(LOADABLE.nonce) + RECORD // 2,
        "program": len(LOADABLE.nonce) + 2 * RECORD + BEAT,
        "before the head tag": head - tag,
        "head tag": head - BEAT,
        "parameters": head + len(PARAMETERS) // 2,
        "before the tag": len(stream) - tag,
        "tag": len(stream) - BEAT,
        "ofmap": len(stream),
    }
    for index, stop in enumerate((Command.ABORT, Command.ZEROISE, None)):
        for number, (where, place) in enumerate(places.items()):
            if not THOROUGH and number % 6 != 2 * index:
                continue
            await bench.load_key(KEY)
            bench.packets, bench.offered = [b""], []
            bench.ofmap.clear_pause_generator()
            bench.ofmap.pause = True
            await bench.write("CONTROL", Command.LOAD)
            await bench.send_part(stream[: min(place, head)])
            if place > head:
                await bench.settles(Status.LOADED)
                await bench.start(PACKETS[:1], 1)
                await bench.send_part(stream[head:place], ends=place == len(stream))
            if place == len(stream):
                await RisingEdge(dut.m_axis_ofmap_tvalid)
            if stop is None:
                await bench.reset()
                assert await bench.status() & ~Status.ERASING == 0, where
            else:
                await bench.write("CONTROL", stop)
                await bench.wait(2)
                status = await bench.status()
                assert not status & SHOWN and status >> 8 == Error.ABORTED, f"{where}: STATUS 0x{status:04x}"
                await bench.abort()  # the host has given the packet up
            assert not await bench.status() & Status.FLUSHING
            bench.ofmap.pause = False
            await bench.wait(20)
            assert bench.packets == [b""], where
            assert len(bench.offered) == (place == len(stream)), where
            await bench.works(count=1)


@cocotb.test()
async def a_start_while_a_head_is_loaded(dut):
    """It does nothing, wherever it comes."""
    bench = await started(dut)
    half = len(HEAD) // 2 // BEAT * BEAT
    places = (0, BEAT, len(LOADABLE.nonce), len(LOADABLE.nonce) + BEAT, half, len(HEAD) - BEAT)
    await bench.provision()
    expected = (await bench.same(HEAD, [PARAMETERS], PACKETS[:1])).ofmaps
    for place in places:
        bench.packets, bench.offered = [b""], []
        await bench.write("CONTROL", Command.LOAD)
        await bench.send_part(HEAD[:place])
        for _ in range(3):
            await bench.write("CONTROL", Command.START)
        assert await bench.status() == Status.BUSY | Status.KEYED, f"after {place} bytes"
        await bench.send_part(HEAD[place:])
        assert await bench.settles(Status.LOADED) == Status.LOADED | Status.KEYED
        await bench.start(PACKETS[:1], 1)
        await bench.send_part(PARAMETERS, ends=True)
        await bench.settles(Status.DONE)
        await bench.packets_came(1)
        assert tuple(bench.packets[:-1]) == expected, f"after {place} bytes"


@cocotb.test()
async def a_new_key_takes_the_program(dut):
    """Also the same key: the program belongs to the one before."""
    bench = await started(dut)
    for key, writes in ((KEY, 5), (KEY, 1), (WRONG_KEY, 5)):
        await bench.works()
        assert await bench.status() & SHOWN == Status.LOADED | Status.KEYED | Status.DONE
        for name, value in [
            ("KEY_SIZE", 16),
            *((f"KEY{at}", int.from_bytes(key[4 * at :][:4], "little")) for at in range(4)),
        ][:writes]:
            await bench.write(name, value)
        await bench.wait(3)
        status = await bench.status()
        assert not status & Status.LOADED and bool(status & Status.KEYED) == (writes == 5)
        await bench.write("CONTROL", Command.START)
        status = await bench.status()
        assert status >> 8 == Error.NO_PROGRAM and not status & SHOWN


@cocotb.test()
async def a_key_between_load_and_start(dut):
    """What is left of the packet does no harm to the next LOAD."""
    bench = await started(dut)
    for change in ("load_key", "zeroise"):
        await bench.load_key(KEY)
        await bench.load_program(LOADABLE)
        await (bench.load_key(KEY) if change == "load_key" else bench.zeroise())
        await bench.wait(3)
        assert not await bench.status() & Status.LOADED
        await bench.works()


@cocotb.test()
async def an_abort_between_runs_keeps_the_program(dut):
    """It ends nothing. The parameters then come in a packet of their own."""
    bench = await started(dut)
    await bench.provision()
    expected = (await bench.same(HEAD, [PARAMETERS], PACKETS[:1])).ofmaps
    await bench.write("CONTROL", Command.ABORT)
    assert await bench.status() & SHOWN == Status.LOADED | Status.KEYED | Status.DONE
    bench.packets, bench.offered = [b""], []
    bench.loadable.send_nowait(PARAMETERS)
    await bench.start(PACKETS[:1], 1)
    await bench.settles(Status.DONE)
    await bench.packets_came(1)
    assert tuple(bench.packets[:-1]) == expected
