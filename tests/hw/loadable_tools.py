"""Headers for tests of the loadable port and of its check."""

from deeplock.pymodel.lock.suites import suite
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.header import Header
from deeplock.pymodel.spec.record import WORDS

__all__ = ["header_of"]


def header_of(config: Config, **fields: int) -> Header:
    """The largest header that the accelerator takes."""
    largest = {
        "rows": config.rows,
        "cols": config.cols,
        "bytes_per_beat": config.bytes_per_beat,
        "suite": suite(config.suite).id,
        "layers": config.program_words // WORDS,
        "batch": 1,
        "parameter_beats": 6,
        "activation_words": config.activation_words,
        "accumulators": config.accumulators,
        "ifmap_beats": config.ifmap_bytes // config.rows,
        "run_bytes": 3,
        "runs": 3,
        "run_pitch": 7,
        "x_pitch": 1,
        "y_pitch": 7,
        "windows_x": 5,
        "windows_y": 5,
        "destination": 9,
        "dense": int(config.dense),
    }
    return Header(**largest | fields)
