import json
from dataclasses import fields, replace

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.network.network import Network
from deeplock.pymodel.network.network_file import load_network, save_network
from deeplock.pymodel.network.operators.add import Add
from deeplock.pymodel.network.operators.average_pool import AveragePool
from deeplock.pymodel.network.operators.conv import Conv
from deeplock.pymodel.network.operators.max_pool import MaxPool
from deeplock.pymodel.network.operators.multiply import Multiply
from deeplock.pymodel.spec.tensor import Pixels, Quantisation

RNG = np.random.default_rng(7)
CONV = Conv(
    name="features.conv",
    source="input",
    weight=RNG.integers(-127, 128, (2, 3, 3, 1), np.int8),
    bias=np.array([-(2**30), 5], np.int32),
    multiplier=np.array([2**15, 2**16 - 1], np.int32),
    shift=np.array([1, 47], np.int32),
    stride=(1, 1),
    padding=(0, 0, 1, 1),
    input_zero_point=-128,
    zero_point=3,
    lo=3,
    hi=127,
)
SCALARS = {"bias": -(2**23), "multiplier": 2**15, "shift": 47, "zero_point": -128, "lo": -128, "hi": 127}
AVERAGE = AveragePool("average", "pool", (4, 1), (2, 2), **SCALARS)
ADD = Add("sum", "average", "average", (1, 127), **SCALARS)
PRODUCT = Multiply("product", "sum", "average", (-128, 127), **{k: v for k, v in SCALARS.items() if k != "bias"})
NETWORK = Network(
    name="small",
    input_shape=(7, 6, 1),
    input=Quantisation(1 / 255, -128),
    output=Quantisation(0.1, 3),
    layers=(CONV, MaxPool("pool", "features.conv", (2, 2), (1, 1)), AVERAGE, ADD, PRODUCT),
    classes=("no", "yes"),
    dataset="digits",
)


def _equal(a: object, b: object) -> bool:
    if isinstance(a, Conv | Network):
        return type(a) is type(b) and all(_equal(getattr(a, f.name), getattr(b, f.name)) for f in fields(a))
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.dtype == b.dtype and np.array_equal(a, b)
    if isinstance(a, tuple):
        return isinstance(b, tuple) and len(a) == len(b) and all(map(_equal, a, b))
    return a == b


def test_round_trip(tmp_path):
    save_network(tmp_path / "a", NETWORK)
    assert _equal(load_network(tmp_path / "a"), NETWORK)
    save_network(tmp_path / "b", load_network(tmp_path / "a"))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_what_pixels_mean_is_kept(tmp_path):
    pixels = Pixels((1.0, 2.0, 3.0), (255.0,))
    save_network(tmp_path / "a", replace(NETWORK, pixels=pixels))
    assert load_network(tmp_path / "a").pixels == pixels


def test_tensors_are_named_by_layer(tmp_path):
    save_network(tmp_path / "a", NETWORK)
    tensors = load_file(tmp_path / "a")
    assert set(tensors) == {f"features.conv.{name}" for name in ("weight", "bias", "multiplier", "shift")}
    assert np.array_equal(tensors["features.conv.weight"], CONV.weight)


def test_failed_write_keeps_the_old_file(tmp_path):
    save_network(tmp_path / "a", NETWORK)
    with pytest.raises(DeeplockError, match="nowhere"):
        save_network(tmp_path / "nowhere" / "a", NETWORK)
    assert _equal(load_network(tmp_path / "a"), NETWORK)


@pytest.mark.parametrize("length", [0, 4, 100, -1])
def test_truncated_file_is_told_in_one_line(tmp_path, length):
    path = tmp_path / "a"
    save_network(path, NETWORK)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(DeeplockError, match=r"network file .*a: ") as error:
        load_network(path)
    assert "\n" not in str(error.value)


def test_missing_and_foreign_files_are_told(tmp_path):
    with pytest.raises(DeeplockError, match="nothing: No such file"):
        load_network(tmp_path / "nothing")
    save_file({"x": np.zeros(3, np.float32)}, tmp_path / "foreign")
    with pytest.raises(DeeplockError, match="foreign: not a quantised network"):
        load_network(tmp_path / "foreign")
    save_file({"x": np.zeros(3)}, tmp_path / "foreign", {"deeplock network 1": json.dumps({})})
    with pytest.raises(DeeplockError, match="foreign: not a whole quantised network"):
        load_network(tmp_path / "foreign")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"source": "later"}, "wrong name or source"),
        ({"shift": np.array([0, 1])}, "wrong shift"),
        ({"multiplier": np.array([2**16, 2**15])}, "wrong multiplier"),
        ({"bias": np.zeros(3)}, "wrong tensor shapes"),
        ({"weight": np.zeros((2, 3, 3, 2))}, "does not fit its source"),
        ({"weight": np.zeros((2, 9, 9, 1))}, "does not fit its source"),
        ({"stride": (0, 1)}, "wrong stride or padding"),
        ({"stride": (1.5, 1)}, "stride must be a whole number"),
        ({"lo": 5, "hi": 4}, "wrong clamp"),
        ({"zero_point": 200}, "wrong zero point"),
        ({"accumulator_bits": 16}, "wrong accumulator_bits"),
    ],
)
def test_inconsistent_layer_is_told_by_name(tmp_path, change, message):
    save_network(tmp_path / "a", replace(NETWORK, layers=(replace(CONV, **change),)))
    with pytest.raises(DeeplockError, match=f"a: layer features.conv: {message}"):
        load_network(tmp_path / "a")


@pytest.mark.parametrize(
    ("layer", "change", "message"),
    [
        (AVERAGE, {"kernel": (0, 1)}, "wrong kernel or stride"),
        (AVERAGE, {"kernel": (2,)}, "wrong kernel or stride"),
        (AVERAGE, {"kernel": (256, 256)}, "wrong kernel or stride"),
        (AVERAGE, {"kernel": (1.5, 1)}, "kernel must be a whole number"),
        (AVERAGE, {"kernel": (9, 1)}, "does not fit its source"),
        (AVERAGE, {"stride": (1, 0)}, "wrong kernel or stride"),
        (AVERAGE, {"bias": 2**23}, "wrong bias"),
        (AVERAGE, {"multiplier": 2**16}, "wrong multiplier"),
        (ADD, {"shift": 0}, "wrong shift"),
        (ADD, {"lo": 5, "hi": 4}, "wrong clamp"),
        (ADD, {"zero_point": 128}, "wrong zero point"),
        (ADD, {"weights": (1, 128)}, "wrong weights"),
        (ADD, {"weights": (0, 1)}, "wrong weights"),
        (ADD, {"other": "later"}, "wrong name or source"),
        (ADD, {"other": "pool"}, "does not fit its source"),
    ],
)
def test_inconsistent_layer_without_weights_is_told_by_name(tmp_path, layer, change, message):
    layers = [replace(layer, **change) if other is layer else other for other in NETWORK.layers]
    save_network(tmp_path / "a", replace(NETWORK, layers=tuple(layers)))
    with pytest.raises(DeeplockError, match=f"a: layer {layer.name}: {message}"):
        load_network(tmp_path / "a")
