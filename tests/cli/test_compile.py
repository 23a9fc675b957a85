import json
from dataclasses import asdict

import numpy as np
import pytest
import torch
from torch import nn

from deeplock.pymodel.spec.loadable import read_loadable
from deeplock.pymodel.spec.tensor import Pixels


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


def test_outliers_of_the_calibration_are_told(exported, deeplock, tmp_path):
    path, inputs = exported(nn.Conv2d(2, 3, 3), nn.ReLU())
    images, wrong, figures = np.load(inputs)["images"], tmp_path / "wrong.npy", tmp_path / "figures.json"
    images[3, 1, 1, 0] = 1000
    np.save(wrong, images)
    told = deeplock("compile", path, "--calibration", wrong, "-o", tmp_path / "out", "--json", figures)
    assert told.code == 0
    assert told.err.startswith(
        "warning: calibration: input ranges over 0..999.5, but 99.83 % of its values use 1 of its 256 codes, 0..0: "
    )
    assert told.err.count("\n") == 1, "what is behind the input follows from it"
    assert json.loads(figures.read_text())["outliers"][0]["tensor"] == "input"
    assert deeplock("compile", path, "--calibration", inputs, "-o", tmp_path / "out").err == ""


def test_figures_and_loadable_agree(files, deeplock, tmp_path):
    path, figures = tmp_path / "an.loadable", tmp_path / "compile.json"
    geometry = ("--rows", 8, "--cols", 16, "--bytes-per-beat", 16)
    arguments = ("compile", files.network, *geometry, "--key-file", files.key, "-o", path, "--json", figures)
    outcome = deeplock(*arguments)
    assert outcome.code == 0
    loadable, found = read_loadable(path), json.loads(figures.read_text())
    assert found == {
        "network": "digits",
        "suite": loadable.suite,
        "rows": 8,
        "cols": 16,
        "bytes_per_beat": 16,
        "batch": 1,
        "layers": [json.loads(json.dumps(asdict(layer))) for layer in loadable.interface.layers],
        "parameter_bytes": len(loadable.parameters),
        "lower_bound": loadable.interface.lower_bound,
        "file": str(path),
    }
    assert loadable.suite == "deep-lock"
    # 32 rows of 16 columns, of which 10 are used, in beats of 16
    line = "dense: 32 cycles, 1.60 x its array bound of 20: its channels do not fill 16 columns"
    assert outcome.out.splitlines()[2:] == [line]


@pytest.mark.parametrize("folding", [True, False])
def test_a_loadable_has_only_what_the_accelerator_does_not_leave_out(folding, files, deeplock, tmp_path):
    """The last layer of digits has 10 channels, which are else folded."""
    path = tmp_path / "an.loadable"
    assert deeplock("compile", files.network, *["--no-folding"] * (not folding), "-o", path).code == 0
    assert read_loadable(path).features == ("folding",) * folding


def test_an_exported_program_is_quantised_and_compiled(exported, files, deeplock, tmp_path):
    program, inputs = exported(nn.Conv2d(2, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))
    loadable, figures = tmp_path / "mine.loadable", tmp_path / "compile.json"
    arguments = (
        "compile",
        program,
        "--calibration",
        inputs,
        "--key-file",
        files.key,
        "-o",
        loadable,
        "--json",
        figures,
    )
    outcome, found = deeplock(*arguments), json.loads(figures.read_text())
    assert outcome.code == 0
    assert set(found["layer_lsb"]) == {"0", "3"} and set(found["layer_lsb"].values()) <= {0, 1}
    assert found["graph_error"] <= 1e-4 and found["output_lsb"] < 2 and 0.5 <= found["agreement"] <= 1
    assert f"the same largest class in {100 * found['agreement']:.2f} %" in outcome.out
    assert f"{found['output_lsb']:.2f} LSB of the output on average" in outcome.out
    assert read_loadable(loadable).interface.input_shape == (6, 6, 2)
    assert deeplock("evaluate", loadable, "--key-file", files.key, "--images", inputs).code == 0


def test_raw_images_calibrate_and_keep_their_meaning(exported, deeplock, refused, tmp_path):
    program, _ = exported(nn.Conv2d(2, 4, 3), nn.AvgPool2d(4))
    images, loadable = tmp_path / "raw.npy", tmp_path / "mine.loadable"
    np.save(images, np.random.default_rng(2).integers(0, 256, (8, 6, 6, 2), np.uint8))
    arguments = ("compile", program, "--calibration", images, "-o", loadable)
    assert deeplock(*arguments, "--mean", "0.2,0.4", "--std", "0.5").code == 0
    assert read_loadable(loadable).interface.pixels == Pixels((0.2 * 255, 0.4 * 255), (0.5 * 255,))
    assert refused(*arguments, "--std", "0.5,0") == "--std must be above 0, not 0.0"
    assert refused(*arguments, "--mean", "1,2,3") == "the network's pixels have 3 channels, the images have 2"


def test_an_unsupported_operator_is_named(exported, refused, tmp_path):
    program, inputs = exported(nn.Conv2d(2, 4, 3), nn.Softplus())
    line = refused("compile", program, "--calibration", inputs, "-o", tmp_path / "x")
    assert line.startswith("unsupported operator aten.softplus.default at node softplus")


def test_a_program_of_two_inputs_or_exported_in_training_mode_is_refused(exported, refused, tmp_path):
    class Sum(nn.Module):
        def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
            return x + y

    _, inputs = exported(nn.Conv2d(2, 4, 3))
    program, images = tmp_path / "other.pt2", torch.zeros(8, 2, 6, 6)
    arguments = ("compile", program, "--calibration", inputs, "-o", tmp_path / "x")
    torch.export.save(torch.export.export(Sum(), (images, images)), program)
    assert refused(*arguments) == "the network must have one input, not 2"
    for norm in (nn.BatchNorm2d(4).train(), nn.BatchNorm2d(4, track_running_stats=False).eval()):
        torch.export.save(torch.export.export(nn.Sequential(nn.Conv2d(2, 4, 3), norm), (images,)), program)
        line = refused(*arguments)
        assert line.startswith("unsupported operator aten.batch_norm.default at node batch_norm: acts as in training")


def test_what_cannot_be_compiled_is_refused(files, exported, refused, tmp_path):
    out = ("-o", tmp_path / "x")
    assert "not a quantised network" in refused("compile", files.loadable, *out)
    assert refused("compile", files.network, "--rows", 5, *out) == "rows must be 4, 8 or 16, not 5"
    assert "activation words, a bank has 8" in refused("compile", files.network, "--activation-words", 16, *out)
    program, inputs = exported(nn.Conv2d(2, 4, 3))
    assert "give --calibration" in refused("compile", program, *out)
    foreign = tmp_path / "foreign.pt2"
    foreign.write_text("x")
    assert "not a program that torch.export saved" in refused("compile", foreign, "--calibration", inputs, *out)
    assert not (tmp_path / "x").exists()
