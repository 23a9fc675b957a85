"""MLPerf Tiny's networks on the accelerator: cycles to expect, and some images on the RTL."""

import os
from pathlib import Path

import pytest

from deeplock.bench.mlperf_tiny import FILES, measured
from deeplock.bench.rtl import config_for
from deeplock.pymodel.compiler.compiler import outline
from deeplock.pymodel.compiler.cycles import expected_cycles
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.frontends.tflite.network import read_network
from deeplock.pymodel.progress import quiet

TARGETS = {
    ("ic", 8): 215_000,
    ("ic", 16): 55_000,
    ("kws", 8): 80_000,
    ("kws", 16): 30_000,
    ("vww", 8): 226_000,
    ("vww", 16): 100_000,
}
"""Most cycles an inference, back to back, on arrays of so many rows and columns. The autoencoder's are 1.1 x its bound."""


@pytest.fixture
def data() -> Path:
    folder = Path(os.environ.get("DEEPLOCK_DATA", ""))
    if not (folder / "mlperf-tiny").is_dir():
        pytest.skip("DEEPLOCK_DATA names no folder with mlperf-tiny/")
    return folder


@pytest.mark.parametrize("size", [8, 16])
@pytest.mark.parametrize("name", FILES)
def test_cycles_to_expect(name, size, data):
    network = read_network(data / "mlperf-tiny" / FILES[name]).network
    config = config_for(size, size, [network])
    loadable = outline(network, config)
    target = TARGETS.get((name, size), 1.1 * loadable.interface.lower_bound)
    assert sum(expected_cycles(loadable, config)) <= target
    for fact, cycles in zip(loadable.interface.layers, expected_cycles(loadable, config), strict=True):
        height, width, channels = fact.output
        if fact.kind == "depthwise" and channels % size == 0 and height * width >= size:
            assert cycles <= 1.1 * fact.lower_bound + 64, fact


@pytest.mark.slow
def test_every_byte_on_the_rtl_is_that_of_the_golden_model(data):
    rows = measured(list(FILES), [(16, 16)], 40, data, 0, None, quiet)
    assert [row["network"] for row in rows] == list(FILES)
    for row in rows:
        assert row["mismatches"] == 0 and row["images"] == (40 if row["network"] == "ic" else 5)
        assert row["cycles_locked"] <= 1.05 * TARGETS.get((row["network"], 16), 1.1 * row["lower_bound"])


def test_a_missing_file_or_folder_is_named(tmp_path):
    with pytest.raises(DeeplockError, match="give --data DIR or set DEEPLOCK_DATA"):
        measured(["ic"], [(4, 4)], 1, None, 0, None, quiet)
    with pytest.raises(
        DeeplockError, match=r"ic-resnet8-int8.tflite: no such file: it is a reference network of MLPerf"
    ):
        measured(["ic"], [(4, 4)], 1, tmp_path, 0, None, quiet)
