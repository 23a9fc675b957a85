"""Images on the RTL by the command (issue 2, Shows 4 and 5)."""

import json
import subprocess
import sys

import numpy as np
import pytest

from tests.cli.conftest import ACCELERATOR
from tests.cli.test_main import ROOT


@pytest.fixture
def simulate(deeplock, tmp_path):
    """Runs the command and gives its figures."""

    def run(*arguments: object) -> dict:
        figures = tmp_path / "run.json"
        outcome = deeplock("simulate", *arguments, "--json", figures)
        assert outcome.code == 0, outcome.err
        return json.loads(figures.read_text())

    return run


@pytest.mark.parametrize(
    ("simulator", "pauses"),
    [*(pytest.param("verilator", pauses, marks=pytest.mark.slow) for pauses in (0.0, 0.3)), ("native", 0.3)],
)
def test_every_byte_is_golden_with_the_right_key(simulate, simulator, files, pauses):
    """The next test does it on Icarus."""
    found = simulate(
        files.loadable,
        *ACCELERATOR,
        "--key-file",
        files.key,
        "--count",
        5,
        "--simulator",
        simulator,
        "--pauses",
        pauses,
    )
    assert found["mismatches"] == 0
    assert (found["images"], found["simulator"], found["suite"]) == (5, simulator, "deep-lock")
    assert (found["rows"], found["cols"], found["bytes_per_beat"]) == (4, 4, 4)
    assert found["accuracy"] >= 0.8
    assert found["cycles_per_image"] > found["lower_bound"]
    assert found["counters"]["CYCLES"] == pytest.approx(5 * found["cycles_per_image"], abs=0.1)
    assert found["counters"]["KEY_STARVED"] == 0


def test_a_wrong_key_gives_what_golden_gives_with_it(simulate, simulator, files):
    found = simulate(
        files.loadable, *ACCELERATOR, "--key-file", files.wrong_key, "--count", 1, "--simulator", simulator
    )
    assert found["mismatches"] == 0


def test_a_profile_is_printed_and_drawn_and_adds_up(deeplock, files, tmp_path):
    picture, figures = tmp_path / "folder" / "profile.png", tmp_path / "run.json"
    outcome = deeplock(
        "simulate", files.loadable, *ACCELERATOR, "--key-file", files.key, "--count", 3, "--simulator", "native",
        "--profile", picture, "--json", figures,
    )  # fmt: skip
    assert outcome.code == 0, outcome.err
    assert picture.read_bytes().startswith(b"\x89PNG")
    found = json.loads(figures.read_text())
    layers = found["layers"]
    for name, cycles in found["counters"].items():
        assert sum(layer["counters"][name] for layer in layers) == cycles
    assert all(layer["counters"]["CYCLES"] > 3 * layer["lower_bound"] > 0 for layer in layers)
    table = outcome.out[outcome.out.index("cycles per inference by layer") :].splitlines()
    assert table[1].split()[:2] == ["layer", "input"]
    assert " ".join(table[1].split()[3:12]) == "kernel pool cycles lower bound ratio array bound ratio"
    assert "key starved" not in table[1] and "load bound" in table[1]
    assert [line.split()[0] for line in table[3:]] == [*(str(number + 1) for number in range(len(layers))), "all"]
    assert [line.split()[1] for line in table[3:-1]] == [layer["name"] for layer in layers]
    assert table[-1].split()[1] == f"{found['cycles_per_image']:.1f}"


def test_without_a_profile_there_are_no_layers(simulate, files):
    found = simulate(files.loadable, *ACCELERATOR, "--key-file", files.key, "--count", 1, "--simulator", "native")
    assert found["layers"] == []


def test_a_profile_that_cannot_be_written_is_refused_before_the_run(files, refused, tmp_path):
    (tmp_path / "file").touch()
    line = refused(
        "simulate", files.loadable, *ACCELERATOR, "--key-file", files.key, "--profile", tmp_path / "file" / "x.png"
    )
    assert line == f"{tmp_path}/file/x.png: Not a directory"


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "cols", "beat"), [(4, 4, 4), (8, 16, 16)])
def test_geometries_with_the_usual_memories(simulate, deeplock, files, tmp_path, rows, cols, beat):
    loadable = tmp_path / "an.loadable"
    geometry = ("--rows", rows, "--cols", cols, "--bytes-per-beat", beat)
    assert (
        deeplock(
            "compile", files.network, *geometry, "--suite", "deep-lock", "--key-file", files.key, "-o", loadable
        ).code
        == 0
    )
    for pauses in (0, 0.3):
        found = simulate(loadable, "--key-file", files.key, "--count", 5, "--pauses", pauses)
        assert (found["mismatches"], found["rows"], found["cols"]) == (0, rows, cols)


def test_waves_are_written_and_simulating_needs_no_torch(files, tmp_path):
    code = (
        "import sys\n"
        "class NoTorch:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('torch', 'torchao'):\n"
        "            raise ModuleNotFoundError(name)\n"
        "sys.meta_path.insert(0, NoTorch())\n"
        "from deeplock.cli.main import main\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    waves = tmp_path / "folder" / "run.fst"
    arguments = ["simulate", files.loadable, *ACCELERATOR, "--key-file", files.key, "--count=1", "--simulator=icarus"]
    command = [sys.executable, "-c", code, *map(str, arguments), f"--waves={waves}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert waves.stat().st_size > 1000


def test_a_loadable_for_another_geometry_is_refused(files, refused):
    line = refused("simulate", files.loadable_8x8, "--key-file", files.key, "--rows", 4, "--cols", 4)
    assert line == (
        "loadable is compiled for 8x8 (B = 8), the accelerator is 4x4 (B = 4): compile it for that geometry"
    )


def test_a_truncated_loadable_is_refused(files, refused, tmp_path):
    short = tmp_path / "short.loadable"
    short.write_bytes(files.loadable.read_bytes()[:-1])
    assert "truncated" in refused("simulate", short, "--key-file", files.key)


def test_a_missing_verilator_is_named(files, refused, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("deeplock.sim.toolchain._verilator_bin", lambda: None)
    line = refused("simulate", files.loadable, "--key-file", files.key)
    assert line.startswith("verilator needs verilator, which is not on PATH")


def test_keys_that_are_missing_or_of_no_use_are_named(files, refused):
    assert refused("simulate", files.loadable) == "it is locked with suite deep-lock: give --key-file"
    assert "it is not locked" in refused("simulate", files.plain_loadable, "--key-file", files.key)


def test_more_images_than_there_are_is_a_fault(files, refused):
    line = refused("simulate", files.loadable, "--key-file", files.key, "--count", 361)
    assert line == "data set digits: has 360 images, not 361"


def test_images_of_the_user_must_fit(files, refused, tmp_path):
    images = tmp_path / "images.npz"
    np.savez(images, images=np.zeros((2, 5, 5, 1), np.float32))
    line = refused("simulate", files.loadable, "--key-file", files.key, "--images", images)
    assert line == f"{images}: images must be [n, 8, 8, 1], not [2, 5, 5, 1]"
