"""`deeplock verilog`: the folder, and the commands of docs/into-your-design.md in it, which need no Python package."""

import os
import re
import shlex
import shutil
import subprocess
import sysconfig
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path

import pytest

from deeplock.cli.main import main
from deeplock.pymodel.lock.keyfile import write_key
from deeplock.pymodel.lock.keys import suite_key
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.loadable import write_loadable
from deeplock.sim.toolchain import environment
from tests.cli.pages import blocks_of, commands_of
from tests.cli.test_main import ROOT
from tests.sim.mini import mini_loadable

SMALL = ("--rows", "4", "--activation-words", "1024", "--accumulators", "64")
"""Quick to make; the testbench need not wait for a large memory to be erased."""

LINT = "verilator --lint-only -Wall --top-module deeplock deeplock.vlt deeplock.v"
COMPILE = "iverilog -g2005 -Wall -o tb.vvp deeplock.v tb/deeplock_tb.v"
RUN = "vvp -n tb.vvp"

PAGE = ROOT / "docs" / "into-your-design.md"
EXAMPLE = ROOT / "docs" / "test_deeplock.py"
MAKEFLAGS = "CFG_CXXFLAGS_PCH_I=-include CFG_CXXFLAGS_STD=-std=c++20 OPT_FAST=-O0 OPT_SLOW=-O0 OPT_GLOBAL=-O0"
"""Those that the page gives, and to compile fast rather than to run fast."""

SCRIPTS = sysconfig.get_path("scripts")
"""Where this environment's Python is, and FuseSoC."""


@dataclass(frozen=True)
class Done:
    code: int
    out: str


def shell(line: str, folder: Path, **variables: str) -> Done:
    """A command in a folder, as by a user without this package."""
    with environment():
        path = os.pathsep.join(part for part in os.environ["PATH"].split(os.pathsep) if part != SCRIPTS)
    env = {"PATH": path, "HOME": str(folder), **variables}
    done = subprocess.run(shlex.split(line), cwd=folder, env=env, text=True, capture_output=True, check=False)
    return Done(done.returncode, done.stdout + done.stderr)


def written(folder: Path, *options: str) -> Path:
    assert main(["verilog", *SMALL, *options, "-o", str(folder)]) == 0
    return folder


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> Path:
    """The folder for a small accelerator of the default suite; not to be changed."""
    return written(tmp_path_factory.mktemp("verilog") / "deeplock")


@pytest.fixture(scope="session")
def npu(tmp_path_factory) -> Path:
    """The same for suite plain, under another name, and with too small a program memory for a testbench."""
    options = ("--module", "npu", "--suite", "plain", "--program-words", "32", "--no-testbench")
    return written(tmp_path_factory.mktemp("verilog") / "npu", *options)


@pytest.fixture(scope="session")
def compiled(made) -> Path:
    """The same, with the testbench compiled for Icarus."""
    done = shell(COMPILE, made)
    assert done == Done(0, ""), "no warning"
    return made


@pytest.fixture
def copy(compiled, tmp_path) -> Path:
    """The same, to be changed."""
    shutil.copytree(compiled, tmp_path / "copy")
    return tmp_path / "copy"


def test_the_head_says_how_it_was_made_and_what_it_is(made):
    text = (made / "deeplock.v").read_text()
    head = text[: text.index("`timescale")]
    assert all(line.startswith("//") or not line for line in head.splitlines())
    assert all(re.search(rf"^//     {field.name} +\S", head, re.MULTILINE) for field in fields(Config))
    assert re.search(r"^// Made by deeplock \d+\.\d+\.\d+:\n//     \$ deeplock\b", head, re.MULTILINE)
    assert "1 of 512 x 32 bits, deeplock_core: program" in head


def test_every_module_begins_with_the_name(made, npu):
    for folder, name in ((made, "deeplock"), (npu, "npu")):
        modules = re.findall(r"^module \\?(\S+) ?\(", (folder / "deeplock.v").read_text(), re.MULTILINE)
        assert modules[:2] == [name, f"{name}_core"] and all(each.startswith(f"{name}_core.") for each in modules[2:])


