"""The software baseline on simulated cores: golden bytes, cycles that two counters agree on, and no straw man."""

import numpy as np
import pytest

from deeplock.pymodel.network import golden
from deeplock.pymodel.network.network import Network
from deeplock.pymodel.network.operators.conv import Conv
from deeplock.pymodel.network.operators.max_pool import MaxPool
from deeplock.sim.results import SimulationError
from deeplock.sim.riscv import run
from deeplock.sim.riscv.cores import CORES
from deeplock.sim.riscv.memory import VARIANTS
from deeplock.sim.riscv.run import run_on_core
from tests.random_networks import network_of
from tests.sim.test_riscv_engine import expected, job

RNG = np.random.default_rng(11)


def layer(name: str, source: str, shape: tuple[int, int, int, int], padding: int = 0) -> Conv:
    out = shape[0]
    return Conv(
        name, source, RNG.integers(-128, 128, shape, np.int8), RNG.integers(-9999, 9999, out).astype(np.int32),
        RNG.integers(1 << 15, 1 << 16, out).astype(np.int32), RNG.integers(20, 26, out).astype(np.int32),
        (1, 1), (padding,) * 4, 3, -5, -128, 127,
    )  # fmt: skip


SMALL = network_of(
    (7, 6, 3),
    layer("a", "input", (6, 3, 3, 3), 1),
    MaxPool("b", "a", (2, 2), (2, 2)),
    layer("c", "b", (5, 2, 2, 6)),
    layer("d", "c", (3, 2, 2, 5)),
)
DENSE = network_of((1, 1, 784), layer("a", "input", (64, 1, 1, 784)), layer("b", "a", (10, 1, 1, 64)))
"""50,816 multiplications."""


def ifmaps(network: Network, count: int = 1) -> np.ndarray:
    return RNG.integers(-128, 128, (count, *network.input_shape), np.int8)


@pytest.mark.slow
@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("variant", VARIANTS)
def test_cores_give_golden_bytes_and_two_counters_agree(core, variant):
    images = ifmaps(SMALL, 2)
    ideal, slow = (run_on_core(core, job(SMALL, images, variant), memory) for memory in ("ideal", "slow"))
    for found in (ideal, slow):
        assert np.array_equal(found.ofmaps, expected(SMALL, images))
        for cycles, second in zip(found.cycles, found.second_cycles, strict=True):
            assert 0 < cycles - second <= 64 or 0 < second - cycles <= 64
        assert list(found.layers) == ["a", "c", "d"]  # `a` ends in the pooling
        assert sum(found.layers.values()) + found.unlocking < found.cycles[-1]
    assert max(ideal.cycles) < min(slow.cycles)
    assert (ideal.unlocking > 0) == (variant == "unlock-all")


@pytest.mark.slow
@pytest.mark.parametrize("core", CORES)
def test_a_flipped_byte_is_seen_on_cores(core):
    images = ifmaps(SMALL)
    for variant in VARIANTS:
        found = run_on_core(core, job(SMALL, images, variant, flip=33))
        assert not np.array_equal(found.ofmaps, expected(SMALL, images))


@pytest.mark.slow
def test_the_baseline_is_no_straw_man():
    images = ifmaps(DENSE)
    cycles, results = {}, {}
    for variant in VARIANTS:
        arena = job(DENSE, images, variant)
        results[variant] = run_on_core("vexriscv", arena)
        assert np.array_equal(results[variant].ofmaps, golden.run(DENSE, images)["b"])
        cycles[variant] = results[variant].cycles[0]
    assert cycles["plain"] / 50_816 <= 5.5
    assert results["unlock-all"].unlocking / arena.parameter_bytes <= 9.5
    assert max(cycles["unlock-all"], cycles["fused"]) / cycles["plain"] < 3.2


@pytest.mark.slow
def test_the_custom_instruction_unlocks_faster():
    images = ifmaps(DENSE)
    with_unit, without = (run_on_core(core, job(DENSE, images, "unlock-all")) for core in ("vexriscv-cfu", "vexriscv"))
    assert 2 * with_unit.unlocking < without.unlocking


@pytest.mark.slow
def test_a_core_that_does_not_end_is_told(monkeypatch):
    monkeypatch.setattr(run, "_SLOWEST", 1)
    monkeypatch.setattr(run, "_SPARE", 0)
    with pytest.raises(SimulationError, match=r"^vexriscv: no end after \d+ cycles$"):
        run_on_core("vexriscv", job(SMALL, ifmaps(SMALL), "plain"))


def test_only_known_cores_run():
    with pytest.raises(ValueError, match="core must be one of vexriscv, vexriscv-cfu, picorv32, not z80"):
        run_on_core("z80", job(SMALL, ifmaps(SMALL), "plain"))
