"""The simulation without Python in the loop against the one under cocotb, which it must equal cycle for cycle."""

import os
from dataclasses import replace

import numpy as np
import pytest
from amaranth.lib.wiring import In, Signature

import deeplock.sim.native
from deeplock.hw.basics.axi import AxiStream
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.driver import AcceleratorError
from deeplock.pymodel.spec.register_files import c_header
from deeplock.pymodel.spec.registers import COUNTERS, Error, Status
from deeplock.sim.build import TOP, build
from deeplock.sim.native import constants_header
from deeplock.sim.results import SimulationError
from deeplock.sim.run import simulate
from tests.sim import tiny
from tests.sim.fake import FakeAccelerator, FakeLoadable

CONFIG = tiny.ACCUMULATORS_TOO_FEW
LOADABLE = tiny.tiny_loadable(CONFIG)


def natively(loadable, ifmaps, key: bytes = tiny.KEY, **arguments):
    return simulate(loadable, CONFIG, key, list(ifmaps), "native", **arguments)


@pytest.mark.parametrize("count", [1, 4])
def test_ofmaps_counters_and_status_are_those_under_cocotb(count):
    ifmaps = tiny.ifmaps(count)
    native = natively(LOADABLE, ifmaps)
    cocotb = simulate(LOADABLE, CONFIG, tiny.KEY, list(ifmaps), "verilator")
    assert np.array_equal(np.stack(native.ofmaps), tiny.expected(LOADABLE, CONFIG, ifmaps))
    assert np.array_equal(np.stack(native.ofmaps), np.stack(cocotb.ofmaps))
    assert native.counters == cocotb.counters
    assert native.status == cocotb.status == Status.LOADED | Status.KEYED | Status.DONE
    assert native.cycles >= native.counters["CYCLES"]
    assert native.cycles_per_second == native.cycles / native.seconds


def test_a_wrong_key_gives_what_golden_gives_with_it():
    ifmaps = tiny.ifmaps(2)
    found = natively(LOADABLE, ifmaps, tiny.WRONG_KEY)
    assert np.array_equal(np.stack(found.ofmaps), tiny.expected(LOADABLE, CONFIG, ifmaps, tiny.WRONG_KEY))


@pytest.mark.parametrize("pauses", [0.3, 0.9])
def test_pauses_change_cycles_and_no_byte(pauses):
    ifmaps = tiny.ifmaps(3)
    one, same, other = (natively(LOADABLE, ifmaps, pauses=pauses, seed=seed) for seed in (1, 1, 2))
    without = natively(LOADABLE, ifmaps)
    assert np.array_equal(np.stack(one.ofmaps), tiny.expected(LOADABLE, CONFIG, ifmaps))
    assert one.counters == same.counters != other.counters
    assert one.counters["CYCLES"] > without.counters["CYCLES"]
    assert one.counters["CYCLES"] == sum(one.counters[name] for name, _ in COUNTERS if name != "CYCLES")


def test_processes_share_a_batch():
    ifmaps = tiny.ifmaps(5)
    said = []
    batch = natively(LOADABLE, ifmaps, jobs=3, progress=lambda *step: said.append(step))
    assert [len(run.ofmaps) for run in batch.runs] == [1, 2, 2]
    assert np.array_equal(np.stack(batch.ofmaps), tiny.expected(LOADABLE, CONFIG, ifmaps))
    alone = {count: natively(LOADABLE, ifmaps[:count]).counters["CYCLES"] for count in (1, 2)}
    assert [run.counters["CYCLES"] for run in batch.runs] == [alone[1], alone[2], alone[2]]
    assert batch.counters["CYCLES"] == alone[1] + 2 * alone[2]
    assert said[-1] == ("simulating inferences", 5, 5)
    assert len(natively(LOADABLE, ifmaps[:2], jobs=8).runs) == 2


