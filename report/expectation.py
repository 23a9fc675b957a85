"""What `deeplock compile` says of a loadable that has not run: what it needs, and the cycles to expect (compiler/cycles.py)."""

from math import prod
from typing import Any

from deeplock.pymodel.compiler.cycles import expected_cycles
from deeplock.pymodel.lock.suites import suite
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.loadable import Loadable
from deeplock.report.tables import Table, percent

__all__ = ["expectation", "expectation_table", "expectation_text", "needs_text", "sizes_text"]

_UNITS = {
    "activation_words": "activation words",
    "accumulators": "accumulators",
    "sum_bits": "bits a sum",
    "program_words": "program words",
    "ifmap_bytes": "ifmap bytes",
    "ofmap_bytes": "ofmap bytes",
}


def needs_text(loadable: Loadable) -> str:
    """What a loadable needs of an accelerator: its places in the activation memory are for the depth it was compiled for."""
    header, units = loadable.header, _UNITS | {"activation_words": "activation words (those it was compiled for)"}
    return sizes_text(header.rows, header.cols, header.bytes_per_beat, loadable.memory_needs, units)


def sizes_text(rows: int, cols: int, bytes_per_beat: int, sizes: dict[str, int], units: dict[str, str] = _UNITS) -> str:
    """An array and memories in words. What is 0 is left out."""
    parts = [f"{sizes[name]} {unit}" for name, unit in units.items() if sizes.get(name)]
    return ", ".join([f"{rows}x{cols} array", f"{bytes_per_beat} bytes a beat", *parts])


def expectation(loadable: Loadable, config: Config) -> dict[str, Any]:
    """Cycles and utilisation to expect on an accelerator, per ifmap: of all and, by name, of each of the network's layers.

    utilisation   share (0..1) of processing elements and cycles that multiply a weight; None of a layer without weights
    """
    layers: dict[str, dict[str, Any]] = {}
    macs: dict[str, int] = {}
    cycles = expected_cycles(loadable, config)
    for layer, facts, taken in zip(loadable.program, loadable.interface.layers, cycles, strict=True):
        found = layers.setdefault(facts.name, {"layer": facts.name, "cycles": 0, "lower_bound": 0})
        found["cycles"] += taken / loadable.batch
        found["lower_bound"] += facts.lower_bound / loadable.batch
        products = facts.input[2] * facts.output[2]
        if layer.diagonal:
            products = facts.output[2] if layer.streamed else 0
        pixels = layer.pixels // layer.out_h * (layer.out_h - facts.again)
        work = pixels * prod(facts.kernel) * products
        macs[facts.name] = macs.get(facts.name, 0) + work

    def utilisation(work: int, taken: float) -> float | None:
        return round(work / loadable.batch / (taken * config.rows * config.cols), 4) if work else None

    total = sum(cycles) / loadable.batch
    return {
        "expected_cycles": round(total, 1),
        "utilisation": utilisation(sum(macs.values()), total),
        "expected": [
            {
                "layer": name,
                "cycles": round(found["cycles"], 1),
                "lower_bound": round(found["lower_bound"], 1),
                "utilisation": utilisation(macs[name], found["cycles"]),
            }
            for name, found in layers.items()
        ],
    }


def expectation_text(found: dict[str, Any], loadable: Loadable) -> str:
    """The whole network's figures in a line."""
    cycles, bound = found["expected_cycles"], loadable.interface.lower_bound
    return (
        f"{cycles:,.0f} cycles an image expected, {cycles / bound:.2f} x the lower bound of {bound:,}; "
        f"{percent(found['utilisation'])} of the array in use"
        + f"; suite {loadable.suite} adds cycles of its own" * suite(loadable.suite).seals
        + f"; in batches of {loadable.batch}" * (loadable.batch > 1)
    )


def expectation_table(found: dict[str, Any]) -> Table:
    """A line for each layer."""
    rows = [
        [
            layer["layer"],
            round(layer["cycles"]),
            round(layer["lower_bound"]),
            "-" if layer["utilisation"] is None else percent(layer["utilisation"]),
        ]
        for layer in found["expected"]
    ]
    return Table(["layer", "cycles", "lower bound", "in use"], rows)
