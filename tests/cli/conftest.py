"""Runs `deeplock` in this process, and what most of its tests need: keys, a trained network, loadables of it."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from deeplock.cli.main import main
from tests.sim.tiny import ACCUMULATORS_TOO_FEW

SIZES = ("rows", "cols", "bytes_per_beat", "accumulators", "activation_words")
ACCELERATOR = [f"--{name.replace('_', '-')}={getattr(ACCUMULATORS_TOO_FEW, name)}" for name in SIZES]
"""The 4x4 accelerator that other tests build too."""


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str


@pytest.fixture
def deeplock(capsys) -> Callable[..., Outcome]:
    """Runs the command with these arguments."""

    def run(*arguments: object) -> Outcome:
        code = main([str(argument) for argument in arguments])
        return Outcome(code, *capsys.readouterr())

    return run


@pytest.fixture
def refused(deeplock) -> Callable[..., str]:
    """Runs the command, which must fail with one line; gives the line without `deeplock: `."""

    def run(*arguments: object) -> str:
        outcome = deeplock(*arguments)
        assert outcome.code == 1
        assert outcome.out == ""
        assert outcome.err.startswith("deeplock: ")
        assert outcome.err.count("\n") == 1
        return outcome.err.removeprefix("deeplock: ").strip()

    return run


@dataclass(frozen=True)
class Files:
    """Two keys, the digits network and loadables of it for ACCELERATOR and, on paper, for 8x8."""

    key: Path
    wrong_key: Path
    float_checkpoint: Path
    network: Path
    loadable: Path
    plain_loadable: Path
    loadable_8x8: Path
    figures: dict


@pytest.fixture(scope="session")
def files(tmp_path_factory) -> Files:
    folder = tmp_path_factory.mktemp("digits")
    key, wrong_key, network = folder / "my.key", folder / "wrong.key", folder / "digits.int8.safetensors"
    loadable, plain, loadable_8x8 = folder / "4x4.loadable", folder / "4x4.plain.loadable", folder / "8x8.loadable"
    figures = folder / "train.json"

    def run(*arguments: object) -> None:
        assert main([str(argument) for argument in arguments]) == 0

    run("keygen", "-o", key)
    run("keygen", "--bits", 256, "-o", wrong_key)
    run("train", "digits", "-o", folder / "digits", "--json", figures)
    lock = ("--suite", "deep-lock", "--key-file", key)
    run("compile", network, *ACCELERATOR, *lock, "-o", loadable)
    run("compile", network, *ACCELERATOR, "-o", plain)
    run("compile", network, *lock, "-o", loadable_8x8)
    return Files(
        key,
        wrong_key,
        folder / "digits.float.safetensors",
        network,
        loadable,
        plain,
        loadable_8x8,
        json.loads(figures.read_text()),
    )


@pytest.fixture
def exported(tmp_path):
    """Writes a network and inputs for it; gives their files."""

    def export(*layers: nn.Module):
        torch.manual_seed(1)
        module = nn.Sequential(*layers).eval()
        inputs, path = tmp_path / "inputs.npz", tmp_path / "mine.pt2"
        images = np.random.default_rng(1).random((8, 6, 6, 2), np.float32)
        np.savez(inputs, images=images, labels=np.zeros(8, np.int64))
        torch.export.save(torch.export.export(module, (torch.zeros(8, 2, 6, 6),)), path)
        return path, inputs

    return export
