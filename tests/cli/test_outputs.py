"""No output of any command replaces what is not a regular file, an input or a key file. Refused before any work."""

import argparse
import os
import pty
import subprocess
import sys
from collections.abc import Iterator

import pytest

from deeplock.cli.main import _parser
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.files import check_output, make_folder_of, replace_file, rights_of
from deeplock.pymodel.lock.keyfile import read_key, write_key
from tests.cli.test_main import ROOT

KEY = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")

OUTPUTS = {
    "keygen": ("-o OUT",),
    "data": ("verify mnist --json OUT --data DIR",),
    "train": ("digits -o PREFIX", "digits -o new --json OUT"),
    "quantise": ("IN -o OUT", "IN -o new --json OUT", "net.pt2 --calibration IN -o OUT"),
    "evaluate": ("IN --json OUT", "--paper --json OUT"),
    "compile": ("IN -o OUT", "IN -o new --json OUT", "net.pt2 --calibration IN -o OUT"),
    "lock": ("IN --key-file key -o OUT", "IN --key-file key -o new --json OUT"),
    "unlock": ("IN --key-file key -o OUT", "IN --key-file key -o new --json OUT"),
    "seal": ("IN --key-file key -o OUT", "IN --key-file key -o new --json OUT"),
    "licence": (
        "IN --model-key key --device-key key --device 1 -o OUT",
        "IN --model-key key --device-key key --device 1 -o new --json OUT",
    ),
    "predict": ("IN pictures --json OUT", "loadable IN --json OUT", "loadable pictures -o OUT"),
    "simulate": ("IN --json OUT", "IN --waves OUT", "IN --profile OUT", "loadable --images IN --json OUT"),
    "attack": (
        "known-plaintext IN --known plain -o OUT",
        "known-plaintext locked --known IN --json OUT",
        "ciphertext-only locked --like IN -o OUT",
        "genetic --json OUT",
    ),
    "fuzz": ("--rounds 1 --json OUT",),
    "verilog": ("-o DIR",),
    "synth": (
        "--board icebreaker -o OUT",
        "--board icebreaker",
        "--sweep IN --json OUT",
        "--board icebreaker --loadable IN --json OUT",
    ),
    "run": ("IN --board icebreaker --port none --json OUT",),
    "info": ("IN --json OUT",),
    "demo": ("-o DIR", "-o new --json OUT"),
    "bench rtl": ("--networks digits,IN --json OUT",),
    "bench board": ("--runs icebreaker:digits,icesugar:IN --json OUT",),
    "bench software": ("--networks IN --json OUT",),
    "bench mlperf-tiny": ("--networks ad --json OUT",),
    "bench memory": ("--networks digits,IN --json OUT",),
}
"""By command: options that name OUT directly, as PREFIX of it, as the DIR it lies in, or by default; IN is an input."""

NAMES = {"train digits -o PREFIX": "out.int8.safetensors", "demo -o DIR": "report.json"}
NAMES |= {"verilog -o DIR": "deeplock.v"}
NAMES |= {"synth --board icebreaker": "build/icebreaker.bin"}
"""Of OUT, where the option alone does not say it."""

LINES = [f"{command} {options}" for command, lines in OUTPUTS.items() for options in lines]


@pytest.fixture
def device() -> Iterator[str]:
    """A character device that no test can harm."""
    ours, theirs = pty.openpty()
    yield os.ttyname(theirs)
    os.close(ours)
    os.close(theirs)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_key("key", KEY)
    return tmp_path


def arguments(line: str, given: str = "in") -> tuple[list[str], str]:
    """Of the command, and the name of OUT."""
    name = NAMES.get(line, "out")
    values = {"OUT": name, "PREFIX": "out", "DIR": "."}
    return [values.get(word, word.replace("IN", given)) for word in line.split()], name


def identity(path: str | os.PathLike[str]) -> tuple[int, ...]:
    """Changes when what is at `path` is replaced or written."""
    found = os.lstat(path)
    return found.st_ino, found.st_mode, found.st_mtime_ns


