"""Tables of docs/architecture.md: what the designs of the feeding that were weighed cost, which report/results.py writes.

Each is given for words of 8 and of 16 bytes: pixels padded to words; whole kernel windows written one after the other; kernel
rows read from any byte; these with the ifmap's rows stacked, which is what the compiler chooses.
"""

import numpy as np

from deeplock.pymodel.compiler.first_layer import Unfold, plan_input
from deeplock.pymodel.compiler.schedule import plan_steps
from deeplock.pymodel.compiler.step import Step, words_of
from deeplock.pymodel.network.lowering import Streamed
from deeplock.pymodel.network.network import Network
from deeplock.pymodel.network.network_file import load_network
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.zoo import trained
from deeplock.report.tables import Table, markdown

__all__ = ["NETWORKS", "ifmap_table", "packing_section", "window_table"]

NETWORKS = ("gtsrb", "mnist", "cifar10")
_SIZES = (8, 16)
_DESIGNS = ("padded", "windows", "rows", "stacked")
_COLUMNS = [f"{rows}: {design}" for rows in _SIZES for design in _DESIGNS]


def _planned(network: Network, rows: int) -> tuple[Config, list[Step], list[Step], Unfold]:
    """The network's steps before and after the compiler chooses how the first one reads the ifmap."""
    config = Config(rows=rows, cols=rows, bytes_per_beat=rows)
    steps = plan_steps(network, config)
    return config, steps, *plan_input(steps, config, np.random.default_rng(0))


def _words(count: int, size: int, rows: int) -> int:
    """Words of `count` pieces of `size` bytes that each begin a word."""
    return count * -(-size // rows)


def window_table(networks: dict[str, Network]) -> Table:
    """Words that a kernel window takes, of the layers for which the designs differ."""
    rows_of: dict[tuple[object, ...], list[int]] = {}
    for name, network in networks.items():
        for rows in _SIZES:
            config, before, after, _ = _planned(network, rows)
            for step, chosen in zip(before, after, strict=True):
                if isinstance(step.lowered.weights, Streamed):
                    (tall, wide), depth = step.lowered.kernel, step.shape[2]
                    padded, windows = _words(tall * wide, depth, rows), _words(1, tall * wide * depth, rows)
                    figures = [padded, windows, words_of(step, config), words_of(chosen, config)]
                    rows_of.setdefault((name, step.name, f"{tall}x{wide}", depth), []).extend(figures)
    differing = (
        [*what, *figures] for what, figures in rows_of.items() if len(set(figures[:4])) + len(set(figures[4:])) > 2
    )
    return Table(["network", "layer", "kernel", "channels", *_COLUMNS], list(differing))


def ifmap_table(networks: dict[str, Network]) -> Table:
    """Activation words that the ifmap takes."""
    lines = []
    for name, network in networks.items():
        figures = []
        for rows in _SIZES:
            config, (first, *_), _, unfold = _planned(network, rows)
            (tall, wide), (height, width, depth) = first.lowered.kernel, first.shape
            top, left, bottom, right = first.lowered.padding
            windows = (height + top + bottom - tall + 1) * (width + left + right - wide + 1)  # of stride 1
            figures += [_words(height * width, depth, rows), _words(windows, tall * wide * depth, rows)]
            figures += [_words(1, height * width * depth, rows), unfold.words(config)]
        lines.append([name, *figures])
    return Table(["network", *_COLUMNS], lines)


def packing_section() -> str:
    """Both tables in Markdown."""
    networks = {name: load_network(trained.path_of(name)) for name in NETWORKS}
    return markdown(window_table(networks), 3) + "\n" + markdown(ifmap_table(networks), 1)
