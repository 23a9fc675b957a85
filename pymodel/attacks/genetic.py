"""Genetic search for the key, by tournament, crossover and mutation: NN-Lock's authors attack HPNN and their scheme with it.

Only their abstract is public, so population, rates and so on are our choices. A key's fitness is its accuracy on the
thief's held-out images. The search finds keys if a nearly right key is nearly as good as the right one.

Yardstick: the best of as many random keys.
"""

from dataclasses import dataclass

import numpy as np

from deeplock.pymodel.attacks.attack import Result
from deeplock.pymodel.attacks.target import Target, measure
from deeplock.pymodel.progress import Progress, quiet

__all__ = ["FULL", "NEEDS", "QUICK", "SCHEMES", "Budget", "run"]

NEEDS = "what is handed out, `images` labelled images, (1 + generations) x population runs over them"
SCHEMES = ("deep-lock", "hpnn", "secure-net")


@dataclass(frozen=True)
class Budget:
    """images   the thief's held-out images that give the fitness
    tournament  keys of which the fittest becomes a parent
    elite       fittest keys that stay unchanged
    mutation    expected number of bits that change in a child
    """

    population: int = 20
    generations: int = 25
    images: int = 150
    tournament: int = 3
    elite: int = 2
    mutation: float = 2.0


QUICK = Budget(population=12, generations=6, images=128)
FULL = Budget()


def _children(keys: np.ndarray, fitness: np.ndarray, budget: Budget, rng: np.random.Generator) -> np.ndarray:
    """A new population, bits bool [population, bits], from an old one and its fitness."""
    count, bits = keys.shape
    entrants = rng.integers(0, count, (2, count - budget.elite, budget.tournament))
    parents = np.take_along_axis(entrants, fitness[entrants].argmax(axis=2)[..., None], axis=2)[..., 0]
    crossed = np.where(rng.random((count - budget.elite, bits)) < 0.5, keys[parents[0]], keys[parents[1]])
    crossed ^= rng.random(crossed.shape) < budget.mutation / bits
    return np.concatenate([keys[np.argsort(-fitness, kind="stable")[: budget.elite]], crossed])


def run(target: Target, budget: Budget, seed: int, progress: Progress = quiet) -> list[Result]:
    """The fittest key's accuracy on the test images, and the fittest random key's; curve: (generation, best fitness)."""
    scheme, protected = target.locked()
    rng, held = np.random.default_rng([seed, 2]), target.victim.held.take(slice(0, budget.images))

    def fitness_of(keys: np.ndarray) -> np.ndarray:
        modules = scheme.authorise_many(protected, [row.tobytes() for row in np.packbits(keys, axis=1)])
        return np.array([measure(module, held, narrow=True) for module in modules])

    def test(key: np.ndarray) -> float:
        return measure(scheme.authorise(protected, np.packbits(key).tobytes()), target.victim.test)

    def draw() -> np.ndarray:
        return rng.random((budget.population, 8 * len(target.key))) < 0.5

    keys = draw()
    fitness = fitness_of(keys)
    random_key, random_fitness = keys[fitness.argmax()], fitness.max()
    curve = [(0.0, float(fitness.max()))]
    for generation in range(1, budget.generations + 1):
        keys = _children(keys, fitness, budget, rng)
        fitness = fitness_of(keys)
        curve.append((float(generation), float(fitness.max())))
        others = draw()
        other = fitness_of(others)
        if other.max() > random_fitness:
            random_key, random_fitness = others[other.argmax()], other.max()
        progress(f"generation {generation}: fittest {fitness.max():.3f}", generation, budget.generations)
    best = test(keys[fitness.argmax()])
    return [Result("accuracy, fittest key", best, test(random_key), tuple(curve))]
