import json
from dataclasses import asdict

import numpy as np
import pytest
import torch
from torch import nn

from deeplock.cli.options import SIZES
from deeplock.pymodel.compiler.smallest import smallest
from deeplock.pymodel.network.network_file import load_network
from deeplock.pymodel.spec.loadable import read_loadable
from deeplock.pymodel.spec.tensor import Pixels

MACS = {"conv1": 64 * 16 * 9, "conv2": 4 * 32 * 144, "dense": 10 * 32}
BOUNDS = {"conv1": 72, "conv2": 288, "dense": 20}
CYCLES = {"conv1": 204, "conv2": 296, "dense": 34}
"""Of digits on 8x16, whose 8 lanes take 2 cycles for the last word of a pixel and group, by hand:
conv1  2 tiles of 64 words, 64 for the lanes, and of its 8 + 6 first beats 12 that the 2 cycles before do not hide
conv2  36 tiles of 4 words and 8 beats, 2 x 4 for the lanes; 8 beats of entries for group 2; conv1 hides the first 16 beats
dense  4 tiles of a word and 8 beats, 1 for the lanes; 8 cycles before hide as many of its first 16 beats
"""


def used(macs: int, cycles: int) -> float:
    return round(macs / (cycles * 8 * 16), 4)


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
    lock = ("--suite", "deep-lock", "--key-file", files.key)
    arguments = ("compile", files.network, *geometry, *lock, "-o", path, "--json", figures)
    outcome = deeplock(*arguments)
    assert outcome.code == 0
    loadable, found = read_loadable(path), json.loads(figures.read_text())
    least = smallest(load_network(files.network), {})
    assert found == {
        "network": "digits",
        "suite": loadable.suite,
        "key_check": False,
        "rows": 8,
        "cols": 16,
        "bytes_per_beat": 16,
        "batch": 1,
        "needs": loadable.memory_needs,
        "features": [],
        "layers": [json.loads(json.dumps(asdict(layer))) for layer in loadable.interface.layers],
        "parameter_bytes": len(loadable.parameters),
        "lower_bound": loadable.interface.lower_bound,
        "expected_cycles": sum(CYCLES.values()),
        "utilisation": used(sum(MACS.values()), sum(CYCLES.values())),
        "expected": [
            {
                "layer": name,
                "cycles": CYCLES[name],
                "lower_bound": BOUNDS[name],
                "utilisation": used(MACS[name], CYCLES[name]),
            }
            for name in MACS
        ],
        "smallest": {name: getattr(least, name) for name in SIZES} | {"expected_cycles": 2087},
        "file": str(path),
    }
    assert loadable.suite == "deep-lock"
    # 32 rows of 16 columns, of which 10 are used, in beats of 16
    line = "dense: 32 cycles, 1.60 x its array bound of 20: its channels do not fill 16 columns"
    assert line in outcome.out.splitlines()
    needs = "8x16 array, 16 bytes a beat, 16384 activation words (those it was compiled for), 64 accumulators, 24 bits a sum"
    assert f"needs: {needs}, " in outcome.out
    assert "534 cycles an image expected, 1.41 x the lower bound of 380; 40.92 % of the array in use\n" in outcome.out
    rows = [line.split() for line in outcome.out.splitlines()]
    for name in MACS:
        share = f"{100 * used(MACS[name], CYCLES[name]):.2f}"
        assert [name, str(CYCLES[name]), str(BOUNDS[name]), share, "%"] in rows
    assert "smallest that takes it (--auto): 4x4 array, 4 bytes a beat, 128 activation words, 64 acc" in outcome.out


def test_auto_takes_the_smallest_but_for_what_is_given(files, deeplock, refused, tmp_path):
    path, figures, network = tmp_path / "an.loadable", tmp_path / "json", load_network(files.network)
    for given, options in (
        ({}, ()),
        ({"rows": 8}, ("--rows", 8)),
        ({"cols": 16, "accumulators": 512}, ("--cols", 16, "--accumulators", 512)),
    ):
        assert deeplock("compile", files.network, "--auto", *options, "-o", path, "--json", figures).code == 0
        config, header = smallest(network, given), read_loadable(path).header
        found = (header.rows, header.cols, header.bytes_per_beat, header.activation_words)
        assert found == (config.rows, config.cols, config.bytes_per_beat, config.activation_words)
        told = json.loads(figures.read_text())
        assert told["smallest"].pop("expected_cycles") == told["expected_cycles"]
        assert told["smallest"] == {name: getattr(config, name) for name in SIZES}
    assert deeplock("compile", files.network, "--auto", "--activation-words", 64, "-o", path).code == 0
    assert read_loadable(path).header.rows == 8  # 4 rows need 128 words
    line = refused("compile", files.network, "--auto", "--accumulators", 16, "--no-diagonal", "--rows", 5, "-o", path)
    assert line == "rows must be 4, 8 or 16, not 5"


