"""deeplock.c, the bare-metal driver, on the accelerator's RTL: sim/native.cpp gives it registers and streams."""

import struct
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from subprocess import PIPE

import pytest

import deeplock.sim.export
from deeplock.pymodel.spec.loadable import Loadable
from deeplock.pymodel.spec.register_files import c_header
from deeplock.pymodel.spec.registers import Error
from deeplock.sim.build import TOP, build
from tests.sim import tiny

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


@pytest.fixture(scope="module")
def host(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("driver")
    (folder / "deeplock_regs.h").write_text(c_header())
    strict = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror", "-O1"]
    sources = [DRIVER / "deeplock.c", HERE / "driver_host.c"]
    subprocess.run(["gcc", *strict, "-I", DRIVER, "-I", folder, "-o", folder / "host", *sources], check=True)
    return folder / "host"


def driven(host: Path, folder: Path, loadable: Loadable, key: bytes, runs: int = 1) -> Result:
    """The calls of driver_host.c on the RTL."""
    packets = [loadable.pack_ifmap(ifmap) for ifmap in IFMAPS]
    size = EXPECTED[0].size
    numbers = (len(key), len(loadable.head), len(loadable.stream), len(packets[0]), size, len(packets), runs)
    (folder / "job").write_bytes(struct.pack("<7I", *numbers) + key + loadable.stream + b"".join(packets))
    with (
        subprocess.Popen([build(CONFIG, "native") / TOP, "0", "0"], stdin=PIPE, stdout=PIPE) as device,
        subprocess.Popen([host, folder / "job", folder / "result"], stdin=device.stdout, stdout=device.stdin) as driver,
    ):
        assert device.stdin and device.stdout
        device.stdin.close()  # so that the driver's end is the last
        device.stdout.close()
        assert driver.wait(60) == 0 and device.wait(10) == 0
    data = (folder / "result").read_bytes()
    calls = len(data) // 4 - (size * len(packets)) // 4 - 1
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
