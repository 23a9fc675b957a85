"""The measurements of `deeplock bench board`."""

from typing import Any

import numpy as np

from deeplock.bench.board_sim import BoardRun, simulate_board
from deeplock.bench.workload import Workload
from deeplock.fpga.boards.board import Board
from deeplock.pymodel.compiler.compiler import compile_network
from deeplock.pymodel.compiler.licensed import expected_ofmaps
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.lock.keyfile import generate_key
from deeplock.pymodel.progress import Progress, within
from deeplock.pymodel.spec.licence import Licence, allowed
from deeplock.pymodel.spec.loadable import Loadable
from deeplock.pymodel.spec.registers import Error, counters_of

__all__ = ["measure"]


def measure(board: Board, workload: Workload, seed: int, progress: Progress) -> list[dict[str, Any]]:
    """Run a network on a simulated board with the right key and with a wrong one: a row for each. If its suite seals, these are
    device keys, and there is a row for the right one only.

    Raises:
        DeeplockError: a licence for another device is not refused.
    """
    config, name = board.config, board.config.suite
    right, wrong, model = (generate_key(config.key_sizes[0]) for _ in range(3))
    loadable = compile_network(workload.network, config, np.random.default_rng(seed))
    if config.licences:
        loadable = loadable.locked(name, model)
        loadable = loadable.under(Licence.issued(allowed((), loadable.header, 1), model, right))
    else:
        loadable = loadable.locked(name, right)
    ifmaps, rows = list(workload.ifmaps), []
    for shown, key in (("right", right), ("wrong", wrong)):
        said = within(progress, f"{board.name} {name}, {shown} key")
        if config.licences and key == wrong:
            _check_refusal(board, loadable, key, ifmaps, said)
            continue
        run = simulate_board(board, loadable, key, ifmaps, progress=said)
        expected = expected_ofmaps(loadable, config, key, workload.ifmaps)
        rows.append(_row(board, workload, shown, run, int((run.ofmaps != expected).sum())))
    return rows


def _check_refusal(board: Board, loadable: Loadable, key: bytes, ifmaps: list[np.ndarray], progress: Progress) -> None:
    try:
        simulate_board(board, loadable, key, ifmaps[:1], progress=progress)
    except DeeplockError as error:
        if Error.BAD_LICENCE.name in str(error):
            return
        raise
    raise DeeplockError(f"{board.name} runs under another device's licence")


def _row(board: Board, workload: Workload, key: str, run: BoardRun, mismatches: int) -> dict[str, Any]:
    images = len(workload.ifmaps)
    per_image = {name: round(run.counters[name] / images, 1) for name in counters_of(board.config)}
    return {
        "board": board.name,
        "suite": board.config.suite,
        "network": workload.network.name,
        "key": key,
        "images": images,
        "mismatches": mismatches,
        "clock_hz": board.clock_hz,
        "cycles": per_image["CYCLES"],
        "param_starved_cycles": per_image.get("PARAM_STARVED"),
        "input_starved_cycles": per_image.get("INPUT_STARVED"),
        "key_starved_cycles": per_image.get("KEY_STARVED"),
        "images_per_second": round(board.clock_hz / per_image["CYCLES"], 1),
        "counters": per_image,
        "uart_bytes_per_image": round((run.sent + run.received) / images, 1),
    }
