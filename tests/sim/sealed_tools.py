"""The whole accelerator with a suite that seals, beside the golden device, for bench_sealed.py."""

import os
from collections.abc import Sequence
from random import Random

import cocotb
import numpy as np
from cocotb.triggers import ReadOnly, RisingEdge

from deeplock.pymodel.compiler.golden_device import GoldenDevice
from deeplock.pymodel.spec.device import Outcome
from deeplock.pymodel.spec.loadable import Loadable
from deeplock.pymodel.spec.record import WORDS
from deeplock.pymodel.spec.registers import Command, Error, Status
from deeplock.sim.driver import Driver
from tests.sim import mini, tiny

__all__ = [
    "BEAT",
    "CONFIG",
    "GOLDEN",
    "HEAD",
    "KEY",
    "LOADABLE",
    "PACKETS",
    "PARAMETERS",
    "PLAIN",
    "RECORD",
    "SHOWN",
    "SUITE",
    "THOROUGH",
    "WRONG_KEY",
    "started",
]

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