def test_ports_have_the_names_of_amba(made):
    text = (made / "deeplock.v").read_text()
    ports = re.findall(r"^    (?:input |output) wire .* (\w+),?$", text[: text.index(");")], re.MULTILINE)
    lite = "awaddr awprot awvalid awready wdata wstrb wvalid wready bresp bvalid bready " \
           "araddr arprot arvalid arready rdata rresp rvalid rready"  # fmt: skip
    expected = ["aclk", "aresetn", *(f"s_axil_{name}" for name in lite.split())]
    for port, names in (
        ("s_axis_loadable", "tdata tlast tvalid tready"),
        ("s_axis_ifmap", "tdata tlast tvalid tready"),
        ("m_axis_ofmap", "tdata tkeep tlast tvalid tready"),
    ):
        expected += [f"{port}_{name}" for name in names.split()]
    assert ports == [*expected, "irq"]


def test_a_memory_master_has_its_ports_its_header_and_a_testbench_with_a_memory(tmp_path):
    folder = written(tmp_path / "out", "--memory", "axi", "--burst", "32", "--module", "npu")
    text = (folder / "deeplock.v").read_text()
    head, declared = text[: text.index("`timescale")], text[: text.index(");")]
    assert re.search(r"^//     burst +32\n//     outstanding +4$", head, re.MULTILINE)
    ports = re.findall(r"^    (input |output) wire (.{7}) (\w+),?$", declared, re.MULTILINE)
    assert all(name.startswith(("aclk", "aresetn", "s_axil_", "m_axi_", "irq")) for _, _, name in ports)
    widths = {name: (direction.strip(), bits.strip()) for direction, bits, name in ports}
    assert widths["m_axi_araddr"] == ("output", "[31:0]") and widths["m_axi_rdata"] == ("input", "[31:0]")
    assert (
        widths["m_axi_arlen"] == ("output", "[7:0]")
        and "s_axil_memory_awaddr" in widths
        and len(ports) == 2 + 2 * 19 + 33 + 1
    )
    assert (folder / "deeplock_memory_regs.h").exists()
    done = shell(LINT.replace("--top-module deeplock", "--top-module npu"), folder)
    assert done.code == 0 and "%Warning" not in done.out
    assert shell(COMPILE, folder) == Done(0, "")
    assert "\nPASS: 10 bytes of ofmap are right" in "\n" + shell(RUN, folder).out
    path = folder / "tb" / "memory.hex"
    comment, first, second, *others = path.read_text().splitlines()
    path.write_text("\n".join([comment, first, f"{int(second, 16) ^ 1:08x}", *others, ""]))
    done = shell(RUN, folder)
    assert done.code != 0 and "FAIL: the accelerator stopped with error code" in done.out


def test_options_of_a_memory_master_need_one(refused, tmp_path):
    line = refused("verilog", *SMALL, "--outstanding", 8, "-o", tmp_path / "out")
    assert line == "--outstanding is an option of the memory master: give --memory axi"
    line = refused("verilog", *SMALL, "--memory", "axi", "--burst", 24, "-o", tmp_path / "out")
    assert line == "burst must be a power of two from 2 to 256, not 24"
    assert not (tmp_path / "out").exists()


def test_the_testbench_passes_on_icarus(compiled):
    done = shell(RUN, compiled)
    assert done.code == 0 and re.search(
        r"^PASS: 10 bytes of ofmap are right, after \d+ cycles$", done.out, re.MULTILINE
    )


@pytest.mark.parametrize(
    "file, change, reason",
    [
        ("ofmap.hex", lambda lines: [*lines[:-1], f"{int(lines[-1], 16) ^ 1:02x}"], "byte 9 of the ofmap is"),
        ("key.hex", lambda lines: [*lines[:-1], f"{int(lines[-1], 16) ^ 1:08x}"], "error code 12, see deeplock_regs.h"),
        ("loadable.hex", lambda lines: [lines[0], "0" * len(lines[1]), *lines[2:]], "error code 12"),
    ],
)
def test_what_was_changed_fails_with_a_reason_and_an_error(file, change, reason, copy):
    path = copy / "tb" / file
    path.write_text("\n".join([*change(path.read_text().splitlines()), ""]))
    done = shell(RUN, copy)
    assert done.code != 0 and "PASS" not in done.out
    assert re.search(rf"^FAIL: .*{reason}", done.out, re.MULTILINE)


@pytest.mark.parametrize(
    "suite", ["acorn", *(pytest.param(name, marks=pytest.mark.slow) for name in ("plain", "deep-lock"))]
)
def test_no_warning_is_left(suite, request, tmp_path):
    known = {"plain": "npu", "acorn": "made"}
    folder = request.getfixturevalue(known[suite]) if suite in known else written(tmp_path / "out", "--suite", suite)
    done = shell(LINT.replace("--top-module deeplock", "--top-module npu") if suite == "plain" else LINT, folder)
    assert done.code == 0 and "%Warning" not in done.out
    assert shell(COMPILE.replace("tb/deeplock_tb.v", ""), folder) == Done(0, "")


