"""deeplock.c, the bare-metal driver, on the accelerator's RTL: over sim/native.cpp's registers and streams, and over
deeplock_memory.c and a memory master, by sim/memory/host.cpp."""

import struct
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from subprocess import PIPE

import numpy as np
import pytest

import deeplock.sim.export
from deeplock.pymodel.spec.loadable import Loadable
from deeplock.pymodel.spec.register_files import c_header, memory_c_header
from deeplock.pymodel.spec.registers import Error
from deeplock.sim.build import TOP, build
from deeplock.sim.memory.design import accelerator_with_memory
from deeplock.sim.memory.host import HOST
from tests.sim import tiny
from tests.sim.memory_design import DESIGN

HERE = Path(__file__).parent
DRIVER = Path(deeplock.sim.export.__file__).parent
CONFIG = tiny.ACCUMULATORS_TOO_FEW
LOADABLE = tiny.tiny_loadable(CONFIG)
IFMAPS = tiny.ifmaps(4)
EXPECTED = tiny.expected(LOADABLE, CONFIG, IFMAPS)


@dataclass(frozen=True)
class Result:
    returned: tuple[int, ...]
    ofmaps: list[bytes]
    cycles: int


def compiled(folder: Path, *sources: Path) -> Path:
    """driver_host.c with the driver and a port."""
    (folder / "deeplock_regs.h").write_text(c_header())
    (folder / "deeplock_memory_regs.h").write_text(memory_c_header())
    strict = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror", "-O1"]
    sources = DRIVER / "deeplock.c", HERE / "driver_host.c", *sources
    subprocess.run(["gcc", *strict, "-I", DRIVER, "-I", folder, "-o", folder / "host", *sources], check=True)
    return folder / "host"


@pytest.fixture(scope="module")
def host(tmp_path_factory) -> Path:
    return compiled(tmp_path_factory.mktemp("driver"), HERE / "port_streams.c")


@pytest.fixture(scope="module")
def memory_host(tmp_path_factory) -> Path:
    return compiled(tmp_path_factory.mktemp("driver"), DRIVER / "deeplock_memory.c", HERE / "port_memory.c")


def driven(
    host: Path,
    folder: Path,
    loadable: Loadable,
    key: bytes,
    runs: int = 1,
    ifmaps: np.ndarray = IFMAPS,
    device: Sequence[object] = (),
) -> Result:
    """The calls of driver_host.c on the RTL, which `device` runs, or else the native simulation of CONFIG."""
    packets = [loadable.pack_ifmap(ifmap) for ifmap in ifmaps]
    size = EXPECTED[0].size
    numbers = (len(key), len(loadable.head), len(loadable.stream), len(packets[0]), size, len(packets), runs)
    (folder / "job").write_bytes(struct.pack("<7I", *numbers) + key + loadable.stream + b"".join(packets))
    command = [*map(str, device)] or [build(CONFIG, "native") / TOP, "0", "0"]
    with (
        subprocess.Popen(command, stdin=PIPE, stdout=PIPE) as device_running,
        subprocess.Popen(
            [host, folder / "job", folder / "result"], stdin=device_running.stdout, stdout=device_running.stdin
        ) as driver,
    ):
        assert device_running.stdin and device_running.stdout
        device_running.stdin.close()  # so that the driver's end is the last
        device_running.stdout.close()
        assert driver.wait(60) == 0 and device_running.wait(10) == 0
    data = (folder / "result").read_bytes()
    calls = (len(data) - size * len(packets)) // 4 - 1
    ofmaps = [data[at : at + size] for at in range(4 * calls, len(data) - 4, size)]
    return Result(struct.unpack_from(f"<{calls}i", data), ofmaps, int.from_bytes(data[-4:], "little"))


def test_key_program_and_two_runs_bit_exact(host, tmp_path):
    found = driven(host, tmp_path, LOADABLE, tiny.KEY, runs=2)
    assert found.returned == (0, 0, 0, 0), "key, run, run, zeroise"
    assert found.ofmaps == [ofmap.tobytes() for ofmap in EXPECTED]
    assert found.cycles > 0


@pytest.mark.parametrize(
    "change, key, error",
    [
        ({"parameters": LOADABLE.parameters[:-4]}, tiny.KEY, Error.LOADABLE_TRUNCATED),
        ({"parameters": LOADABLE.parameters + bytes(4)}, tiny.KEY, Error.LOADABLE_TOO_LONG),
        ({"header": replace(LOADABLE.header, magic=0)}, tiny.KEY, Error.BAD_MAGIC),
        ({}, b"", Error.NO_KEY),
    ],
)
def test_an_error_is_returned_and_the_device_is_usable_again(change, key, error, host, tmp_path):
    found = driven(host, tmp_path, replace(LOADABLE, **change), key, runs=2)
    calls = (error, error, 0) if not key else (0, error, 0, error, 0)
    assert found.returned == calls


@pytest.fixture(scope="module")
def behind_memory() -> list[object]:
    """The accelerator of DESIGN behind its memory master, and a memory of 20 cycles that pauses."""
    program = build(DESIGN, "native", component=accelerator_with_memory, host=HOST) / TOP
    return [program, 20, 1 << 20, 0.1, 1]


MEMORY_LOADABLE = tiny.tiny_loadable(DESIGN.config)


@pytest.mark.slow
def test_a_memory_master_is_a_port(memory_host, behind_memory, tmp_path):
    found = driven(memory_host, tmp_path, MEMORY_LOADABLE, tiny.KEY, 3, IFMAPS[:1], behind_memory)
    assert found.returned == (0, 0, 0, 0, 0), "key, three runs, zeroise"
    assert found.ofmaps == [EXPECTED[0].tobytes()]


@pytest.mark.parametrize(
    "change, key, error",
    [
        ({"parameters": MEMORY_LOADABLE.parameters[:-8]}, tiny.KEY, Error.LOADABLE_TRUNCATED),
        ({"parameters": MEMORY_LOADABLE.parameters + bytes(8)}, tiny.KEY, Error.LOADABLE_TOO_LONG),
        ({"header": replace(MEMORY_LOADABLE.header, magic=0)}, tiny.KEY, Error.BAD_MAGIC),
        ({}, b"", Error.NO_KEY),
    ],
)
def test_behind_a_memory_master_errors_are_returned_too(change, key, error, memory_host, behind_memory, tmp_path):
    """And the device is usable again."""
    loadable = replace(MEMORY_LOADABLE, **change)
    found = driven(memory_host, tmp_path, loadable, key, 2, IFMAPS[:1], behind_memory)
    assert found.returned == ((error, error, 0) if not key else (0, error, 0, error, 0))


def test_an_ofmap_of_another_size_is_the_masters_error(memory_host, behind_memory, tmp_path, monkeypatch):
    """The accelerator has nothing to say, so patience ends the call."""
    monkeypatch.setitem(globals(), "EXPECTED", [np.zeros(EXPECTED[0].size + 2, np.int8)])
    found = driven(memory_host, tmp_path, MEMORY_LOADABLE, tiny.KEY, 1, IFMAPS[:1], behind_memory)
    assert found.returned == (0, -1, 0)
