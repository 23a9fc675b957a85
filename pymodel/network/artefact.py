"""Reading and writing of deeplock's files, whatever their kind."""

from pathlib import Path

import safetensors

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.files import ANYONE, make_folder_of
from deeplock.pymodel.lock import checkpoint
from deeplock.pymodel.lock.checkpoint import Checkpoint
from deeplock.pymodel.network.foreign import advice
from deeplock.pymodel.network.network import Network
from deeplock.pymodel.network.network_file import load_network, save_network
from deeplock.pymodel.spec.licence import Licence, read_licence
from deeplock.pymodel.spec.loadable import Loadable, read_loadable, write_loadable

__all__ = ["load", "save"]


def load(path: Path) -> Checkpoint | Licence | Loadable | Network:
    """Read a safetensors file: a loadable, a licence, a quantised network or, if it is none, a checkpoint."""
    try:
        with open(path, "rb"), safetensors.safe_open(path, "np") as file:
            metadata = file.metadata() or {}
    except OSError as error:
        raise DeeplockError(f"{path}: {error.strerror or 'not a file of deeplock'}") from None
    except safetensors.SafetensorError as error:
        why = advice(path) or f"truncated, or not a file of deeplock ({error})"
        raise DeeplockError(f"{path}: {why}") from None
    if any(name.startswith(("deeplock loadable", "deeplock image")) for name in metadata):
        return read_loadable(path)
    if any(name.startswith("deeplock licence") for name in metadata):
        return read_licence(path)
    if any(name.startswith("deeplock network") for name in metadata):
        return load_network(path)
    return checkpoint.load(path)


def save(path: Path, artefact: Checkpoint | Loadable | Network, at_most: int = ANYONE) -> tuple[str, int]:
    """Write a checkpoint, a loadable or a quantised network; return its kind and the file's size in bytes. at_most: as of
    `replace_file`."""
    make_folder_of(path)
    match artefact:
        case Loadable():
            kind = "loadable"
            write_loadable(path, artefact, at_most)
        case Network():
            kind = "network"
            save_network(path, artefact, at_most)
        case _:
            kind = "checkpoint"
            checkpoint.save(path, artefact, at_most)
    return kind, path.stat().st_size
