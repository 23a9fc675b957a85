"""cocotb tests of the accelerator behind its memory master and cocotbext-axi's memory; test_memory.py runs them."""

import logging
import os
import random
from types import SimpleNamespace

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge, Timer, with_timeout
from cocotbext.axi import AxiBus, AxiLiteBus, AxiLiteMaster, AxiRam, AxiResp

from deeplock.pymodel.compiler import interpreter
from deeplock.pymodel.compiler.compiler import compile_network
from deeplock.pymodel.spec import memory, registers
from deeplock.pymodel.spec.memory import Command, Status
from deeplock.pymodel.spec.registers import Error, key_writes
from deeplock.pymodel.zoo import datasets, trained
from deeplock.pymodel.zoo.preprocess import quantise_input
from deeplock.sim.streams import random_pauses
from tests.sim.memory_design import DESIGN

SEED = int(os.environ["DEEPLOCK_SEED"])
PAUSES = float(os.environ["DEEPLOCK_TEST_PAUSES"])
KEY = bytes(range(0x31, 0x41))
BEAT = DESIGN.config.bytes_per_beat
PERIOD_NS = 2
NETWORK = trained.load("digits")
LOADABLE = compile_network(NETWORK, DESIGN.config, np.random.default_rng(SEED)).locked(DESIGN.config.suite, KEY)
IFMAPS = quantise_input(NETWORK, datasets.load("digits", None).test_images[:3])
EXPECTED = interpreter.run(LOADABLE, KEY, IFMAPS, DESIGN.config)
PACKETS = [LOADABLE.pack_ifmap(ifmap) for ifmap in IFMAPS]
OFMAP = EXPECTED[0].size
PLACES = SimpleNamespace(loadable=0x0FF0 // BEAT * BEAT, ifmaps=0x8_0000, ofmaps=0x9_0FF8 // BEAT * BEAT)


class Bench:
    """An accelerator with a memory. It begins with a reset."""

    def __init__(self, dut) -> None:
        self.dut, dut.rst.value = dut, 1
        for port in ("s_axil", "s_axil_memory", "m_axi"):  # cocotbext-axi logs every byte, including the key's
            logging.getLogger(f"cocotb.{dut._name}.{port}").setLevel(logging.CRITICAL)
        self.ports = {
            "s_axil": AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk, dut.rst),
            "s_axil_memory": AxiLiteMaster(AxiLiteBus.from_prefix(dut, "s_axil_memory"), dut.clk, dut.rst),
        }
        self.ram = AxiRam(AxiBus.from_prefix(dut, "m_axi"), dut.clk, dut.rst, size=1 << 20)
        if PAUSES:
            halves = (
                (self.ram.read_if, "ar"),
                (self.ram.read_if, "r"),
                (self.ram.write_if, "aw"),
                (self.ram.write_if, "w"),
            )
            for half, channel in (*halves, (self.ram.write_if, "b")):
                getattr(half, f"{channel}_channel").set_pause_generator(random_pauses(PAUSES, f"{SEED} {channel}"))
        self.ram.write(PLACES.loadable, LOADABLE.head + LOADABLE.parameters)
        for number, packet in enumerate(PACKETS):
            self.ram.write(PLACES.ifmaps + number * self.step(packet), packet)
        Clock(dut.clk, PERIOD_NS, unit="ns").start()

    @staticmethod
    def step(packet: bytes) -> int:
        return -(-len(packet) // BEAT) * BEAT

    async def wait(self, cycles: int) -> None:
        await Timer(cycles * PERIOD_NS, unit="ns")

    async def reset(self) -> None:
        self.dut.rst.value = 1
        await self.wait(4)
        await RisingEdge(self.dut.clk)
        self.dut.rst.value = 0
        await self.wait(2)

    async def write(self, name: str, value: int, of_master: bool = False) -> None:
        port, where = ("s_axil_memory", memory) if of_master else ("s_axil", registers)
        answer = await self.ports[port].write(where.address(name), int(value).to_bytes(4, "little"))
        assert answer.resp == AxiResp.OKAY, f"{name} refuses {value:#x}"

    async def read(self, name: str, of_master: bool = False) -> int:
        port, where = ("s_axil_memory", memory) if of_master else ("s_axil", registers)
        return int.from_bytes((await self.ports[port].read(where.address(name), 4)).data, "little")

    async def begin(self, command: Command, where: int, size: int, packets: int = 1) -> None:
        while await self.read("STATUS", of_master=True) & Status.PENDING:
            pass
        for name, value in (("ADDRESS", where), ("BYTES", size), ("PACKETS", packets), ("CONTROL", command)):
            await self.write(name, value, of_master=True)

    async def load(self) -> None:
        for name, value in key_writes(KEY):
            await self.write(name, value)
        await self.write("CONTROL", registers.Command.LOAD)
        await self.begin(Command.LOADABLE, PLACES.loadable, len(LOADABLE.head + LOADABLE.parameters))

    async def start(self, count: int) -> None:
        await self.write("COUNT", count)
        await self.begin(Command.OFMAP, PLACES.ofmaps, OFMAP, count)
        await self.begin(Command.IFMAP, PLACES.ifmaps, len(PACKETS[0]), count)
        if count > 1:
            start = PLACES.loadable + len(LOADABLE.head)
            await self.begin(Command.LOADABLE, start, len(LOADABLE.parameters), count - 1)
        await self.write("CONTROL", registers.Command.START)

    async def until(self, cause: int, of_master: bool = False) -> tuple[int, int]:
        """Both STATUS after an interrupt on this or on an error of the accelerator, or of the master."""
        await self.write("INTERRUPT", 0 if of_master else cause | registers.Interrupt.ERROR)
        await self.write("INTERRUPT", cause if of_master else 0, of_master=True)
        await self.wait(2)
        if not self.dut.irq.value:
            await with_timeout(RisingEdge(self.dut.irq), 50_000 * PERIOD_NS, "ns")
        return await self.read("STATUS"), await self.read("STATUS", of_master=True)

    async def works(self, count: int) -> None:
        """A run, from the key on, is right."""
        self.ram.write(PLACES.ofmaps, bytes([0xA5]) * 64)
        await self.load()
        status, _ = await self.until(registers.Interrupt.LOADED)
        assert status & registers.Status.LOADED and not status >> 8
        await self.start(count)
        status, _ = await self.until(registers.Interrupt.DONE)
        assert status & registers.Status.DONE and not status >> 8
        assert (await self.until(memory.Interrupt.IDLE, of_master=True))[1] == Status.IDLE
        for number in range(count):
            place = PLACES.ofmaps + number * self.step(bytes(OFMAP))
            assert self.ram.read(place, OFMAP) == EXPECTED[number].tobytes(), f"ofmap {number}"
            behind = self.step(bytes(OFMAP)) - OFMAP
            assert self.ram.read(place + OFMAP, behind) == bytes([0xA5]) * behind

    async def give_up(self) -> None:
        """What a host does after an error, or an ABORT, of the accelerator: a second STOP if it has given up the packet."""
        await self.write("CONTROL", Command.STOP, of_master=True)
        for _ in range(100):
            if await self.read("STATUS", of_master=True) & Status.IDLE:
                break
        else:
            await self.write("CONTROL", Command.STOP, of_master=True)
        assert (await self.until(memory.Interrupt.IDLE, of_master=True))[1] == Status.IDLE
        while await self.read("STATUS") & (registers.Status.BUSY | registers.Status.FLUSHING):
            pass
        await self.wait(100)  # what the memory sends too much after a burst of the wrong length


async def started(dut) -> Bench:
    bench = Bench(dut)
    await bench.reset()
    return bench


@cocotb.test()
async def digits_whole(dut):
    bench = await started(dut)
    await bench.works(3)


@cocotb.test()
async def an_error_of_the_memory_is_one_of_the_accelerator(dut):
    bench = await started(dut)
    reads = bench.ram.read_if
    read, send = reads._read, reads.r_channel.send
    parameters = PLACES.loadable + len(LOADABLE.head)
    length = len(LOADABLE.parameters)

    for place, early in ((parameters + length // 2 // BEAT * BEAT, False), (parameters + length - BEAT, False),
                         (PLACES.ifmaps, False), (parameters + length // 3 // BEAT * BEAT, True)):  # fmt: skip

        async def refuse(address: int, size: int, place=place, early=early):
            if address == place and not early:
                raise OSError
            return await read(address, size)

        async def cut(beat, place=place, early=early):
            if early and beat.rdata == int.from_bytes(bench.ram.read(place, BEAT), "little"):
                beat.rlast = not beat.rlast
            await send(beat)

        reads._read, reads.r_channel.send = refuse, cut
        await bench.load()
        await bench.until(registers.Interrupt.LOADED)
        await bench.start(1)
        status, master = await bench.until(registers.Interrupt.DONE)
        stream = (Error.LOADABLE_TRUNCATED, Error.LOADABLE_TOO_LONG)
        assert status >> 8 in ((Error.IFMAP_LENGTH,) if place == PLACES.ifmaps else stream)
        assert not status & registers.Status.KEYED
        assert master >> 8 == (memory.Error.READ_LENGTH if early else memory.Error.READ_SLVERR)
        reads._read, reads.r_channel.send = read, send
        await bench.give_up()
        await bench.works(1)


@cocotb.test()
async def a_write_that_is_refused_leaves_an_error_and_no_hang(dut):
    bench = await started(dut)
    write = bench.ram.write_if._write

    async def refuse(address: int, data: bytes):
        raise OSError

    bench.ram.write_if._write = refuse
    await bench.load()
    await bench.until(registers.Interrupt.LOADED)
    await bench.start(2)
    status, _ = await bench.until(registers.Interrupt.DONE)
    assert status & registers.Status.DONE and not status >> 8
    _, master = await bench.until(memory.Interrupt.ERROR, of_master=True)
    assert master >> 8 == memory.Error.WRITE_SLVERR
    bench.ram.write_if._write = write
    await bench.give_up()
    await bench.works(1)


@cocotb.test()
async def abort_and_stop_at_any_time(dut):
    bench, dice = await started(dut), random.Random(SEED)
    for starts, commands in (
        (False, [registers.Command.ABORT]),
        (True, [registers.Command.ABORT]),
        (True, [registers.Command.ZEROISE]),
        (True, []),  # the accelerator tells that its packet is cut
    ):
        await bench.load()
        if starts:
            await bench.until(registers.Interrupt.LOADED)
            await bench.start(2)
        await bench.wait(dice.randrange(500))
        for command in commands:
            await bench.write("CONTROL", command)
        await bench.give_up()
        if not commands:
            assert (await bench.read("STATUS")) >> 8 in (
                Error.LOADABLE_TRUNCATED,
                Error.LOADABLE_TOO_LONG,
                Error.IFMAP_LENGTH,
            )
        assert not starts or not await bench.read("STATUS") & registers.Status.KEYED
        await bench.works(1)


@cocotb.test()
async def a_second_stop_gives_up_a_packet_that_the_accelerator_has_given_up(dut):
    bench = await started(dut)
    await bench.load()
    await bench.until(registers.Interrupt.LOADED)  # the parameters of the same packet wait for START
    for _ in range(2):
        await bench.write("CONTROL", registers.Command.ABORT)
    await bench.write("CONTROL", Command.STOP, of_master=True)
    assert not await bench.read("STATUS", of_master=True) & Status.IDLE
    await bench.give_up()
    await bench.works(1)


@cocotb.test()
async def reset_in_mid_operation(dut):
    bench, dice = await started(dut), random.Random(SEED)
    await bench.load()
    await bench.until(registers.Interrupt.LOADED)
    await bench.start(2)
    await bench.wait(dice.randrange(2000))
    await bench.reset()
    assert await bench.read("STATUS", of_master=True) == Status.IDLE
    assert not await bench.read("STATUS") & ~registers.Status.ERASING
    await bench.works(1)
