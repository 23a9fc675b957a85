"""The file of a quantised network: safetensors, the arrays of each convolution as tensors `<layer>.weight`, `.bias`,
`.multiplier` and `.shift`, everything else as JSON in the metadata under "deeplock network 1", its only entry.
"""

import json
import os
from dataclasses import fields
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.files import replace_file
from deeplock.pymodel.network.fixed_point import MAX_SHIFT, MAX_WEIGHT, MAX_WINDOW, MULTIPLIER_BITS
from deeplock.pymodel.network.network import (
    Add,
    AveragePool,
    Conv,
    Layer,
    MaxPool,
    Network,
    Pixels,
    Quantisation,
    output_shapes,
    sources,
)

__all__ = ["save_network", "load_network"]

_METADATA = "deeplock network 1"
_ARRAYS = {"weight": np.int8, "bias": np.int32, "multiplier": np.int32, "shift": np.int32}
_KINDS: dict[str, type[Layer]] = {"conv": Conv, "max_pool": MaxPool, "average_pool": AveragePool, "add": Add}


def _scalars(layer: Layer) -> dict[str, Any]:
    kind = next(name for name, layer_type in _KINDS.items() if isinstance(layer, layer_type))
    tensors = _ARRAYS if isinstance(layer, Conv) else ()
    return {"kind": kind} | {f.name: getattr(layer, f.name) for f in fields(layer) if f.name not in tensors}


def save_network(path: str | os.PathLike[str], network: Network) -> None:
    """Write the network; equal networks make equal bytes."""
    tensors = {
        f"{layer.name}.{name}": np.ascontiguousarray(getattr(layer, name), dtype)
        for layer in network.layers
        if isinstance(layer, Conv)
        for name, dtype in _ARRAYS.items()
    }
    rest = {
        "name": network.name,
        "input_shape": network.input_shape,
        "input": vars(network.input),
        "output": vars(network.output),
        "layers": [_scalars(layer) for layer in network.layers],
        "classes": network.classes,
        "dataset": network.dataset,
    }
    if network.pixels:
        rest["pixels"] = vars(network.pixels)
    replace_file(path, save(tensors, {_METADATA: json.dumps(rest)}))


def _must(rule: object, text: str) -> None:
    if not rule:
        raise DeeplockError(text)


def _read_layer(scalars: dict[str, Any], tensors: dict[str, np.ndarray]) -> Layer:
    values = dict(scalars)
    kind = _KINDS[values.pop("kind")]
    if kind is Conv:
        values |= {name: tensors[f"{values['name']}.{name}"] for name in _ARRAYS}
    for field in fields(kind):
        value = values[field.name]
        if isinstance(value, list):
            values[field.name] = value = tuple(value)
        numbers = value if isinstance(value, tuple) else (value,)
        whole = field.type in (str, np.ndarray) or all(type(number) is int for number in numbers)
        _must(whole, f"layer {values['name']}: {field.name} must be a whole number")
    return kind(**values)


def _is_pair(values: tuple[int, ...], most: int | None = None) -> bool:
    return len(values) == 2 and min(values) >= 1 and (most is None or max(values) <= most)


def _check_layer(layer: Layer) -> None:
    """That the numbers keep the arithmetic contract."""
    match layer:
        case Conv():
            _check_conv(layer)
        case MaxPool():
            _must(layer.kernel >= 1 and layer.stride >= 1, "wrong kernel or stride")
        case AveragePool():
            _must(_is_pair(layer.kernel) and layer.stride >= 1, "wrong kernel or stride")
            _must(layer.kernel[0] * layer.kernel[1] <= MAX_WINDOW, "wrong kernel or stride")
            _check_scalars(layer)
        case Add():
            _must(_is_pair(layer.weights, MAX_WEIGHT), "wrong weights")
            _check_scalars(layer)


def _check_scalars(layer: AveragePool | Add) -> None:
    _must(-(2**23) <= layer.bias < 2**23, "wrong bias")
    _must(layer.multiplier >> (MULTIPLIER_BITS - 1) == 1, "wrong multiplier")
    _must(1 <= layer.shift <= MAX_SHIFT, "wrong shift")
    _check_output(layer)


def _check_output(layer: Conv | AveragePool | Add) -> None:
    _must(-128 <= layer.lo <= layer.hi <= 127, "wrong clamp")
    _must(-128 <= layer.zero_point <= 127, "wrong zero point")


def _check_conv(conv: Conv) -> None:
    arrays = {name: getattr(conv, name) for name in _ARRAYS}
    _must(all(arrays[name].dtype == dtype for name, dtype in _ARRAYS.items()), "wrong tensor types")
    _must(conv.weight.ndim == 4, "wrong weight shape")
    _must(all(array.shape == (len(conv.weight),) for array in list(arrays.values())[1:]), "wrong tensor shapes")
    _must((conv.multiplier >> (MULTIPLIER_BITS - 1) == 1).all(), "wrong multiplier")
    _must(((conv.shift >= 1) & (conv.shift <= MAX_SHIFT)).all(), "wrong shift")
    _must(conv.stride >= 1 and len(conv.padding) == 4 and min(conv.padding) >= 0, "wrong stride or padding")
    _must(-128 <= conv.input_zero_point <= 127, "wrong zero point")
    _check_output(conv)
    _must(conv.accumulator_bits in (24, 32), "wrong accumulator_bits")


def _check(network: Network) -> None:
    """That the layers fit together."""
    seen = {"input"}
    for layer in network.layers:
        _must(seen.issuperset(sources(layer)) and layer.name not in seen, f"layer {layer.name}: wrong name or source")
        seen.add(layer.name)
        try:
            _check_layer(layer)
        except DeeplockError as error:
            raise DeeplockError(f"layer {layer.name}: {error}") from None
    shapes = output_shapes(network)
    for layer in network.layers:
        fits = not isinstance(layer, Conv) or layer.weight.shape[3] == shapes[layer.source][2]
        fits &= len({shapes[name] for name in sources(layer)}) == 1
        _must(fits and min(shapes[layer.name]) >= 1, f"layer {layer.name}: does not fit its source")


def load_network(path: str | os.PathLike[str]) -> Network:
    """Read a network; `DeeplockError` if the file is missing, truncated, foreign or inconsistent."""
    try:
        with safe_open(path, "np") as file:
            metadata = file.metadata() or {}
            _must(_METADATA in metadata, f'not a quantised network (no metadata "{_METADATA}")')
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        rest = json.loads(metadata[_METADATA])
        network = Network(
            name=str(rest["name"]),
            input_shape=tuple(rest["input_shape"]),
            input=Quantisation(**rest["input"]),
            output=Quantisation(**rest["output"]),
            layers=tuple(_read_layer(scalars, tensors) for scalars in rest["layers"]),
            classes=tuple(rest["classes"]),
            dataset=str(rest["dataset"]),
            pixels=Pixels.of(rest.get("pixels")),
        )
        _check(network)
    except OSError as error:
        raise DeeplockError(f"network file {path}: {error.strerror or error}") from None
    except DeeplockError as error:
        raise DeeplockError(f"network file {path}: {error}") from None
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise DeeplockError(f"network file {path}: not a whole quantised network ({error})") from None
    return network
