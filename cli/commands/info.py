"""Show what is in a checkpoint, a quantised network, a loadable or a licence.

Of a loadable: whether it is locked or sealed, what whoever has the file can read without the key, its geometry, the memories
that it needs, the least cycles of an inference, and its layers as the accelerator runs them. Of a network: its layers,
parameters and multiply-accumulates. Of a checkpoint: its tensors. Of a licence: its terms, which only a device can check.

examples:
  deeplock info build/digits.loadable
  deeplock info build/digits.int8.safetensors --json build/digits.json

JSON: licence: as `deeplock licence`, and {"kind"};
  loadable: {"kind", "network", "dataset", "classes", "suite", "locked", "sealed", "sbox", "key_check", "model",
  "model_version", "public", "rows", "cols", "bytes_per_beat", "batch", "needs", "features", "parameter_bytes", "lower_bound",
  "outputs": [names, if there are several],
  "layers": [{"name", "kind", "input", "output", "kernel", "stride", "pool", "parameter_bytes", "words", "lower_bound",
  "array_bound", "groups", "again": rows computed before}]};
  network: {"kind", "network", "dataset", "classes", "parameters", "macs",
  "layers": [{"name", "kind", "source", "output", "weights", "macs"}]};
  checkpoint: {"kind", "suite", "locked", "sealed", "sbox", "metadata", "parameters", "tensors": [{"name", "dtype", "shape"}]}
"""

import argparse
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deeplock.cli.options import add_json

if TYPE_CHECKING:
    from deeplock.pymodel.lock.checkpoint import Checkpoint
    from deeplock.pymodel.network.network import Network
    from deeplock.pymodel.spec.loadable import Loadable

__all__ = ["add_arguments", "run"]


_PUBLIC = (
    "layers, their shapes, order and addresses",
    "class names, scales and zero points of input and output",
    "sizes",
)
"""What is in clear in every loadable: header, program and the file's metadata."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", type=Path, metavar="FILE", help="checkpoint, quantised network, loadable or licence")
    add_json(parser)


def _lock(name: str) -> dict[str, Any]:
    """Whether the suite of that name locks, and the strength of its S-box: None if it has none."""
    from deeplock.pymodel.lock.sbox import properties
    from deeplock.pymodel.lock.suites import suite

    sbox = suite(name).sbox
    return {
        "suite": name,
        "locked": suite(name).locks,
        "sealed": suite(name).seals,
        "sbox": None if sbox is None else asdict(properties(sbox)),
    }


def _loadable(loadable: "Loadable") -> dict[str, Any]:
    from deeplock.pymodel.lock.suites import suite

    return {
        "kind": "loadable",
        "network": loadable.interface.network,
        "dataset": loadable.interface.dataset,
        "classes": list(loadable.interface.classes),
        **_lock(loadable.suite),
        "key_check": bool(loadable.key_check),
        "model": loadable.header.model,
        "model_version": loadable.header.model_version,
        "public": list(_PUBLIC if suite(loadable.suite).locks else (*_PUBLIC, "parameters")),
        "rows": loadable.header.rows,
        "cols": loadable.header.cols,
        "bytes_per_beat": loadable.header.bytes_per_beat,
        "batch": loadable.batch,
        "needs": loadable.memory_needs,
        "features": list(loadable.features),
        "parameter_bytes": len(loadable.parameters),
        "lower_bound": loadable.interface.lower_bound,
        "outputs": [output.name for output in loadable.interface.outputs],
        "layers": [asdict(layer) for layer in loadable.interface.layers],
    }


def _network(network: "Network") -> dict[str, Any]:
    from deeplock.pymodel.network.network import macs, output_shapes

    shapes, work = output_shapes(network), macs(network)

    return {
        "kind": "network",
        "network": network.name,
        "dataset": network.dataset,
        "classes": list(network.classes),
        "parameters": sum(layer.parameters for layer in network.layers),
        "macs": sum(work.values()),
        "layers": [
            {
                "name": layer.name,
                "kind": type(layer).__name__,
                "source": ", ".join(layer.sources),
                "output": list(shapes[layer.name]),
                "weights": layer.parameters,
                "macs": work[layer.name],
            }
            for layer in network.layers
        ],
    }


def _checkpoint(checkpoint: "Checkpoint") -> dict[str, Any]:
    return {
        "kind": "checkpoint",
        **_lock(checkpoint.locked_by or "plain"),
        "metadata": dict(checkpoint.metadata),
        "parameters": sum(tensor.size for tensor in checkpoint.tensors.values()),
        "tensors": [
            {"name": name, "dtype": str(tensor.dtype), "shape": list(tensor.shape)}
            for name, tensor in checkpoint.tensors.items()
        ],
    }


def run(args: argparse.Namespace) -> None:
    from deeplock.cli.output import print_pairs, print_table
    from deeplock.pymodel.files import write_json
    from deeplock.pymodel.network.artefact import load
    from deeplock.pymodel.network.network import Network
    from deeplock.pymodel.spec.licence import Licence
    from deeplock.pymodel.spec.loadable import Loadable
    from deeplock.report.expectation import needs_text
    from deeplock.report.licence import facts
    from deeplock.report.tables import Table, readable

    artefact = load(args.file)
    if isinstance(artefact, Loadable):
        figures, table = _loadable(artefact), "layers"
    elif isinstance(artefact, Licence):
        figures, table = {"kind": "licence", **facts(artefact)}, ""
    elif isinstance(artefact, Network):
        figures, table = _network(artefact), "layers"
    else:
        figures, table = _checkpoint(artefact), "tensors"
    shown = {name: value for name, value in figures.items() if name != table and (name != "outputs" or value)}
    pairs = {name: readable(value) for name, value in shown.items()}
    if isinstance(artefact, Loadable):
        pairs |= {"needs": needs_text(artefact), "public": "; ".join(figures["public"])}
    print_pairs(*((name.replace("_", " "), value) for name, value in pairs.items()))
    if table and figures[table]:
        print()
        columns = [name for name in figures[table][0] if name != "again" or any(row[name] for row in figures[table])]
        head = [name.replace("_", " ") for name in columns]
        print_table(Table(head, [[readable(row[name]) for name in columns] for row in figures[table]]))
    write_json(args.json, figures)
