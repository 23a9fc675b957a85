"""The SoC: the exported C driver on VexRiscv, and the exported Verilog beside it, against the golden model."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cocotb_tools.runner import get_runner

import deeplock.sim.toolchain
from deeplock.pymodel.compiler.compiler import compile_network
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.loadable import Loadable
from deeplock.pymodel.spec.registers import Error
from deeplock.pymodel.zoo import datasets, trained
from deeplock.pymodel.zoo.preprocess import quantise_input
from deeplock.sim.bench import run_bench
from deeplock.sim.build import TIMESCALE, TOP
from deeplock.sim.riscv import build
from deeplock.sim.riscv.soc import SocResults, build_soc, build_soc_firmware, run_on_soc, soc_job
from deeplock.sim.toolchain import environment
from tests.sim.test_riscv_engine import expected, missing

KEY, WRONG = bytes(range(7, 23)), bytes(range(8, 24))
SMALL = Config(rows=4, cols=4, bytes_per_beat=4, suite="acorn")
DIGITS = trained.load("digits")
IMAGES = quantise_input(DIGITS, datasets.load("digits").test_images[:3])


def digits(config: Config) -> Loadable:
    loadable = compile_network(DIGITS, config, np.random.default_rng(0))
    return loadable.locked(config.suite, KEY) if config.key_sizes else loadable


def check(found: SocResults) -> None:
    assert found.error == 0 and np.array_equal(found.ofmaps, expected(DIGITS, IMAGES))
    for host, second, accelerator in zip(found.cycles, found.second_cycles, found.accelerator_cycles, strict=True):
        assert abs(host - second) <= 64 and accelerator < host < accelerator + 1000


@pytest.mark.slow
def test_locked_digits_are_bit_exact_and_a_slow_memory_takes_longer():
    """Each ofmap comes through the core's cache, which holds the one before."""
    loadable = digits(SMALL)
    ideal, slow = (run_on_soc(SMALL, soc_job(loadable, IMAGES, KEY), memory) for memory in ("ideal", "slow"))
    check(ideal)
    check(slow)
    assert max(ideal.accelerator_cycles) < min(slow.accelerator_cycles) and 0 < ideal.loading < slow.loading


@pytest.mark.slow
@pytest.mark.parametrize("wrong", ["key", "parameters", "program"])
def test_the_driver_returns_the_accelerators_error_code(wrong):
    loadable = digits(SMALL)
    if wrong == "parameters":
        loadable = replace(loadable, parameters=loadable.parameters[:-1] + bytes([loadable.parameters[-1] ^ 1]))
    if wrong == "program":
        loadable = replace(loadable, header=replace(loadable.header, magic=0))
    found = run_on_soc(SMALL, soc_job(loadable, IMAGES, WRONG if wrong == "key" else KEY))
    assert found.error == (Error.BAD_MAGIC if wrong == "program" else Error.BAD_TAG)
    assert not found.ofmaps.any() and not any(found.accelerator_cycles[1:])


@pytest.mark.slow
@pytest.mark.parametrize("suite", ["plain", "deep-lock"])
def test_suites_without_a_tag_are_bit_exact_with_the_right_key_alone(suite):
    config = replace(SMALL.with_suite(suite), lanes=2)
    job = soc_job(digits(config), IMAGES, KEY if config.key_sizes else b"")
    check(run_on_soc(config, job))
    if config.key_sizes:
        wrong = run_on_soc(config, soc_job(digits(config), IMAGES, WRONG))
        assert wrong.error == 0 and not np.array_equal(wrong.ofmaps, expected(DIGITS, IMAGES))


def test_what_is_missing_is_told_in_one_line(monkeypatch):
    missing("ziglang", monkeypatch)
    with pytest.raises(DeeplockError, match="^no compiler for RISC-V: install the Python package ziglang$"):
        build_soc_firmware()
    missing("pythondata_cpu_vexriscv", monkeypatch)
    with pytest.raises(DeeplockError, match="install the Python package pythondata-cpu-vexriscv$"):
        build_soc(SMALL)
    monkeypatch.setattr(deeplock.sim.toolchain, "_verilator_bin", lambda: None)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(DeeplockError, match="^native needs verilator, which is not on PATH"):
        build_soc(SMALL)


def test_the_bridge_and_the_dma_move_whole_packets_with_any_pauses(tmp_path):
    seed = int.from_bytes(os.urandom(4))
    print("seed", seed)
    folder, here = tmp_path / "build", Path(__file__).parent
    with environment():
        get_runner("icarus").build(
            sources=[build.HERE / "accelerator.v", here / "loopback.v"],
            hdl_toplevel=TOP,
            build_dir=folder,
            parameters={"LOADABLE": 4, "IFMAP": 4, "OFMAP": 4},
            timescale=TIMESCALE,
            log_file=tmp_path / "build.log",
        )
    assert run_bench("tests.sim.bench_dma", folder, "icarus", tmp_path, {"DEEPLOCK_TEST_SEED": str(seed)}) == 9