def leaves(parser: argparse.ArgumentParser, name: str = "") -> Iterator[tuple[str, argparse.ArgumentParser]]:
    """Every command, kinds of `bench` one by one."""
    nested = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    if not nested:
        yield name, parser
    for action in nested:
        for word, command in action.choices.items():
            yield from leaves(command, f"{name} {word}".strip())


def test_every_output_of_every_command_is_tested():
    for name, parser in leaves(_parser()):
        declared = parser.get_default("outputs") or {}
        flags = {action.option_strings[0] for action in parser._actions if action.dest in declared}
        assert flags == {word for line in OUTPUTS.get(name, ()) for word in line.split() if word in ("-o", *flags)}
        assert {"-o", "--json", "--waves", "--profile"} & set(parser._option_string_actions) <= flags


@pytest.mark.parametrize("line", LINES)
def test_what_is_not_a_regular_file_is_kept(line, folder, device, refused):
    words, name = arguments(line)
    out = folder / name
    out.parent.mkdir(exist_ok=True)
    makers = (lambda: out.symlink_to(device), lambda: os.mkfifo(out), out.mkdir)
    for make, remove in zip(makers, (out.unlink, out.unlink, out.rmdir), strict=True):
        make()
        before = identity(out)
        assert refused(*words) == f"{name}: is not a regular file: give the name of a file"
        assert identity(out) == before
        remove()


@pytest.mark.parametrize("line", LINES)
def test_a_key_file_is_kept_whatever_its_name(line, folder, refused):
    words, name = arguments(line)
    (folder / name).parent.mkdir(exist_ok=True)
    write_key(folder / name, KEY)
    before = identity(name)
    assert refused(*words) == f"key file {name}: exists already, and is kept"
    assert read_key(name) == KEY and identity(name) == before


@pytest.mark.parametrize("line", [line for line in LINES if "IN" in line])
def test_an_input_is_kept_whatever_its_name(line, folder, refused):
    words, name = arguments(line)
    (folder / "in").write_text("input")
    for link in (os.symlink, os.link):
        link("in", name)
        assert refused(*words) == f"{name}: is an input of this command too: give another file"
        (folder / name).unlink()
    words, name = arguments(line, given="./out")
    (folder / name).write_text("input")
    assert "is an input of this command too" in refused(*words)
    assert (folder / name).read_text() == "input"


@pytest.mark.parametrize("line", LINES)
def test_what_cannot_be_written_is_refused_before_the_work(line, folder, refused):
    """Every command says so, though its inputs do not exist."""
    words, name = arguments(line)
    out = folder / name
    out.parent.mkdir(exist_ok=True)
    out.write_text("read-only")
    out.chmod(0o444)
    assert refused(*words) == f"{name}: is read-only: make it writable, or give another file"
    out.unlink()
    out.symlink_to("/proc/new/file")
    assert refused(*words) == f"{name}: No such file or directory"
    out.unlink()
    out.symlink_to(folder / "key" / "file")
    assert refused(*words) == f"{name}: Not a directory"


def test_a_key_file_given_as_one_is_kept_though_it_holds_no_key(folder, refused):
    (folder / "bad").write_text("secret")
    line = refused("lock", "network", "--key-file", "bad", "-o", "bad")
    assert line == "bad: is an input of this command too: give another file"


def test_files_in_a_folder_of_inputs_are_kept(folder, refused):
    (folder / "class").mkdir()
    (folder / "mnist").mkdir()
    (folder / "gtsrb" / "test" / "00").mkdir(parents=True)
    (folder / "gtsrb" / "test" / "00" / "0.png").touch()
    (folder / "class" / "0.png").touch()
    (folder / "mnist" / "labels").touch()
    image, labels, sign = "class/0.png", "mnist/labels", "gtsrb/test/00/0.png"
    for out, options in ((image, ("--images", ".")), (labels, ("--data", ".")), (sign, ("--data", "."))):
        assert "is an input of this command too" in refused("simulate", "loadable", *options, "--json", out)
    assert (
        refused("simulate", "loadable", "--images", ".", "--json", "key") == "key file key: exists already, and is kept"
    )


