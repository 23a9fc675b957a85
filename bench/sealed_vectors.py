"""docs/sealed-vectors.json: sealed loadables with key, ifmap and ofmap, for who writes another implementation.

    python -m deeplock.bench.sealed_vectors

The key and the nonce are fixed, so that the file stays the same.
"""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from deeplock.pymodel.compiler.compiler import compile_network
from deeplock.pymodel.compiler.golden_device import GoldenDevice
from deeplock.pymodel.files import write_json
from deeplock.pymodel.lock.sealing import SealedSuite
from deeplock.pymodel.lock.suites import names, suite
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.zoo import trained

__all__ = ["CONFIG", "VECTORS", "vectors"]

VECTORS = Path("docs/sealed-vectors.json")
CONFIG = Config(rows=4, cols=4, bytes_per_beat=4)
_KEY = bytes(range(16))


def _vector(chosen: SealedSuite) -> dict[str, Any]:
    config = CONFIG.with_suite(chosen.name)
    size = config.bytes_per_beat
    plain = compile_network(trained.load("digits"), config, np.random.default_rng(0))
    header = replace(plain.header.of_model(0x0123_4567_89AB_CDEF, 1), suite=chosen.id)
    named = replace(plain, header=header)
    nonce = chosen.nonce_of(lambda count: bytes(range(0xA1, 0xA1 + count)), size)
    sealed = replace(named, **vars(chosen.seal_under(nonce, named.records, named.parameters, _KEY, size)))
    ifmap = np.random.default_rng(1).bytes(header.ifmap_beats * config.rows)
    device = GoldenDevice(config)
    device.load_key(_KEY)
    (ofmap,) = device.run(sealed.head, [sealed.parameters], [ifmap]).ofmaps
    return {
        "suite": chosen.name,
        "network": plain.interface.network,
        "rows": config.rows,
        "cols": config.cols,
        "bytes_per_beat": size,
        "key": _KEY.hex(),
        "nonce": sealed.nonce.hex(),
        "head": sealed.records.hex(),
        "head_tag": sealed.head_tag.hex(),
        "parameters_and_tag": sealed.parameters.hex(),
        "plain_parameters": plain.parameters.hex(),
        "ifmap": ifmap.hex(),
        "ofmap": ofmap.hex(),
    }


def vectors() -> list[dict[str, Any]]:
    """A vector for each suite that seals."""
    return [_vector(each) for each in map(suite, names()) if isinstance(each, SealedSuite)]


if __name__ == "__main__":
    write_json(Path(sys.argv[1]) if len(sys.argv) > 1 else VECTORS, {"vectors": vectors()})
