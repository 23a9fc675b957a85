"""One interface to all that classifies images: a float checkpoint, a quantised network or a loadable, locked or not."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from deeplock.pymodel.compiler import fast_interpreter
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.lock.checkpoint import Checkpoint, unlock_checkpoint
from deeplock.pymodel.network import golden
from deeplock.pymodel.network.network import Network
from deeplock.pymodel.spec.accelerator import accelerator_for
from deeplock.pymodel.spec.loadable import Loadable
from deeplock.pymodel.spec.tensor import Pixels
from deeplock.pymodel.zoo.datasets import CLASSES

__all__ = ["Classifier", "classifier_of"]


@dataclass(frozen=True, eq=False)
class Classifier:
    """kind     "checkpoint", "network" or "loadable"
    suite     the suite that it is locked with, or `plain`
    source    data set that it was trained on, or how raw pixels map to real numbers
    shape     [height, width, channels] of its images
    classes   names of its outputs, if known
    outputs   (key, real images [n, height, width, channels]) -> [n, ...]; key b"" if it is not locked
    """

    kind: str
    suite: str
    source: str | Pixels
    shape: tuple[int, ...]
    classes: tuple[str, ...]
    outputs: Callable[[bytes, np.ndarray], np.ndarray]


def classifier_of(artefact: Checkpoint | Loadable | Network) -> Classifier:
    """The artefact's classifier; DeeplockError for a checkpoint of an unknown network, and for a network of several outputs.
    Only checkpoints need PyTorch."""
    several = artefact.interface if isinstance(artefact, Loadable) else artefact
    if not isinstance(several, Checkpoint) and several.outputs:
        names = ", ".join(output.name for output in several.outputs)
        raise DeeplockError(f"it has several outputs ({names}) and no accuracy: `deeplock predict` shows each")
    match artefact:
        case Loadable():
            return _of_loadable(artefact)
        case Network():
            return _of_network(artefact)
        case _:
            return _of_checkpoint(artefact)


def _of_loadable(loadable: Loadable) -> Classifier:
    interface, config = loadable.interface, accelerator_for(loadable)

    def outputs(key: bytes, real: np.ndarray) -> np.ndarray:
        parameters = np.frombuffer(loadable.unlocked(key).parameters, np.uint8)
        return fast_interpreter.run(loadable, parameters, interface.input.quantise(real), config)

    source = interface.pixels or interface.dataset
    return Classifier("loadable", loadable.suite, source, interface.input_shape, interface.classes, outputs)


def _of_network(network: Network) -> Classifier:
    def outputs(key: bytes, real: np.ndarray) -> np.ndarray:
        return golden.run(network, network.input.quantise(real))[network.layers[-1].name]

    source = network.pixels or network.dataset
    return Classifier("network", "plain", source, network.input_shape, network.classes, outputs)


def _of_checkpoint(checkpoint: Checkpoint) -> Classifier:
    import torch

    from deeplock.pymodel.zoo import networks

    name = checkpoint.metadata.get("network", "")
    if name not in networks.NAMES:
        raise DeeplockError(
            f"the checkpoint's metadata must name a network ({', '.join(networks.NAMES)}): "
            "export a network of your own from PyTorch (docs/bring-your-own-network.md)"
        )

    def outputs(key: bytes, real: np.ndarray) -> np.ndarray:
        opened = unlock_checkpoint(checkpoint, key) if checkpoint.locked_by else checkpoint
        module = networks.build(name).eval()
        try:
            module.load_state_dict({name: torch.from_numpy(value.copy()) for name, value in opened.tensors.items()})
        except RuntimeError:
            raise DeeplockError(f"the checkpoint's tensors are not those of network {name}") from None
        with torch.no_grad():
            return np.nan_to_num(module(torch.from_numpy(real).permute(0, 3, 1, 2).contiguous()).numpy())

    source = networks.dataset_of(name)
    suite = checkpoint.locked_by or "plain"
    return Classifier("checkpoint", suite, source, networks.input_shape_of(name), CLASSES[source], outputs)
