"""The cocotb side of bench.board_sim: a board's pins with UART, flash and SDRAM, and the host's driver behind the UART."""

import os
import pickle
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import Timer
from cocotb.utils import get_sim_time

from deeplock.fpga.boards import board
from deeplock.fpga.host.client import LinkClient
from deeplock.fpga.host.driver import BoardDriver
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.lock.keyfile import read_key
from deeplock.sim.flash_model import Flash, run_flash
from deeplock.sim.sdram_model import SdramChip, run_sdram
from deeplock.sim.uart_model import UartModel

__all__ = ["run_board"]


@cocotb.test()
async def run_board(dut) -> None:
    """Do the job that DEEPLOCK_JOB describes and leave the result, or the error that the host saw, beside it."""
    folder = Path(os.environ["DEEPLOCK_JOB"])
    job = pickle.loads((folder / "job").read_bytes())
    loadable = job["loadable"]
    there = board(job["board"]).for_suite(loadable.suite, bool(loadable.licence))
    half_period = round(5e11 / there.clock_hz)
    dut.rst.value = 1
    flash = Flash(bytes(there.loadable_address) + loadable.stream, dead=job["dead_flash"])
    cocotb.start_soon(Clock(dut.clk, 2 * half_period, unit="ps", impl="gpi").start())
    cocotb.start_soon(run_flash(flash, dut.cs, dut.sck, dut.o, dut.oe, dut.i))
    if there.sdram:
        pins = (getattr(dut, f"sdram_{name}") for name in ("clk", "command", "bank", "a", "o", "oe", "i"))
        cocotb.start_soon(run_sdram(SdramChip(), *pins))
    uart = UartModel(dut.rx, dut.tx, there.baud)
    uart.damage_sent, uart.damage_received = set(job["damage_sent"]), set(job["damage_received"])
    await Timer(20 * half_period, unit="ps")
    dut.rst.value = 0
    await Timer(1, unit="ms")  # the least that a host takes to open its port; by then the flash has woken

    client = LinkClient(uart, timeout=0.025)
    driver = BoardDriver(client, there.loadable_address, now=lambda: get_sim_time("sec"), patience=1.0)
    result = {}
    with (folder / "progress").open("a", buffering=1) as progress:
        try:
            info = await client.connect(there.name)
            if (folder / "key").exists():
                await driver.load_key(read_key(folder / "key"))
            run = await driver.run(loadable, job["ifmaps"], lambda done, _: print(done, file=progress))
            result = {"info": tuple(info), "ofmaps": run.ofmaps, "counters": run.counters}
        except DeeplockError as error:
            result = {"error": str(error)}
    result |= {"sent": uart.sent, "received": uart.received, "seconds": get_sim_time("sec"), "reads": len(flash.reads)}
    (folder / "result").write_bytes(pickle.dumps(result))