@pytest.mark.parametrize("same", ["out", "new/../out", "link"])
def test_two_outputs_are_two_files(same, folder, refused):
    (folder / "link").symlink_to("out")
    (folder / "new").mkdir()
    line = refused("compile", "network", "-o", "out", "--json", same)
    assert line == f"{same}: is another output of this command too: give another file"


def test_stdout_is_no_output(folder):
    """Neither as a pipe nor as a regular file."""
    (folder / "in").touch()
    command = [sys.executable, "-m", "deeplock", "info", str(folder / "in"), "--json", "/dev/stdout"]
    with open(folder / "out", "w") as out:
        for stdout, reason in ((subprocess.PIPE, "is not a regular file"), (out, "is where stdout goes")):
            done = subprocess.run(command, cwd=ROOT, stdout=stdout, stderr=subprocess.PIPE, text=True, check=False)
            assert done.returncode == 1
            assert done.stderr.startswith(f"deeplock: /dev/stdout: {reason}: give ")
            assert done.stderr.count("\n") == 1


def test_a_new_key_is_searched_for_only_where_it_can_be_written(files, deeplock, refused, tmp_path):
    locked, known, out = tmp_path / "locked", tmp_path / "known", tmp_path / "notes"
    deeplock("lock", files.float_checkpoint, "--key-file", files.key, "-o", locked)
    out.write_text("notes")
    line = refused("attack", "known-plaintext", locked, "--known", known, "-o", out)
    assert line == f"{out}: exists already: give a new file for the key"


def test_replace_file_is_the_last_to_refuse(folder, device):
    (folder / "link").symlink_to("key")
    os.mkfifo("fifo")
    for path in (device, "fifo", ".", "key", "link"):
        for refuse in (check_output, lambda path: replace_file(path, b"new")):
            with pytest.raises(DeeplockError):
                refuse(path)
    assert read_key("key") == KEY and sorted(os.listdir()) == ["fifo", "key", "link"]


def test_a_link_is_followed(folder):
    (folder / "link").symlink_to("there/file")
    make_folder_of(folder / "link")
    for content in (b"first", b"second"):
        replace_file("link", content)
        assert (folder / "link").is_symlink() and (folder / "there" / "file").read_bytes() == content
    (folder / "moved").write_bytes(b"third")
    replace_file("link", folder / "moved")
    assert (folder / "link").is_symlink() and (folder / "there" / "file").read_bytes() == b"third"


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_a_file_that_is_replaced_keeps_its_mode(mode, folder):
    (folder / "out").touch()
    (folder / "out").chmod(mode)
    replace_file("out", b"new")
    assert rights_of("out") == mode and (folder / "out").read_bytes() == b"new"


def test_plaintext_has_no_wider_rights_than_its_source(files, deeplock, tmp_path):
    locked, out = tmp_path / "locked", tmp_path / "out"
    for plain in (files.plain_loadable, files.float_checkpoint):
        deeplock("lock", plain, "--key-file", files.key, "-o", locked)
        assert rights_of(locked) & 0o044
        for source in (0o600, 0o640):
            locked.chmod(source)
            assert deeplock("unlock", locked, "--key-file", files.key, "-o", out).code == 0
            assert rights_of(out) & ~source == 0
            out.chmod(0o664)  # no, though it is there already
            assert deeplock("unlock", locked, "--key-file", files.key, "-o", out).code == 0
            assert rights_of(out) & ~source == 0
        out.unlink()
    network = tmp_path / "network"
    network.write_bytes(files.network.read_bytes())
    network.chmod(0o600)
    assert deeplock("compile", network, "-o", out).code == 0
    assert rights_of(out) == 0o600
    out.unlink()
    assert deeplock("compile", network, "--key-file", files.key, "-o", out).code == 0
    assert rights_of(out) & 0o044, "locked: anyone may have it"