@pytest.mark.parametrize(
    "change, code",
    [
        (lambda loadable: replace(loadable, parameters=loadable.parameters[:-4]), Error.LOADABLE_TRUNCATED),
        (lambda loadable: replace(loadable, parameters=loadable.parameters + bytes(36)), Error.LOADABLE_TOO_LONG),
        (lambda loadable: replace(loadable, header=replace(loadable.header, magic=1)), Error.BAD_MAGIC),
    ],
    ids=["truncated", "too long", "magic"],
)
@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_of_the_accelerator_comes_back_as_under_cocotb(change, code, jobs):
    with pytest.raises(AcceleratorError, match=code.name) as caught:
        natively(change(LOADABLE), tiny.ifmaps(3), jobs=jobs)
    assert caught.value.code == code


def test_a_device_without_key_says_so():
    with pytest.raises(AcceleratorError, match="NO_KEY"):
        natively(LOADABLE, tiny.ifmaps(1), key=b"")


def test_a_device_that_hangs_ends_by_the_watchdog():
    class Truncated(FakeLoadable):
        head = bytes([2, 0, 0, 0, 0, 0, 0, 0])  # half of it: the device waits for the rest for ever

    loadable = Truncated((2, 2, 2), b"")
    with pytest.raises(
        SimulationError, match="watchdog: no beat on any stream for .* waiting for the loadable's header"
    ):
        simulate(
            loadable,
            Config(),
            tiny.KEY,
            [np.zeros((2, 2, 2), np.int8)],
            "native",
            component=FakeAccelerator,
            watchdog=900,
        )


def test_beats_that_are_not_full_come_back_whole():
    rng = np.random.default_rng(3)
    shape = (6, 5, 3)  # 90 bytes: the last beat has 2
    loadable = FakeLoadable(shape, rng.bytes(800))
    ifmaps = [rng.integers(-128, 128, shape, dtype=np.int8) for _ in range(3)]
    found = simulate(loadable, Config(), tiny.KEY, ifmaps, "native", component=FakeAccelerator)
    assert all(np.array_equal(o, loadable.expected(i, tiny.KEY)) for o, i in zip(found.ofmaps, ifmaps, strict=True))
    assert found.counters["CYCLES"] == 3 * (1 + 100 + 12), "the streams must give and take a beat every cycle"


def test_the_key_is_in_no_file_argument_or_variable(monkeypatch, tmp_path):
    seen = []
    popen = deeplock.sim.native.subprocess.Popen

    def started(arguments, **options):
        seen.extend(repr(value).encode().lower() for value in (arguments, options, dict(os.environ)))
        return popen(arguments, **options)

    monkeypatch.setattr(deeplock.sim.native.subprocess, "Popen", started)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    natively(LOADABLE, tiny.ifmaps(1))
    assert len(seen) == 3 and not list(tmp_path.iterdir())
    for form in (tiny.KEY, tiny.KEY[::-1], tiny.KEY.hex().encode(), tiny.KEY[4:8].hex().encode()):
        assert form not in b"\n".join(seen)


def test_the_header_has_the_registers_and_the_beats():
    widths = {"s_axis_loadable": 4, "s_axis_ifmap": 8, "m_axis_ofmap": 2}
    text = constants_header(Signature({name: In(AxiStream(width)) for name, width in widths.items()}))
    assert c_header() in text
    for name, width in (("LOADABLE", 4), ("IFMAP", 8), ("OFMAP", 2)):
        assert f"#define {name}_BEAT {width}\n" in text


def test_a_build_is_told_from_that_for_cocotb():
    folder = build(CONFIG, "native")
    assert folder.name.startswith("native-") and os.access(folder / TOP, os.X_OK)


def test_waves_and_jobs_that_cannot_be_are_refused(tmp_path):
    with pytest.raises(DeeplockError, match="simulator native writes no waves: use verilator or icarus"):
        natively(LOADABLE, tiny.ifmaps(1), waves=tmp_path / "run.fst")
    with pytest.raises(ValueError, match="jobs must be 1, or more with simulator native, not 2 with icarus"):
        simulate(LOADABLE, CONFIG, tiny.KEY, list(tiny.ifmaps(2)), "icarus", jobs=2)
