"""The measurements of `deeplock bench board`."""

from typing import Any

import numpy as np

from deeplock.bench.board_sim import simulate_board
from deeplock.bench.workload import Workload
from deeplock.fpga.boards.board import Board
from deeplock.pymodel.compiler import interpreter
from deeplock.pymodel.compiler.compiler import compile_network
from deeplock.pymodel.lock.keyfile import generate_key
from deeplock.pymodel.progress import Progress, within

__all__ = ["measure"]


def measure(board: Board, workload: Workload, seed: int, progress: Progress) -> list[dict[str, Any]]:
    """Run a network on a simulated board with the right key and with a wrong one: a row for each."""
    key, wrong = generate_key(board.config.key_sizes[0]), generate_key(board.config.key_sizes[0])
    loadable = compile_network(workload.network, board.config, np.random.default_rng(seed)).locked(
        board.config.suite, key
    )
    rows = []
    for name, used in (("right", key), ("wrong", wrong)):
        said = within(progress, f"{board.name}, {name} key")
        run = simulate_board(board, loadable, used, list(workload.ifmaps), progress=said)
        expected = interpreter.run(loadable, used, workload.ifmaps, board.config)
        images = len(workload.ifmaps)
        per_image = {counter: round(cycles / images, 1) for counter, cycles in run.counters.items()}
        rows.append(
            {
                "board": board.name,
                "network": workload.network.name,
                "key": name,
                "images": images,
                "mismatches": int((run.ofmaps != expected).sum()),
                "clock_hz": board.clock_hz,
                "cycles": per_image["CYCLES"],
                "param_starved_cycles": per_image["PARAM_STARVED"],
                "input_starved_cycles": per_image["INPUT_STARVED"],
                "key_starved_cycles": per_image["KEY_STARVED"],
                "images_per_second": round(board.clock_hz / per_image["CYCLES"], 1),
                "counters": per_image,
                "uart_bytes_per_image": round((run.sent + run.received) / images, 1),
            }
        )
    return rows
