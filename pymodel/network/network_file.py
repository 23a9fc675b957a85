"""The file of a quantised network, in safetensors format.

A layer's arrays are tensors `<layer>.<field>`, such as `conv1.weight`. Everything else is JSON in the metadata's only entry,
"deeplock network 1".
"""

import json
import os
from dataclasses import MISSING, asdict, fields
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.files import ANYONE, replace_file
from deeplock.pymodel.network import operators
from deeplock.pymodel.network.layer import Layer
from deeplock.pymodel.network.network import Network, output_shapes
from deeplock.pymodel.network.operators.outputs import Outputs
from deeplock.pymodel.spec.tensor import Output, Pixels, Quantisation

__all__ = ["save_network", "load_network"]

_METADATA = "deeplock network 1"


def _arrays(layer: Layer | type[Layer]) -> dict[str, type[np.generic]]:
    """Types of a layer's arrays, by field."""
    return {field.name: field.metadata["dtype"] for field in fields(layer) if "dtype" in field.metadata}


def _scalars(layer: Layer) -> dict[str, Any]:
    names = [field.name for field in fields(layer) if field.name not in _arrays(layer)]
    return {"kind": layer.kind} | {name: getattr(layer, name) for name in names}


def save_network(path: str | os.PathLike[str], network: Network, at_most: int = ANYONE) -> None:
    """Write the network; equal networks make equal bytes. at_most: as of `replace_file`."""
    tensors = {
        f"{layer.name}.{name}": np.ascontiguousarray(getattr(layer, name), dtype)
        for layer in network.layers
        for name, dtype in _arrays(layer).items()
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
    if network.outputs:
        rest["outputs"] = [asdict(output) for output in network.outputs]
    replace_file(path, save(tensors, {_METADATA: json.dumps(rest)}), at_most)


def _must(rule: object, text: str) -> None:
    if not rule:
        raise DeeplockError(text)


def _read_layer(scalars: dict[str, Any], tensors: dict[str, np.ndarray]) -> Layer:
    values = dict(scalars)
    operator, name = operators.operator(values.pop("kind")), values["name"]
    arrays = _arrays(operator)
    for field in fields(operator):
        if field.name in arrays:
            values[field.name] = value = tensors[f"{name}.{field.name}"]
            _must(value.dtype == arrays[field.name], f"layer {name}: wrong tensor types")
            continue
        if field.name not in values and field.default is not MISSING:
            continue  # the file is older than the field
        value = values[field.name]
        if isinstance(value, list):
            values[field.name] = value = tuple(value)
        numbers = value if isinstance(value, tuple) else (value,)
        type_, what = (str, "text") if field.type in (str, tuple[str, ...]) else (int, "a whole number")
        _must(all(type(number) is type_ for number in numbers), f"layer {name}: {field.name} must be {what}")
    return operator(**values)


def _check(network: Network) -> None:
    """Raise DeeplockError unless the layers keep the arithmetic contract and fit together."""
    seen = {"input"}
    for layer in network.layers:
        known = seen.issuperset(layer.sources) and layer.name not in seen
        _must(known, f"layer {layer.name}: wrong name or source")
        seen.add(layer.name)
        for what, holds in layer.rules():
            _must(holds, f"layer {layer.name}: wrong {what}")
    shapes = output_shapes(network)
    for layer in network.layers:
        fits = layer.fits(*(shapes[name] for name in layer.sources))
        _must(fits and min(shapes[layer.name]) >= 1, f"layer {layer.name}: does not fit its source")
    *others, last = network.layers
    _must(not any(isinstance(layer, Outputs) for layer in others), "only the last layer may give several outputs")
    given = last.sources if isinstance(last, Outputs) else ()
    found = tuple((output.name, output.shape) for output in network.outputs)
    _must(found == tuple((name, shapes[name]) for name in given), "outputs are not those of the last layer")


def load_network(path: str | os.PathLike[str]) -> Network:
    """Read a network; `DeeplockError` if the file is missing, truncated, inconsistent or of another kind."""
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
            outputs=tuple(map(Output.of, rest.get("outputs", ()))),
        )
        _check(network)
    except OSError as error:
        raise DeeplockError(f"network file {path}: {error.strerror or error}") from None
    except DeeplockError as error:
        raise DeeplockError(f"network file {path}: {error}") from None
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise DeeplockError(f"network file {path}: not a whole quantised network ({error})") from None
    return network
