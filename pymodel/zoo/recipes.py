"""How each network is trained. Choices were made on held-out training images, never on test images."""

from dataclasses import dataclass

from deeplock.pymodel.errors import DeeplockError

__all__ = ["Recipe", "recipe_for"]


@dataclass(frozen=True)
class Recipe:
    """AdamW under a one-cycle learning rate, cross-entropy.

    learning_rate  peak of the cycle
    shift          pixels by which a training image may move, up, down, left and right
    mirror         whether half of the training images are mirrored, left to right
    threads        PyTorch's threads. Results depend on their number, because sums are split over them. One is the default: on a
                   busy machine, two wait for each other and take five times as long
    bfloat16       whether convolutions and dense layers compute in bfloat16 where the processor has it (parameters and
                   optimiser stay float32); half the time on CIFAR-10
    validation     training images held out for the accuracy of each epoch; 0: the test images are used
    """

    epochs: int
    batch: int
    learning_rate: float
    weight_decay: float = 0.0
    shift: int = 0
    mirror: bool = False
    threads: int = 1
    bfloat16: bool = False
    validation: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 1:
            raise DeeplockError(f"epochs must be 1 or more, not {self.epochs}")


_RECIPES = {
    "digits": Recipe(30, 64, 0.01),
    "mnist": Recipe(7, 128, 4e-3, 1e-2, shift=2, validation=5_000),
    "fashion-mnist": Recipe(12, 128, 3e-3, 1e-2, shift=1, mirror=True, validation=5_000),
    "cifar10": Recipe(14, 128, 2e-3, 2e-2, shift=2, mirror=True, bfloat16=True, validation=2_500),
    # chosen with all similar frames of a sign held out together: single ones are too like those that are trained on
    "gtsrb": Recipe(12, 64, 1e-2, 0.6, shift=1, validation=800),
}


def recipe_for(name: str) -> Recipe:
    """The recipe of the network of that name."""
    if name not in _RECIPES:
        raise DeeplockError(f"unknown network {name!r}: must be one of {', '.join(_RECIPES)}")
    return _RECIPES[name]
