"""Simulating a loadable from Python, on a fake accelerator, on both simulators."""

import os
import tempfile

import numpy as np
import pytest

import deeplock.sim.run
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.driver import AcceleratorError
from deeplock.pymodel.spec.registers import Error, Status
from deeplock.sim.results import SimulationError
from deeplock.sim.run import simulate
from tests.sim.fake import FakeAccelerator, FakeLoadable

KEY = bytes.fromhex("c0ffee11c0ffee22c0ffee33c0ffee44")


def make(count: int, shape=(6, 5, 3)):
    rng = np.random.default_rng(3)
    return FakeLoadable(shape, rng.bytes(800)), [rng.integers(-128, 128, shape, dtype=np.int8) for _ in range(count)]


def simulated(loadable, ifmaps, simulator, key=KEY, config=None, **arguments):
    return simulate(loadable, config or Config(), key, ifmaps, simulator, component=FakeAccelerator, **arguments)


@pytest.mark.parametrize("pauses", [0.0, 0.3])
def test_ofmaps_counters_and_progress_come_back(simulator, pauses):
    loadable, ifmaps = make(4)
    said = []
    result = simulated(loadable, ifmaps, simulator, pauses=pauses, seed=5, progress=lambda *step: said.append(step))
    assert all(np.array_equal(o, loadable.expected(i, KEY)) for o, i in zip(result.ofmaps, ifmaps, strict=True))
    assert result.status == Status.LOADED | Status.KEYED | Status.DONE
    assert result.counters["CYCLES"] >= 4 * (1 + 100 + 12) and result.counters["KEY_STARVED"] == 0
    assert (result.counters["CYCLES"] == 4 * (1 + 100 + 12)) == (pauses == 0)
    assert said[-1] == ("simulating inferences", 4, 4)


def test_the_same_seed_gives_the_same_cycles_and_another_one_others():
    """The testbench draws the pauses, whatever the simulator."""
    loadable, ifmaps = make(2)
    one, same, other = (
        simulated(loadable, ifmaps, "icarus", pauses=0.5, seed=seed).counters["CYCLES"] for seed in (1, 1, 2)
    )
    assert one == same != other


def test_a_suite_without_lock_needs_no_key():
    loadable, ifmaps = make(1)
    result = simulated(loadable, ifmaps, "icarus", key=b"", config=Config(suite="plain"))
    assert np.array_equal(result.ofmaps[0], loadable.expected(ifmaps[0], b""))


def test_an_error_of_the_accelerator_comes_back_as_itself(simulator):
    loadable, ifmaps = make(1)
    with pytest.raises(AcceleratorError, match="stopped with NO_KEY: started, or .* without a key") as caught:
        simulated(loadable, ifmaps, simulator, key=b"")
    assert caught.value.code == Error.NO_KEY
    assert isinstance(caught.value, DeeplockError)


def test_the_key_is_in_a_file_of_mode_0600_only_and_nothing_is_left(simulator, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    seen = []
    run_bench = deeplock.sim.run.run_bench

    def look(module, folder, simulator, work, variables, waves):
        assert (work / "key").stat().st_mode & 0o777 == 0o600
        assert work.stat().st_mode & 0o777 == 0o700
        texts = [path.read_bytes() for path in work.iterdir() if path.name != "key"] + [repr(variables).encode()]
        run_bench(module, folder, simulator, work, variables, waves)
        assert not (work / "key").exists()
        texts += [path.read_bytes() for path in work.rglob("*") if path.is_file()]
        seen.extend(texts)

    monkeypatch.setattr(deeplock.sim.run, "run_bench", look)
    loadable, ifmaps = make(1)
    simulated(loadable, ifmaps, simulator)
    text = b"\n".join(seen).lower() + repr(dict(os.environ)).encode().lower()
    assert len(seen) > 4
    word = KEY[4:8]
    for form in (KEY, KEY[::-1], *(x.encode() for x in (KEY.hex(), word.hex(), word[::-1].hex(), word.hex(" ")))):
        assert form not in text
    assert list(tmp_path.iterdir()) == []


def test_waves_are_written_where_asked_and_for_their_owner_only(simulator, tmp_path):
    loadable, ifmaps = make(1)
    waves = tmp_path / "run.waves"
    simulated(loadable, ifmaps, simulator, waves=waves)
    assert waves.stat().st_size > 1000
    assert waves.stat().st_mode & 0o777 == 0o600


def test_a_device_that_hangs_ends_the_simulation_and_shows_the_end_of_its_log(simulator):
    class Truncated(FakeLoadable):
        head = bytes([2, 0, 0, 0, 0, 0, 0, 0])  # half of it: the device waits for the rest for ever

    loadable, ifmaps = make(1)
    with pytest.raises(
        SimulationError, match=f"(?s)^deeplock.sim.testbench failed with {simulator}:.*WatchdogError: no beat"
    ) as caught:
        simulated(Truncated(loadable.shape, b""), ifmaps, simulator, watchdog=900)
    assert len(str(caught.value).splitlines()) <= 31


def test_no_ifmap_is_refused():
    with pytest.raises(ValueError, match="at least one ifmap"):
        simulated(make(0)[0], [], "icarus")
