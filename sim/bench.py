"""Runs cocotb test modules on a build, in the simulator's own process."""

import logging
import sys
from collections.abc import Mapping
from pathlib import Path

from cocotb_tools.check_results import get_results
from cocotb_tools.runner import get_runner

from deeplock.pymodel.files import replace_file
from deeplock.sim.build import TOP
from deeplock.sim.results import SimulationError
from deeplock.sim.sources import ROOT
from deeplock.sim.toolchain import environment

__all__ = ["run_bench"]

_LOG_LINES = 30


def run_bench(
    module: str,
    folder: Path,
    simulator: str,
    work: Path,
    variables: Mapping[str, str] | None = None,
    waves: Path | None = None,
    seed: int = 0,
) -> int:
    """Run the cocotb tests of `module` on the build in `folder` (sim.build.build). Returns the number of tests.

    work        folder for the run's files: `log`, results.xml
    variables   added to the simulator's environment; no secrets, because every process of the user can read them
    waves       file for the signals, in the simulator's format; `folder` must be built with waves

    Raises SimulationError, with the end of the log, if a test fails or the simulator does.
    """
    runner = get_runner(simulator)
    logging.getLogger(type(runner).__qualname__).setLevel(logging.CRITICAL)
    log, results, written = work / "log", work / "results.xml", work / "waves.fst"  # Icarus adds the suffix
    test_args, plusargs = [], []
    if waves is not None and simulator == "verilator":
        test_args = ["--trace-file", str(written)]
    elif waves is not None:
        plusargs = [f"+dumpfile_path={written}"]
    before = sys.path[:]
    sys.path[:] = [str(ROOT), *(path for path in before if path)]  # the runner passes sys.path on
    try:
        with environment():
            runner.test(
                test_module=module,
                hdl_toplevel=TOP,
                hdl_toplevel_lang="verilog",
                build_dir=folder,
                test_dir=work,
                results_xml=str(results),
                seed=seed,
                test_args=test_args,
                plusargs=plusargs,
                extra_env={"COCOTB_ANSI_OUTPUT": "0", "PYTHONWARNINGS": "ignore", **(variables or {})},
                waves=waves is not None,
                log_file=log,
            )
        tests, failed = get_results(results)
    except (SystemExit, RuntimeError):  # the simulator failed or left no results
        tests, failed = 0, 1
    finally:
        sys.path[:] = before
        if waves is not None and written.exists():
            replace_file(waves, written, at_most=0o600)  # the key is among the signals
    if failed or not tests:
        lines = log.read_text(errors="replace").splitlines() if log.exists() else []
        raise SimulationError("\n".join([f"{module} failed with {simulator}:", *lines[-_LOG_LINES:]]))
    return tests
