"""The header that a loadable begins with."""

from collections.abc import Callable
from dataclasses import dataclass
from operator import eq, gt, ne
from typing import Annotated, Any

from deeplock.pymodel.lock.suites import suite
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.layout import Field
from deeplock.pymodel.spec.record import WORDS, Record
from deeplock.pymodel.spec.registers import Error

__all__ = ["MAGIC", "VERSION", "Header", "header_rules"]

MAGIC = 0x4B4C_4E4E  # "NNLK"
VERSION = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Header(Record):
    """What an accelerator checks before it runs a program, and how the ifmap becomes activation words."""

    magic: Annotated[int, Field(0, 31, 0, '"NNLK"')] = MAGIC

    rows: Annotated[int, Field(1, 7, 0)]
    cols: Annotated[int, Field(1, 15, 8)]
    bytes_per_beat: Annotated[int, Field(1, 23, 16)]
    suite: Annotated[int, Field(1, 31, 24, "number of the lock suite; 0 is plain")]

    version: Annotated[int, Field(2, 7, 0)] = VERSION
    layers: Annotated[int, Field(2, 15, 8, "descriptors that follow")]
    batch: Annotated[int, Field(2, 23, 16, "ifmaps that an inference takes")]

    parameter_beats: Annotated[int, Field(3, 23, 0, "beats of the parameter section")]
    activation_words: Annotated[int, Field(4, 16, 0, "depth that the program needs")]
    accumulators: Annotated[int, Field(5, 15, 0, "depth that the program needs")]

    # unfolding of the ifmap
    ifmap_beats: Annotated[int, Field(5, 31, 16)]
    run_bytes: Annotated[int, Field(6, 15, 0, "bytes that lie side by side in the ifmap and in the unfolded window")]
    runs: Annotated[int, Field(6, 20, 16)]
    run_pitch: Annotated[int, Field(7, 15, 0, "ifmap bytes from one run of a window to the next")]
    x_pitch: Annotated[int, Field(7, 31, 16)]
    y_pitch: Annotated[int, Field(8, 15, 0, "ifmap bytes from one row of windows to the next")]
    windows_x: Annotated[int, Field(9, 15, 0)]
    windows_y: Annotated[int, Field(9, 31, 16)]
    destination: Annotated[int, Field(10, 15, 0, "first activation word of the unfolded ifmap")]
    dense: Annotated[
        int, Field(10, 16, 16, "pixels lie without gaps; else each, and each unfolded window, begins a word")
    ]
    alternate: Annotated[
        int, Field(10, 17, 17, "every second ifmap begins in the word behind the one before; needs `dense`")
    ] = 0

    def first_word(self, ifmap: int) -> int:
        """The first activation word of the batch's ifmap of that number, from 0."""
        words = -(-self.run_bytes * self.runs * self.windows_x * self.windows_y // self.rows)
        return self.destination + (words if self.dense and self.alternate and ifmap % 2 else 0)


def header_rules(config: Config) -> list[tuple[str, Error, Callable[[Any], Any]]]:
    """What an accelerator checks, the first rule that is broken first: a field, its Error, and whether a value of the field, a
    number or a signal, breaks the rule."""
    right = {
        "version": VERSION,
        "rows": config.rows,
        "cols": config.cols,
        "bytes_per_beat": config.bytes_per_beat,
        "suite": suite(config.suite).id,
        "dense": int(config.dense),
    }
    most = {
        "layers": config.program_words // WORDS,
        "activation_words": config.activation_words,
        "accumulators": config.accumulators,
        "ifmap_beats": config.ifmap_bytes // config.rows,
    }
    nonzero = "layers", "batch", "parameter_beats", "ifmap_beats", "run_bytes", "runs", "windows_x", "windows_y"

    def breaks(test: Callable[[Any, Any], Any], value: int) -> Callable[[Any], Any]:
        return lambda field: test(field, value)

    return [
        ("magic", Error.BAD_MAGIC, breaks(ne, MAGIC)),
        *((name, Error.BAD_GEOMETRY, breaks(ne, value)) for name, value in right.items()),
        *((name, Error.TOO_LARGE, breaks(gt, value)) for name, value in most.items()),
        *((name, Error.BAD_DESCRIPTOR, breaks(eq, 0)) for name in nonzero),
    ]
