"""cocotb tests of a board with licences, through its pins; test_licensed.py runs them."""

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import Timer
from cocotb.utils import get_sim_time

from deeplock.fpga.frames import CRC_BYTES, HEADER_BYTES, State
from deeplock.fpga.host.client import LinkClient
from deeplock.fpga.host.driver import BoardDriver
from deeplock.pymodel.compiler.licensed import expected_ofmaps
from deeplock.pymodel.spec.driver import AcceleratorError
from deeplock.pymodel.spec.registers import REGISTERS, Access, Command, Error, Status, key_writes
from deeplock.sim.flash_model import Flash, run_flash
from deeplock.sim.uart_model import UartModel
from tests.fpga.licensed_board import BOARD, CASES, FLASH, LOADABLE, RIGHT
from tests.pymodel.spec.test_licence import DEVICE_KEY
from tests.sim import mini

HALF_PERIOD = round(5e11 / BOARD.clock_hz)
IFMAPS = mini.ifmaps(LOADABLE, 3)
EXPECTED = expected_ofmaps(LOADABLE, BOARD.config, DEVICE_KEY, IFMAPS)
READABLE = [register.name for register in REGISTERS if register.access != Access.WRITE]


class Bench:
    """The board, its flash, and its host."""

    def __init__(self, dut) -> None:
        self.dut = dut
        cocotb.start_soon(Clock(dut.clk, 2 * HALF_PERIOD, unit="ps", impl="gpi").start())
        self.flash, self.uart = None, UartModel(dut.rx, dut.tx, BOARD.baud)

    async def power_up(self) -> None:
        """After a power loss if it was up: registers begin anew; memories keep what they held, which is the worst case."""
        dut = self.dut
        dut.rst.value = dut.rx.value = 1
        if self.flash is not None:
            self.flash.cancel()
        self.flash = cocotb.start_soon(run_flash(Flash(FLASH), dut.cs, dut.sck, dut.o, dut.oe, dut.i))
        await Timer(20 * HALF_PERIOD, unit="ps")
        dut.rst.value = 0
        await Timer(1, unit="ms")
        self.client = LinkClient(self.uart, timeout=0.025)
        await self.client.connect(BOARD.name)

    def driver(self, address: int = RIGHT) -> BoardDriver:
        return BoardDriver(self.client, address, now=lambda: get_sim_time("sec"), patience=1.0)

    async def shown(self) -> dict[str, int]:
        """All that can be read, when nothing is left to be erased; no beat of an ofmap is there."""
        while await self.client.read("STATUS") & Status.ERASING:
            pass
        assert await self.client.receive_ofmap() is None
        return dict(zip(READABLE, await self.client.read_all(READABLE), strict=True))

    async def works(self) -> None:
        """Provisioning, licence and three inferences give what the golden model does."""
        driver = self.driver()
        await driver.load_key(DEVICE_KEY)
        run = await driver.run(LOADABLE, list(IFMAPS))
        assert np.array_equal(np.stack(run.ofmaps), EXPECTED)

    async def ends(self, driver: BoardDriver, error: Error) -> None:
        try:
            await driver.run(LOADABLE, list(IFMAPS[:1]))
        except AcceleratorError as raised:
            assert raised.code == error, f"{raised}, not {error.name}"
        else:
            raise AssertionError(f"no {error.name}")


@cocotb.test()
async def a_board_refuses_by_name_all_but_its_own_whole_licence_and_loadable(dut):
    bench = Bench(dut)
    await bench.power_up()
    await bench.ends(bench.driver(), Error.NO_KEY)
    for address, error in CASES:
        if error == Error.NONE:
            await bench.works()
            continue
        driver = bench.driver(address)
        await driver.load_key(DEVICE_KEY)
        await bench.ends(driver, error)
    await bench.works()


@cocotb.test()
async def after_a_power_loss_nothing_is_left_and_the_next_run_is_right(dut):
    """In the middle of a key, with a program, and at several times of a run."""
    bench = Bench(dut)
    await bench.power_up()
    fresh = await bench.shown()

    async def lost() -> None:
        await bench.power_up()
        assert await bench.shown() == fresh and not fresh["STATUS"]
        await bench.client.write("CONTROL", Command.START)
        assert await bench.client.read("STATUS") >> 8 == Error.NO_PROGRAM
        await bench.ends(bench.driver(), Error.NO_KEY)

    for name, value in key_writes(DEVICE_KEY)[:-1]:
        await bench.client.write(name, value)
    await lost()
    name, value = key_writes(DEVICE_KEY)[-1]
    try:
        await bench.client.write(name, value)  # the rest of the key that was cut
    except OSError:
        pass
    else:
        raise AssertionError("half a key went on")
    assert not await bench.client.read("STATUS") & Status.KEYED

    driver = bench.driver()
    await driver.load_key(DEVICE_KEY)
    await driver.load_program(LOADABLE)
    assert await driver.status() == Status.KEYED | Status.LOADED
    await lost()

    await bench.works()
    for ifmaps, microseconds in ((1, 2), (1, 8), (2, 5), (3, 20)):
        driver = bench.driver()
        await driver.load_key(DEVICE_KEY)
        await driver.load_program(LOADABLE)
        await driver.write("COUNT", len(IFMAPS))
        await driver.write("CONTROL", Command.START)
        *before, last = (LOADABLE.pack_ifmap(ifmap) for ifmap in IFMAPS[:ifmaps])
        for packet in before:
            while not await bench.client.send_ifmap(packet):
                pass
            while await bench.client.receive_ofmap() is None:
                pass
        while State.IFMAP not in bench.client.state:
            await driver.status()
        sent = bench.uart.sent + HEADER_BYTES + len(last) + CRC_BYTES
        sending = cocotb.start_soon(bench.client.send_ifmap(last))
        while bench.uart.sent < sent:
            await Timer(1, unit="us")
        await Timer(10_000_000 // BOARD.baud + microseconds, unit="us")  # the last byte; an inference takes 10 or so
        sending.cancel()
        await lost()
        await bench.works()
