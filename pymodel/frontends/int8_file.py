"""Networks from files of other engines that are int8 already: TFLite, ONNX. One way in, whatever the file."""

from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.frontends.engine import EngineAgreement, against_engine
from deeplock.pymodel.network.foreign import engine_of, is_exported
from deeplock.pymodel.network.network import Network
from deeplock.pymodel.spec.tensor import Pixels, Quantisation

__all__ = ["is_float_program", "read_int8"]


def is_float_program(path: Path) -> bool:
    """Whether a file is to be quantised with images: an exported program, by its name or content, or an ONNX file in float."""
    if engine_of(path) == "onnx" and path.is_file():
        try:
            from deeplock.pymodel.frontends.onnx.graph import read_graph

            return read_graph(path).in_float
        except (DeeplockError, ModuleNotFoundError):  # read_int8 tells
            return False
    return path.suffix == ".pt2" or is_exported(path)


def _pixels(input: Quantisation, mean: Sequence[float] | None, std: Sequence[float] | None) -> Pixels:
    """How raw pixels map to real numbers. Where nothing is given, the pixels 0..255 are the ifmap's bytes -128..127."""
    if mean is None and std is None:
        return Pixels((128.0 + input.zero_point,), (1 / input.scale,))
    return Pixels.normalised(mean, std)


def read_int8(
    path: Path, mean: Sequence[float] | None = None, std: Sequence[float] | None = None
) -> tuple[Network, EngineAgreement]:
    """The network of a file of `engine_of`, and how well it agrees with its engine, if that is installed.

    mean, std  one number for all channels or one for each; the network takes (pixel / 255 - mean) / std
    """
    if not path.is_file():
        raise DeeplockError(f"{path}: no such file")
    room = f"deeplock.pymodel.frontends.{engine_of(path)}"
    try:
        read = import_module(f"{room}.network").read_network(path)
        try:
            agreement = against_engine(read, *import_module(f"{room}.engine").engine(path, read))
        except ModuleNotFoundError as error:
            missing = f"not compared with the file's engine: {error.name} is not installed"
            agreement = EngineAgreement(notes=(*read.notes, missing))
    except ModuleNotFoundError as error:
        raise DeeplockError(f"{path}: to read it, {error.name} must be installed") from None
    except DeeplockError as error:
        raise DeeplockError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from None
    return replace(read.network, pixels=_pixels(read.network.input, mean, std)), agreement
