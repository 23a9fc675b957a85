"""Simulates a board through its pins: the host speaks over the UART, the loadable comes from a model of the flash."""

import pickle
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from deeplock.fpga.boards.board import Board
from deeplock.fpga.gateware.pins import BoardPins
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.lock.keyfile import write_key
from deeplock.pymodel.progress import Progress, quiet
from deeplock.pymodel.scratch import scratch
from deeplock.pymodel.spec.loadable import Loadable
from deeplock.sim.bench import run_bench
from deeplock.sim.build import build
from deeplock.sim.run import forwarded

__all__ = ["BoardRun", "simulate_board"]


@dataclass(frozen=True, eq=False)
class BoardRun:
    """ofmaps    int8 [n, h, w, c]
    counters  hardware counters, in cycles of the board's clock, all inferences together
    seconds   simulated time, from power-up to the last result
    sent, received   bytes on the UART, as the host saw it
    reads     commands that read the flash
    """

    ofmaps: np.ndarray
    counters: dict[str, int]
    seconds: float
    sent: int
    received: int
    reads: int


def simulate_board(
    board: Board,
    loadable: Loadable,
    key: bytes,
    ifmaps: Sequence[np.ndarray],
    simulator: str = "verilator",
    dead_flash: bool = False,
    damage_sent: Collection[int] = (),
    damage_received: Collection[int] = (),
    progress: Progress = quiet,
) -> BoardRun:
    """Program `loadable` into the flash of a simulated board, load the key and run the ifmaps.

    key              16, 24 or 32 bytes; b"" loads none
    dead_flash       the flash answers nothing
    damage_sent, damage_received   positions, from 0, of bytes on the UART in which one bit is flipped

    Raises DeeplockError with the error that the host saw, SimulationError if the simulation itself fails.
    """
    loadable.check_fits(board.config)
    folder = build(board, simulator, progress=progress, component=BoardPins)
    with scratch() as work:
        job = {
            "board": board.name,
            "loadable": loadable,
            "ifmaps": list(ifmaps),
            "dead_flash": dead_flash,
            "damage_sent": list(damage_sent),
            "damage_received": list(damage_received),
        }
        (work / "job").write_bytes(pickle.dumps(job))
        if key:
            write_key(work / "key", key)
        with forwarded(work / "progress", len(ifmaps), progress):
            run_bench("deeplock.bench.board_testbench", folder, simulator, work, {"DEEPLOCK_JOB": str(work)})
        result: dict[str, Any] = pickle.loads((work / "result").read_bytes())
    if "error" in result:
        raise DeeplockError(result["error"])
    return BoardRun(
        np.stack(result["ofmaps"]),
        result["counters"],
        result["seconds"],
        result["sent"],
        result["received"],
        result["reads"],
    )