def test_sizes_of_the_array_follow_from_those_given(files, deeplock, refused, tmp_path):
    path = tmp_path / "an.loadable"
    for options, sizes in {
        (): (8, 8, 8),
        ("--rows", 4): (4, 4, 4),
        ("--rows", 16): (16, 16, 16),
        ("--cols", 4): (4, 4, 4),
        ("--cols", 16): (8, 16, 16),
        ("--rows", 4, "--cols", 8, "--bytes-per-beat", 4): (4, 8, 4),
    }.items():
        assert deeplock("compile", files.network, *options, "-o", path).code == 0
        header = read_loadable(path).header
        assert (header.rows, header.cols, header.bytes_per_beat) == sizes
    line = refused("compile", files.network, "--rows", 4, "--bytes-per-beat", 8, "-o", path)
    assert line == "bytes_per_beat must be 4, 8 or 16 and at most cols (4), not 8"


def test_what_is_not_in_the_model_is_said(files, deeplock, tmp_path):
    path, figures = tmp_path / "an.loadable", tmp_path / "json"
    sealed = deeplock("compile", files.network, "--suite", "ascon", "--key-file", files.key, "-o", path)
    assert "of the array in use; suite ascon adds cycles of its own\n" in sealed.out
    board = deeplock("compile", files.network, "--board", "icebreaker", "-o", path, "--json", figures)
    assert "; waiting for the board's flash and UART adds to them\n" in board.out
    assert "smallest" not in board.out and json.loads(figures.read_text())["smallest"] is None
    batch = deeplock("compile", files.network, "--batch", 4, "-o", path, "--json", figures)
    assert "; in batches of 4\n" in batch.out
    found = json.loads(figures.read_text())
    assert found["expected_cycles"] == pytest.approx(sum(layer["cycles"] for layer in found["expected"]), abs=0.2)
    assert found["lower_bound"] == pytest.approx(sum(layer["lower_bound"] for layer in found["expected"]), abs=2)


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


def test_a_key_that_the_suite_does_not_take_is_refused_before_the_work(files, refused, tmp_path):
    line = refused(
        "compile", "none.pt2", "--calibration", "none", "--key-file", files.wrong_key, "-o", tmp_path / "out"
    )
    assert line == "key must be 16 bytes, not 32"


def test_an_unsupported_operator_is_named(exported, refused, tmp_path):
    program, inputs = exported(nn.Conv2d(2, 4, 3), nn.PixelUnshuffle(2))
    line = refused("compile", program, "--calibration", inputs, "-o", tmp_path / "x")
    assert line.startswith("unsupported operator aten.pixel_unshuffle.default at node pixel_unshuffle")


def test_a_lock_that_tables_give_away_is_told(files, exported, deeplock, tmp_path):
    program, inputs = exported(nn.Conv2d(2, 4, 3), nn.Sigmoid())
    plain, locked = tmp_path / "plain", tmp_path / "locked"
    outcome = deeplock("compile", program, "--calibration", inputs, "-o", plain)
    assert (outcome.code, outcome.err) == (0, "")
    warning = (
        "warning: the network has tables, whose bytes can be guessed: with suite deep-lock the file gives its key away"
    )
    for arguments in (
        ("compile", program, "--calibration", inputs, "--suite", "deep-lock"),
        ("lock", plain),
    ):
        outcome = deeplock(*arguments, "--key-file", files.key, "-o", locked)
        assert outcome.code == 0 and outcome.err.startswith(warning)
    outcome = deeplock("compile", program, "--calibration", inputs, "--key-file", files.key, "-o", locked)
    assert (outcome.code, outcome.err) == (0, "")


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
    line = refused("compile", files.network, "--activation-words", 16, *out)
    assert "activation words, a bank has 8; --auto takes the smallest accelerator that the network fits" in line
    program, inputs = exported(nn.Conv2d(2, 4, 3))
    assert "give --calibration" in refused("compile", program, *out)
    foreign = tmp_path / "foreign.pt2"
    foreign.write_text("x")
    assert "not a program that torch.export saved" in refused("compile", foreign, "--calibration", inputs, *out)
    assert not (tmp_path / "x").exists()
