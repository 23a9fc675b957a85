"""Runs an ONNX file on onnxruntime and reads every layer's tensor."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.frontends.draft import Imported
from deeplock.pymodel.frontends.onnx.graph import read_graph
from deeplock.pymodel.network.network import output_shapes
from deeplock.pymodel.spec.tensor import Quantisation, Shape

__all__ = ["engine"]

_ERRORS_ONLY = 3


def _nhwc(tensor: np.ndarray, shape: Shape, quantisation: Quantisation) -> np.ndarray:
    """int8 [height, width, channels] from the first of a batch in int8, uint8, or float on int8's grid."""
    height, width, channels = shape
    found = tensor[0].reshape(channels, height, width).transpose(1, 2, 0)
    if found.dtype == np.uint8:
        return (found.astype(np.int16) - 128).astype(np.int8)
    return found if found.dtype == np.int8 else quantisation.quantise(found)


def engine(path: Path, read: Imported) -> tuple[str, Callable[[np.ndarray], dict[str, np.ndarray]]]:
    """onnxruntime's name and version, and what `against_engine` runs: each node of the file as it is written, in float."""
    graph, model = read_graph(path), onnx.load(path)
    present = {each.name for each in model.graph.output}
    names = sorted(set(read.tensors.values()))
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in present)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    # its integer kernels saturate sums of uint8 by int8 at 16 bits on a processor without VNNI
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its classes derive from nothing else
        raise DeeplockError(f"onnxruntime does not take the file: {error}") from None
    shapes = output_shapes(read.network)

    def run(ifmap: np.ndarray) -> dict[str, np.ndarray]:
        real = read.network.input.dequantise(ifmap).astype(np.float32).transpose(2, 0, 1).reshape(1, *graph.shape)
        found = dict(zip(names, session.run(names, {graph.input: real.repeat(graph.batch, 0)}), strict=True))
        return {
            name: _nhwc(np.asarray(found[tensor]), shapes[name], read.quantisations[name])
            for name, tensor in read.tensors.items()
        }

    return f"onnxruntime {onnxruntime.__version__}", run