def test_each_port_has_the_interface_that_it_belongs_to(made):
    """As Vivado reads it: buses of AMBA's signals, associated with the clock, and the interrupt's level."""
    top = re.search(r"^module deeplock \(\n(.*?)^\);", (made / "deeplock.v").read_text(), re.MULTILINE | re.DOTALL)
    pattern = r'\(\* X_INTERFACE_INFO = "xilinx.com:(\S+):1.0 (\S+) (\S+)"(?:, X_INTERFACE_PARAMETER = "(.*)")? \*\)\n'
    found = re.findall(pattern + r" *(?:input|output) *wire *(?:\[\d+:0\])? *(\w+)", top[1])
    assert len(found) == len(re.findall(r"^ *(?:input|output)", top[1], re.MULTILINE)) > 30
    ports = {port: (kind, bus, signal, more) for kind, bus, signal, more, port in found}
    buses = "s_axil:s_axis_loadable:s_axis_ifmap:m_axis_ofmap"
    clock = f"ASSOCIATED_BUSIF {buses}, ASSOCIATED_RESET aresetn"
    assert ports["aclk"] == ("signal:clock", "aclk", "CLK", clock)
    assert ports["aresetn"] == ("signal:reset", "aresetn", "RST", "POLARITY ACTIVE_LOW")
    assert ports["irq"] == ("signal:interrupt", "irq", "INTERRUPT", "SENSITIVITY LEVEL_HIGH")
    assert ports["s_axil_araddr"] == ("interface:aximm", "s_axil", "ARADDR", "PROTOCOL AXI4LITE")
    assert ports["m_axis_ofmap_tkeep"] == ("interface:axis", "m_axis_ofmap", "TKEEP", "")
    assert {bus for _, bus, _, _ in ports.values()} == {"aclk", "aresetn", "irq", *buses.split(":")}


def test_each_kind_is_waived_once_and_for_a_reason(made):
    lines = (made / "deeplock.vlt").read_text().splitlines()
    waivers = [(before, line) for before, line in pairwise(lines) if line.startswith("lint_off")]
    assert all(re.fullmatch(r'lint_off -rule [A-Z]+ -file "\*deeplock.v"', line) for _, line in waivers)
    assert len({line for _, line in waivers}) == len(waivers) > 5
    assert all(before.startswith("// ") for before, _ in waivers)


def test_only_files_of_ones_own_are_there(made):
    names = sorted(path.relative_to(made).as_posix() for path in made.rglob("*.*") if path.suffix != ".vvp")
    assert names == [
        "deeplock.c", "deeplock.core", "deeplock.h", "deeplock.rdl", "deeplock.v", "deeplock.vlt", "deeplock_format.h",
        "deeplock_regs.h", "tb/deeplock_tb.v", "tb/ifmap.hex", "tb/key.hex", "tb/loadable.hex", "tb/ofmap.hex",
    ]  # fmt: skip


