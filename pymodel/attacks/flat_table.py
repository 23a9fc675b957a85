"""Flat table: the master key of `deep-lock` from a loadable whose network has a table, by knowing that some of it is flat.

A table (docs/architecture.md, "Tables") comes in front of a layer's entries, and the program, which is in clear, says where.
What saturates, such as a sigmoid, is flat at both ends: there, consecutive plain bytes are all alike, whatever the scales are
and whatever the value is. For each of 256 values these bytes would be known plaintext (known_plaintext.py); one more word of
the key schedule tells which value it is.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from deeplock.pymodel.attacks.attack import Result
from deeplock.pymodel.attacks.schedule_inversion import follows, invert_schedule
from deeplock.pymodel.compiler.compiler import compile_network
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.frontends.functions import sigmoid
from deeplock.pymodel.lock.suites.deep_lock import SUITE
from deeplock.pymodel.network.network import Network
from deeplock.pymodel.network.operators.table import integer_table
from deeplock.pymodel.progress import Progress, quiet
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.descriptor import TABLE_BYTES
from deeplock.pymodel.spec.loadable import Loadable
from deeplock.pymodel.spec.tensor import Quantisation
from deeplock.pymodel.zoo import trained

__all__ = ["FULL", "NEEDS", "QUICK", "SCHEMES", "Budget", "recover_key", "run", "with_sigmoid"]

NEEDS = "a loadable of a network with a table that is flat at an end, as a sigmoid's is; no time to speak of"
SCHEMES = ("deep-lock",)

_WORD = 4
_SIGMOID = Quantisation(1 / 256, -128)
"""Of its results, as TFLite has it."""


@dataclass(frozen=True)
class Budget:
    """keys  random keys of each size"""

    keys: int = 20


QUICK = Budget(keys=4)
FULL = Budget()


def with_sigmoid(network: Network) -> Network:
    """The network with a sigmoid of its results, which is a table."""
    last = network.layers[-1].name
    table = integer_table("sigmoid", last, sigmoid, network.output, output=_SIGMOID)
    return Network(
        f"{network.name} with a sigmoid", network.input_shape, network.input, _SIGMOID, (*network.layers, table)
    )


def _tables(loadable: Loadable) -> Iterator[int]:
    """Where in the parameters the program's tables begin."""
    position, header = 0, loadable.header
    for layer in loadable.program:
        if layer.table_bytes:
            yield position
        position += layer.layer_bytes(header.rows, header.cols)


def recover_key(loadable: Loadable, size: int) -> bytes:
    """The master key, of `size` bytes, that a loadable is locked with.

    Raises DeeplockError if no table of it is flat, at an end, for a word more than the key has.
    """
    parameters = np.frombuffer(loadable.parameters, np.uint8)
    flat = size + _WORD
    for table in _tables(loadable):
        for first in (table, table + TABLE_BYTES - flat):
            opened = SUITE.inv_sbox[parameters[first : first + flat]]
            for value in range(256):
                stream = opened ^ np.uint8(value)
                if follows(stream[size:], stream[:size], first):
                    return invert_schedule(stream[:size], first)
    raise DeeplockError(
        f"no table is flat at an end for {flat} bytes: the key is not found, or has other than {size} bytes"
    )


def run(network: str, budget: Budget, seed: int, progress: Progress = quiet) -> list[Result]:
    """Compile the network with a sigmoid behind it, lock it with random keys, and recover each from the loadable alone."""
    rng, results = np.random.default_rng(seed), []
    plain = compile_network(with_sigmoid(trained.load(network)), Config(tables=True), rng)
    for size in SUITE.key_sizes:
        found = 0
        for number in range(budget.keys):
            progress(f"AES-{8 * size} keys", number, budget.keys)
            key = rng.bytes(size)
            found += recover_key(plain.locked(SUITE.name, key), size) == key
        results.append(Result(f"share of AES-{8 * size} keys recovered from a sigmoid's table", found / budget.keys))
    return results
