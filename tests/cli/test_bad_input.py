"""Wrong input of any kind is one line that names the rule and the value, without a traceback."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from deeplock.cli.main import main
from tests.cli.test_main import ROOT

IMAGES = np.zeros((4, 8, 8, 1), np.float32)


@pytest.mark.parametrize(
    "labels, fault",
    [
        ([0, 1, 2, 10], "labels must be 0..9, the network's classes, not 10"),
        ([0, 1, -3, 2], "labels must be 0..9, the network's classes, not -3"),
        ([0.5, 1, 2, 3], "labels must be whole numbers [4], not float64 [4]"),
        (["0", "1", "2", "3"], "labels must be whole numbers [4], not <U1 [4]"),
    ],
)
def test_labels_that_are_no_class(labels, fault, files, refused, tmp_path):
    path = tmp_path / "images.npz"
    np.savez(path, images=IMAGES, labels=labels)
    assert refused("evaluate", files.network, "--images", path) == f"{path}: {fault}"
    assert refused("simulate", files.plain_loadable, "--images", path, "--count", 2) == f"{path}: {fault}"


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_pictures_that_are_not_finite(value, files, refused, tmp_path):
    path, images = tmp_path / "images.npy", IMAGES.copy()
    images[2, 3, 4, 0] = value
    np.save(path, images)
    fault = f"{path}: images must be finite numbers, image 2 has nan or inf"
    assert refused("simulate", files.plain_loadable, "--images", path) == fault


@pytest.mark.parametrize(
    "name, fault",
    [
        ("loose.png", "lies beside class folders: put it into one of them, or somewhere else"),
        ("loose.PNG", "lies beside class folders: put it into one of them, or somewhere else"),
        ("1/photo.jpg", "must be a PNG file"),
    ],
)
def test_pictures_that_would_be_left_out(name, fault, files, deeplock, refused, tmp_path):
    for picture in ("0/a.png", "1/b.PNG"):
        (tmp_path / picture).parent.mkdir()
        Image.fromarray(IMAGES[0, ..., 0].astype(np.uint8)).save(tmp_path / picture)
    assert deeplock("evaluate", files.network, "--images", tmp_path).code == 0
    (tmp_path / name).write_bytes((tmp_path / "0/a.png").read_bytes())
    assert refused("evaluate", files.network, "--images", tmp_path).endswith(f"{name}: {fault}")


SEEDED = ("demo", "train digits -o x", "evaluate x", "simulate x", "fuzz", "bench rtl", "bench software")


@pytest.mark.parametrize("seed", ["-1", str(1 << 32), "x"])
@pytest.mark.parametrize(
    "line", [*(f"{line} --seed" for line in SEEDED), "attack genetic --seeds", "attack device --seeds"]
)
def test_seeds_that_no_generator_takes(line, seed, capsys):
    with pytest.raises(SystemExit) as caught:
        main([*line.split(), seed])
    assert caught.value.code == 2
    err = capsys.readouterr().err
    assert f"must be a whole number from 0 to 2^32 - 1, not {seed}" in err and err.count("\n") == 1


@pytest.mark.parametrize(
    "line, fault",
    [
        ("simulate x --pauses often", "argument --pauses: must be from 0 to below 1, not often"),
        ("simulate x --pauses nan", "argument --pauses: must be from 0 to below 1, not nan"),
        ("compile x -o y --mean half", "argument --mean: must be numbers with commas between them, not half"),
        ("quantise x -o y --mean 0.5,nan", "argument --mean: must be numbers with commas between them, not 0.5,nan"),
        ("quantise x -o y --std inf", "argument --std: must be numbers with commas between them, not inf"),
    ],
)
def test_numbers_that_are_none(line, fault, capsys):
    with pytest.raises(SystemExit) as caught:
        main(line.split())
    err = capsys.readouterr().err
    assert caught.value.code == 2 and f": {fault}: see deeplock " in err and err.count("\n") == 1


class Foreign:
    """Files of other projects."""

    @staticmethod
    def state(path):
        torch.save(torch.nn.Linear(2, 2).state_dict(), path)

    @staticmethod
    def module(path):
        torch.save(torch.nn.Linear(2, 2), path, _use_new_zipfile_serialization=False)


@pytest.mark.parametrize(
    "name, make, fault",
    [
        ("net.pt", Foreign.state, "was written by torch.save or torch.jit.save"),
        ("net.pt2", Foreign.state, "was written by torch.save or torch.jit.save"),
        ("net.pth", Foreign.module, "was written by torch.save or torch.jit.save"),
    ],
)
def test_files_of_other_projects_say_how_to_export(name, make, fault, refused, tmp_path):
    network, images = tmp_path / name, tmp_path / "images.npy"
    np.save(images, IMAGES)
    make(network)
    calibration = ["--calibration", images] if name == "net.pt2" else []
    line = refused("compile", network, *calibration, "-o", tmp_path / "out")
    assert line.startswith(f"{network}: {fault}") and "torch.export.save(torch.export.export(" in line


@pytest.mark.parametrize("name", ["/dev/zero", "fifo"])
@pytest.mark.parametrize(
    "line",
    [
        "info IN", "quantise IN -o out", "quantise net.pt2 --calibration IN -o out", "compile IN -o out", "evaluate IN",
        "lock IN --key-file key -o out", "predict IN picture.png", "predict loadable one.png IN", "simulate IN",
        "simulate loadable --images IN", "simulate loadable --licence IN", "run IN --board icebreaker --port none",
        "licence IN --model-key key --device-key key --device 1 -o out", "program --board icebreaker --bitstream IN",
        "attack known-plaintext IN --known known", "attack ciphertext-only locked --like IN",
    ],
)  # fmt: skip
def test_inputs_without_an_end_are_refused(line, name, refused, tmp_path, monkeypatch):
    """They would be read until the memory is full, or wait for ever."""
    monkeypatch.chdir(tmp_path)
    os.mkfifo("fifo")
    assert refused(*line.replace("IN", name).split()) == f"{name}: is not a regular file"


@pytest.mark.parametrize("name, content", [("photo.jpg", b"\xff\xd8\xff"), ("empty.npy", b""), ("text.txt", b"a text")])
def test_pictures_of_another_kind(name, content, files, refused, tmp_path):
    (tmp_path / name).write_bytes(content)
    line = refused("predict", files.plain_loadable, tmp_path / name)
    assert line == f"{tmp_path / name}: must be a PNG, .npy or .npz file"


@pytest.mark.parametrize(
    "line, fault",
    [
        ("synth --sweep /dev/zero", "/dev/zero: Invalid statement"),
        ("synth --sweep PICTURE", "PICTURE: 'utf-8' codec"),
        ("fuzz --json PICTURE", "PICTURE: not a result of `deeplock fuzz`"),
        ("info PICTURE", "PICTURE: truncated, or not a file of deeplock"),
        ("attack known-plaintext LOCKED --known /dev/zero", "/dev/zero: must have 16, 24 or 32 bytes, has more"),
        ("attack ciphertext-only LOCKED --like LOCKED", "LOCKED: is locked: examples of weights must not be"),
        ("attack genetic --budget images=-4", "images of a budget must be above 0, not -4"),
    ],
)
def test_files_of_another_kind(line, fault, files, deeplock, refused, tmp_path):
    names = {"PICTURE": str(tmp_path / "picture.png"), "LOCKED": str(tmp_path / "locked")}
    Image.fromarray(IMAGES[0, ..., 0].astype(np.uint8)).save(names["PICTURE"])
    deeplock("lock", files.float_checkpoint, "--key-file", files.key, "-o", names["LOCKED"])
    for name, path in names.items():
        fault = fault.replace(name, path)
    assert refused(*(names.get(word, word) for word in line.split())).startswith(fault)


PLACES = {
    "head": "{} | head -1",
    "closed before": "{} | true",
    "stdout closed": "{} >&-",
    "all closed": "{} >&- 2>&- <&-",
    "full": "{} >/dev/full",
}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("command", ["info", "--help"])
def test_stdout_that_takes_nothing(place, command, files, tmp_path):
    line = f"{sys.executable} -m deeplock {command} {files.loadable if command == 'info' else ''}"
    done = subprocess.run(["bash", "-c", place.format(line)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stderr == (
        "deeplock: No space left on device\n" if (place, command) == (PLACES["full"], "info") else ""
    )


@pytest.mark.parametrize(
    "variables", [{"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {"PYTHONIOENCODING": "ascii"}, {}]
)
def test_letters_that_the_locale_lacks(variables, files, tmp_path):
    out, missing = tmp_path / "größe", tmp_path / "\udcff"
    environment = os.environ | {"PYTHONPATH": str(ROOT), "LC_ALL": "C"} | variables
    for arguments, code in (
        (("lock", files.float_checkpoint, "--key-file", files.key, "-o", out), 0),
        (("info", missing), 1),
    ):
        command = [sys.executable, "-m", "deeplock", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False)
        assert done.returncode == code
        assert (done.stdout + done.stderr).count(b"\n") == 1 and b"Traceback" not in done.stderr
    assert out.exists()