def test_a_folder_that_is_not_empty_is_kept(refused, tmp_path):
    (tmp_path / "notes").write_text("mine")
    assert (
        refused("verilog", *SMALL, "-o", tmp_path)
        == f"{tmp_path}: is not empty, and is kept as it is: give a new folder"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["notes"]


def test_places_that_cannot_be_are_one_line(refused, tmp_path):
    (tmp_path / "file").write_text("")
    assert refused("verilog", *SMALL, "-o", tmp_path / "file") == f"{tmp_path}/file/deeplock.v: Not a directory"
    assert refused("verilog", *SMALL, "-o", "/proc/new") == "/proc/new/deeplock.v: No such file or directory"


def test_an_accelerator_too_small_for_the_testbench_says_so(refused, npu, tmp_path):
    line = refused("verilog", *SMALL, "--program-words", 32, "-o", tmp_path / "out")
    assert line.startswith("the testbench's network does not fit: ") and line.endswith("; or give --no-testbench")
    assert not (tmp_path / "out").exists()
    assert not (npu / "tb").exists() and "sim:" not in (npu / "deeplock.core").read_text()


@pytest.mark.parametrize("name", ["9lives", "a b", "a\\nb", ""])
def test_a_name_that_is_none_is_refused(name, tmp_path, capsys):
    with pytest.raises(SystemExit):
        main(["verilog", "--module", name, "-o", str(tmp_path / "out")])
    assert "must be a Verilog identifier" in capsys.readouterr().err


@pytest.fixture
def outside(made, tmp_path) -> Path:
    """A folder that has the Verilog, the example of a cocotb testbench, and a small network with its key."""
    folder, key = tmp_path / "outside", bytes(range(16))
    config = Config(rows=4, cols=4, bytes_per_beat=4, activation_words=1024, accumulators=64, suite="acorn")
    folder.mkdir()
    for path in (made / "deeplock.v", made / "deeplock.vlt", EXAMPLE):
        shutil.copy(path, folder)
    loadable = mini_loadable(config).locked("acorn", suite_key(key, "acorn", "model"))
    write_loadable(folder / "my.loadable", loadable)
    write_key(folder / "my.key", key)
    return folder


def python(line: str, folder: Path, **variables: str) -> Done:
    """A program of a user who has installed this package."""
    return shell(f"{SCRIPTS}/python {line}", folder, PYTHONPATH=str(ROOT), **variables)


@pytest.mark.parametrize("simulator", ["icarus", pytest.param("verilator", marks=pytest.mark.slow)])
def test_a_cocotb_testbench_of_ones_own_passes_outside_the_tree(simulator, outside):
    done = python(EXAMPLE.name, outside, SIM=simulator, MAKEFLAGS=MAKEFLAGS)
    assert done.code == 0 and "TESTS=2 PASS=2 FAIL=0" in done.out, done.out
    (outside / "my.key").unlink()
    write_key(outside / "my.key", bytes(range(1, 17)))
    done = python(EXAMPLE.name, outside, SIM=simulator, MAKEFLAGS=MAKEFLAGS)
    assert done.code != 0 and "the accelerator stopped with BAD_TAG: a tag is wrong" in done.out


def test_the_page_shows_what_the_example_does():
    (shown,) = (block.text for block in blocks_of(PAGE) if block.language == "python")
    assert len(shown.splitlines()) <= 16
    assert all(part in EXAMPLE.read_text() for part in shown.split("\n\n\n"))


@pytest.mark.slow
def test_licences_too(tmp_path):
    folder = written(tmp_path / "out", "--licences", "--permissions", "--suite", "tinyjambu")
    assert shell(COMPILE, folder).code == 0
    assert "PASS" in shell(RUN, folder).out


def fusesoc(target: str, folder: Path) -> Done:
    return shell(f"{SCRIPTS}/fusesoc --cores-root . run --target {target} deeplock", folder)


def test_fusesoc_lints_and_simulates(copy):
    assert fusesoc("lint", copy).code == 0
    done = fusesoc("sim", copy)
    assert done.code == 0 and "\nPASS: " in done.out
    waivers = copy / "deeplock.vlt"
    waivers.write_text(waivers.read_text().replace("lint_off -rule DECLFILENAME", "lint_off -rule LATCH"))
    done = fusesoc("lint", copy)
    assert done.code != 0 and "%Warning-DECLFILENAME" in done.out, "it does lint"


@pytest.mark.slow
def test_the_pages_commands_work(tmp_path, monkeypatch):
    """Those of the simulators without this package."""
    monkeypatch.chdir(tmp_path)
    for name in ("docs", "pymodel"):
        (tmp_path / name).symlink_to(ROOT / name)
    variables = {}
    for command in commands_of(PAGE):
        program, *words = command.words
        if not command.runs:
            continue
        if program == "deeplock":
            assert main(words) == 0
        elif program == "cd":
            monkeypatch.chdir(words[0])
        elif program == "export":
            variables |= [words[0].split("=", 1)]
        elif program == "python":
            done = python(shlex.join(words), Path.cwd(), **variables)
            assert done.code == 0 and "TESTS=2 PASS=2 FAIL=0" in done.out, done.out
        else:
            program = f"{SCRIPTS}/fusesoc" if program == "fusesoc" else program
            done = shell(shlex.join([program, *words]), Path.cwd(), **variables)
            assert done.code == 0, done.out
            assert "PASS: " in done.out or program in ("iverilog", "verilator") or "lint" in words
    ofmap = Path("tb/ofmap.hex")
    ofmap.write_text(re.sub(r"..\n$", "00\n", ofmap.read_text()))
    done = shell("obj_dir/Vdeeplock_tb", Path.cwd())
    assert done.code != 0 and "FAIL: byte 9 of the ofmap is" in done.out
