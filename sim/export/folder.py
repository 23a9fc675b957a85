"""The files of the folder that `deeplock verilog` writes."""

from pathlib import Path

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.files import make_folder_of, replace_file
from deeplock.pymodel.progress import Progress, quiet
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.format_header import format_header
from deeplock.pymodel.spec.memory import MemoryOptions
from deeplock.pymodel.spec.register_files import c_header, memory_c_header, system_rdl
from deeplock.sim.export.core import core_verilog
from deeplock.sim.export.fusesoc import fusesoc_core
from deeplock.sim.export.testbench import files_of_testbench, testbench, throw_away_case

__all__ = ["check_empty", "files_of", "write_folder"]

_MADE = ("deeplock.v", "deeplock.core", "deeplock_regs.h", "deeplock.rdl", "deeplock_format.h")
_COPIED = ("deeplock.vlt", "deeplock.h", "deeplock.c")
_OF_MEMORY = ("deeplock_memory_regs.h", "deeplock_memory.h", "deeplock_memory.c")


def files_of(folder: Path, with_testbench: bool, with_memory: bool = False) -> list[Path]:
    """The files that are written into a folder."""
    bench = [folder / "tb" / name for name in files_of_testbench(with_memory)] if with_testbench else []
    return [*(folder / name for name in (*_MADE, *_COPIED, *_OF_MEMORY * with_memory)), *bench]


def check_empty(folder: Path) -> None:
    """Raise DeeplockError if anything is in the folder."""
    if folder.exists() and any(folder.iterdir()):
        raise DeeplockError(f"{folder}: is not empty, and is kept as it is: give a new folder")


def write_folder(
    folder: Path,
    config: Config,
    module: str,
    command: str,
    with_testbench: bool = True,
    progress: Progress = quiet,
    options: MemoryOptions | None = None,
) -> None:
    """Write the accelerator of `config` as module `module`, made by `command`, and what goes with it; behind a memory master
    if there are options.

    Raises DeeplockError if the folder is not empty, or the accelerator cannot run the testbench's network.
    """
    check_empty(folder)
    bench = {}
    if with_testbench:
        try:
            bench = testbench(throw_away_case(config), config, module, options is not None)
        except DeeplockError as error:
            raise DeeplockError(f"the testbench's network does not fit: {error}; or give --no-testbench") from None
    progress("making the Verilog")
    texts = (
        core_verilog(config, module, command, options),
        fusesoc_core(module, [name for name in bench if name.endswith(".hex")]),
        c_header(),
        system_rdl(),
        format_header(),
        *(Path(__file__).with_name(name).read_text() for name in _COPIED),
        *(
            [memory_c_header(), *(Path(__file__).with_name(name).read_text() for name in _OF_MEMORY[1:])]
            if options
            else []
        ),
        *bench.values(),
    )
    for path, text in zip(files_of(folder, with_testbench, options is not None), texts, strict=True):
        replace_file(make_folder_of(path), text.encode())
