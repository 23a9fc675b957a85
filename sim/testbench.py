"""The cocotb side of sim.run: runs the job in folder DEEPLOCK_JOB and writes the result beside it."""

import os
import pickle
from pathlib import Path
from types import SimpleNamespace

import cocotb

from deeplock.pymodel.lock.keyfile import read_key
from deeplock.pymodel.spec.driver import AcceleratorError
from deeplock.sim.driver import Driver

__all__ = ["simulate_job"]


@cocotb.test()
async def simulate_job(dut) -> None:
    folder = Path(os.environ["DEEPLOCK_JOB"])
    job = pickle.loads((folder / "job").read_bytes())
    key_file = folder / "key"
    key = b""
    if key_file.exists():
        key = read_key(key_file)
        key_file.unlink()
    loadable = SimpleNamespace(
        head=job["head"],
        parameters=job["parameters"],
        batch=job["batch"],
        pack_ifmap=lambda data: data,
        unpack_ofmaps=lambda data: [data],
    )

    with (folder / "progress").open("a", buffering=1) as progress:
        driver = Driver(dut, job["pauses"], job["seed"], job["watchdog"])
        await driver.reset()
        try:
            if key:
                await driver.load_key(key)
            await driver.load_program(loadable)
            run = await driver.run(loadable, job["ifmaps"], lambda done, _: print(done, file=progress), job["profile"])
            result = {"ofmaps": run.ofmaps, "counters": run.counters, "cycles": run.cycles}
        except AcceleratorError:
            result = {"ofmaps": [], "counters": {}, "cycles": 0}  # the code is in STATUS
        result["status"] = await driver.status()
    (folder / "result.part").write_bytes(pickle.dumps(result))
    (folder / "result.part").rename(folder / "result")
