"""Which of our files a file is; reading and writing them."""

from pathlib import Path
from typing import TYPE_CHECKING

from deeplock.pymodel.errors import DeeplockError

if TYPE_CHECKING:
    from deeplock.pymodel.lock.checkpoint import Checkpoint
    from deeplock.pymodel.network.network import Network
    from deeplock.pymodel.spec.loadable import Image

    Artefact = Checkpoint | Image | Network

__all__ = ["load", "save"]


def load(path: Path) -> "Artefact":
    """The image, the quantised network or, if it is neither, the checkpoint in a safetensors file."""
    import safetensors

    try:
        with open(path, "rb"), safetensors.safe_open(path, "np") as file:
            metadata = file.metadata() or {}
    except OSError as error:
        raise DeeplockError(f"{path}: {error.strerror}") from None
    except safetensors.SafetensorError as error:
        raise DeeplockError(f"{path}: truncated, or not a file of deeplock ({error})") from None
    if any(name.startswith("deeplock image") for name in metadata):
        from deeplock.pymodel.spec.loadable import load_image

        return load_image(path)
    if any(name.startswith("deeplock network") for name in metadata):
        from deeplock.pymodel.network.network_file import load_network

        return load_network(path)
    from deeplock.pymodel.lock.checkpoint import load as load_checkpoint

    return load_checkpoint(path)


def save(path: Path, artefact: "Checkpoint | Image") -> tuple[str, int]:
    """Write a checkpoint or an image; gives which of them it is, and the file's size in bytes."""
    from deeplock.cli.output import make_folder_of
    from deeplock.pymodel.lock import checkpoint
    from deeplock.pymodel.spec import loadable as image

    make_folder_of(path)
    if isinstance(artefact, image.Image):
        image.save_image(path, artefact)
        return "image", path.stat().st_size
    checkpoint.save(path, artefact)
    return "checkpoint", path.stat().st_size
