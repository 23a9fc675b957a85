"""cocotb tests of the whole accelerator with a suite that seals, beside the golden device; test_sealed.py runs them."""

from dataclasses import replace

import cocotb
import numpy as np
from cocotb.triggers import RisingEdge

from deeplock.pymodel.attacks.bits import flip
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.spec.descriptor import Descriptor
from deeplock.pymodel.spec.header import Header
from deeplock.pymodel.spec.registers import COUNTERS, Command, Error, Status
from tests.sim import mini, tiny
from tests.sim.sealed_tools import (
    BEAT,
    CONFIG,
    GOLDEN,
    HEAD,
    KEY,
    LOADABLE,
    PACKETS,
    PARAMETERS,
    PLAIN,
    RECORD,
    SHOWN,
    SUITE,
    THOROUGH,
    WRONG_KEY,
    started,
)


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
    for key in (WRONG_KEY, flip(KEY, 127)):
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
        return nonce + 8 * RECORD * number + 32 * field.word + field.low + bit ^ 7  # `flip` counts from the highest

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
            found = await bench.refused(code, flip(HEAD, bit))
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
        (flip(PARAMETERS, 3), Error.BAD_TAG),
        (flip(PARAMETERS, 8 * tag - 1), Error.BAD_TAG),
        (flip(PARAMETERS, 8 * tag), Error.BAD_TAG),
        (flip(PARAMETERS, 8 * end - 1), Error.BAD_TAG),
        (swapped, Error.BAD_TAG),
        (PARAMETERS[:-BEAT], Error.LOADABLE_TRUNCATED),
        (PARAMETERS[:tag], Error.LOADABLE_TRUNCATED),
        (PARAMETERS[: tag // 2 // BEAT * BEAT], Error.LOADABLE_TRUNCATED),
        (PARAMETERS[: tag - BEAT] + PARAMETERS[tag:], Error.LOADABLE_TRUNCATED),
        (PARAMETERS + bytes(BEAT), Error.LOADABLE_TOO_LONG),
        (PARAMETERS * 2, Error.LOADABLE_TOO_LONG),
    ):
        await bench.refused(code, HEAD, [PARAMETERS, section, PARAMETERS], ofmaps=1)
    await bench.refused(Error.BAD_TAG, HEAD, [flip(PARAMETERS, 3), PARAMETERS])
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
async def a_second_load_while_the_first_ends(dut):
    """Whenever it comes, it takes effect on all of the device or on none."""
    bench = await started(dut)
    await bench.provision()
    expected = (await bench.same(HEAD, [PARAMETERS], PACKETS[:1])).ofmaps
    for delay in range(1, 17):
        bench.packets, bench.offered = [b""], []
        await bench.write("CONTROL", Command.LOAD)
        await bench.send_part(HEAD[:-BEAT])
        sender = cocotb.start_soon(bench.send_part(HEAD[-BEAT:]))
        await bench.wait(delay)
        await bench.write("CONTROL", Command.LOAD)
        await sender
        await bench.wait(40)
        if await bench.status() & Status.BUSY:
            await bench.send_part(HEAD)
        assert await bench.settles(Status.LOADED) == Status.LOADED | Status.KEYED, f"after {delay} cycles"
        await bench.start(PACKETS[:1], 1)
        await bench.send_part(PARAMETERS, ends=True)
        await bench.settles(Status.DONE)
        await bench.packets_came(1)
        assert tuple(bench.packets[:-1]) == expected, f"after {delay} cycles"


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
