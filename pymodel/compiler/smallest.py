"""The smallest accelerator that takes a network."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from deeplock.pymodel.compiler.compiler import outline
from deeplock.pymodel.compiler.cycles import expected_cycles
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.network.network import Network
from deeplock.pymodel.network.operators.multiply import Multiply
from deeplock.pymodel.network.operators.table import Table
from deeplock.pymodel.spec.accelerator import array_of
from deeplock.pymodel.spec.config import MOST, Config

__all__ = ["needed_options", "smallest"]

_ARRAYS = ((4, 4), (8, 8), (16, 16), (16, 32))
"""Rows and columns, from the smallest on; the last takes whatever any takes."""

_MEMORIES = ("ifmap_bytes", "accumulators", "activation_words", "program_words")


def needed_options(networks: Sequence[Network]) -> dict[str, Any]:
    """Which of ON_DEMAND (config.py) some of the networks need."""
    layers = [layer for network in networks for layer in network.layers]
    needs = {"tables": Table, "products": Multiply}
    return {name: any(isinstance(layer, operator) for layer in layers) for name, operator in needs.items()}


def smallest(network: Network, given: Mapping[str, Any], batch: int = 1) -> Config:
    """The first of `_ARRAYS` that takes the network, with `tables` and `products` if that has some, and of its memories the
    smallest that cost no cycle and no parameter byte more than the largest would.

    given   fields of Config that stay as they are; None leaves a field free

    Raises DeeplockError if no array takes it: of the largest array.
    """
    fixed = needed_options([network])
    fixed |= {name: value for name, value in given.items() if value is not None}
    refusal = DeeplockError()
    for rows, cols in _ARRAYS:
        array = array_of(fixed.get("rows", rows), fixed.get("cols", cols), fixed.get("bytes_per_beat"))
        try:
            return _with_least_memories(network, {**fixed, **array}, batch)
        except DeeplockError as error:
            refusal = error
    raise refusal


def _with_least_memories(network: Network, fixed: Mapping[str, Any], batch: int) -> Config:
    free = [name for name in _MEMORIES if name not in fixed]
    config = Config(**{**{name: MOST[name] for name in free}, **fixed})
    least = _cost(network, config, batch)
    for name in free:
        needs = outline(network, config, batch).memory_needs  # a memory halved before may have made the program longer
        needs["activation_words"] = MOST["activation_words"]  # what it was compiled for, which says nothing
        while (smaller := _halved(config, name)) is not None:
            if getattr(smaller, name) < needs[name] and not _costs_at_most(least, network, smaller, batch):
                break
            config = smaller
    needs = outline(network, config, batch).memory_needs
    return config if "sum_bits" in fixed else replace(config, sum_bits=needs["sum_bits"])


def _halved(config: Config, name: str) -> Config | None:
    """The accelerator with half of a memory; None if that is too small for any."""
    try:
        return replace(config, **{name: getattr(config, name) // 2})
    except DeeplockError:
        return None


def _cost(network: Network, config: Config, batch: int) -> tuple[int, int]:
    """Cycles and beats of parameters of an inference."""
    loadable = outline(network, config, batch)
    return sum(expected_cycles(loadable, config)), loadable.header.parameter_beats


def _costs_at_most(most: tuple[int, int], network: Network, config: Config, batch: int) -> bool:
    try:
        found = _cost(network, config, batch)
    except DeeplockError:
        return False
    return all(value <= limit for value, limit in zip(found, most, strict=True))
