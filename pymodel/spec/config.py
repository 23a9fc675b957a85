"""The accelerator's parameters, shared by compiler, RTL, simulation and synthesis."""

from dataclasses import asdict, dataclass, replace

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.lock.suites import names, suite

__all__ = ["Config", "EXTRAS", "FEATURES", "FEATURE_BITS", "MOST", "ON_DEMAND", "SBOX_STYLES"]

FEATURES = {
    "padding": "windows may reach beyond a layer's input; without it, the host pads, and only an ifmap that the core unfolds",
    "folding": "several k-blocks share a weight tile of a layer's last column group, if that group is narrow",
    "diagonal": "layers with diagonal weights: average pooling, addition, and max pooling that is not fused into a convolution",
    "dense": "pixels lie without gaps and are read from any byte; without it, each begins a word, so that most channel counts "
    "waste rows of the array, and the ifmap is unfolded by one byte in two cycles",
    "pipeline_registers": "registers on long paths, for the clock of large arrays; without them, some steps take a cycle less",
    "tables": "layers whose results are looked up in a table of 256 bytes: sigmoid, tanh, SiLU and other functions of a number",
    "products": "layers that multiply two tensors, value by value: squeeze-and-excitation; they need `diagonal`",
}
"""The parts that an accelerator may leave out, independently of each other.

Requires: `dense`, memory with two ports; without `dense`, one lane.
"""
ON_DEMAND = ("tables", "products")
"""The FEATURES that are there only if asked for."""
EXTRAS = ("licences", "permissions", "counters")
"""Parts that no program needs."""
FEATURE_BITS = (*(name for name in FEATURES if name not in ON_DEMAND), *EXTRAS, *ON_DEMAND)
"""FEATURES and EXTRAS in the bit order of register FEATURES: what was added later has a higher bit."""
SBOX_STYLES = ("rom", "lut", "composite")

MOST = {
    "activation_words": 1 << 16,
    "accumulators": 1 << 12,
    "program_words": 1 << 12,
    "ifmap_bytes": 1 << 15,
    "ofmap_bytes": 1 << 14,
}
"""The largest memories."""


def _check(rule: bool, text: str) -> None:
    if not rule:
        raise DeeplockError(text)


def _is_power_of_two(value: int) -> bool:
    return value > 0 and value & (value - 1) == 0


@dataclass(frozen=True)
class Config:
    """One accelerator: array geometry, memory depths, lock.

    rows, cols         size of the systolic array; powers of two, rows 4..16, cols a multiple of rows up to 32
    bytes_per_beat     bytes per beat of the loadable stream, and lanes of the unlock unit: 4, 8 or 16, at most cols
    lanes              requantise lanes and bytes per ofmap beat; 0 stands for rows, or for 1 without dense
    multiplier_cycles  cycles that a lane takes for a value: 1 if it has a multiplier; 2, 4, 8 or 16 if it has
                       16 / multiplier_cycles adders instead
    activation_words   depth of the activation memory, in words of `rows` bytes; the lower half is one bank, the upper the other
    single_port        each bank of the activation memory has one port for reads and writes, as iCE40's SPRAM; else the
                       memory has a read port and a write port
    accumulators       depth of the accumulator memory, in output pixels of `cols` channels
    sum_bits           bits of accumulators and biases: 32, or 24 if all of a program's layers are narrow (docs/architecture.md)
    padding, folding, diagonal, dense, pipeline_registers   see FEATURES; small FPGAs leave them out
    tables, products   see FEATURES
    program_words      depth of the program memory, in 32-bit words (16 per layer)
    ifmap_bytes        size of the ifmap buffer
    ofmap_bytes        size of the ofmap buffer; half of it holds a sealed loadable's ofmap until the tag has been checked.
                       0 stands for 256 beats with a suite that seals, else for 32
    suite              name of the lock suite: pymodel/lock/suites/
    key_sizes          sizes of its master keys in bytes, some of the suite's, ascending; () stands for all of them; always
                       empty if the suite does not lock
    licences           a suite that seals takes its model key from a licence in front of the loadable, and the key register
                       holds the device's key (docs/licensing.md); without it, the key register holds the model key
    permissions        what a licence allows besides is enforced: versions of the model, inferences, outputs
    counters           cycles are counted by cause and by layer; without it, only CYCLES counts, the other counters and PROFILE
                       read 0
    sbox               style of the S-boxes: "rom", "lut" or "composite" (hw/lock/sbox.py, hw/lock/key_schedule.py)
    """

    rows: int = 8
    cols: int = 8
    bytes_per_beat: int = 8
    lanes: int = 0
    multiplier_cycles: int = 1
    activation_words: int = 16384
    single_port: bool = False
    accumulators: int = 1024
    sum_bits: int = 32
    padding: bool = True
    folding: bool = True
    diagonal: bool = True
    dense: bool = True
    pipeline_registers: bool = True
    tables: bool = False
    products: bool = False
    program_words: int = 512
    ifmap_bytes: int = 4096
    ofmap_bytes: int = 0
    suite: str = "deep-lock"
    key_sizes: tuple[int, ...] = ()
    licences: bool = False
    permissions: bool = False
    counters: bool = True
    sbox: str = "lut"

    def __post_init__(self) -> None:
        if self.lanes == 0:
            object.__setattr__(self, "lanes", self.rows if self.dense else 1)
        if self.ofmap_bytes == 0:
            seals = self.suite in names() and suite(self.suite).seals
            object.__setattr__(self, "ofmap_bytes", self.lanes * (256 if seals else 32))
        rows, cols, beat, lanes = self.rows, self.cols, self.bytes_per_beat, self.lanes
        _check(rows in (4, 8, 16), f"rows must be 4, 8 or 16, not {rows}")
        _check(
            _is_power_of_two(cols) and rows <= cols <= 32,
            f"cols must be a power of two from rows ({rows}) to 32, not {cols}",
        )
        _check(
            beat in (4, 8, 16) and beat <= cols,
            f"bytes_per_beat must be 4, 8 or 16 and at most cols ({cols}), not {beat}",
        )
        _check(
            _is_power_of_two(lanes) and lanes <= rows, f"lanes must be a power of two up to rows ({rows}), not {lanes}"
        )
        _check(lanes >= beat // 8, f"lanes must be at least {beat // 8} with bytes_per_beat {beat}, not {lanes}")
        _check(
            self.multiplier_cycles in (1, 2, 4, 8, 16),
            f"multiplier_cycles must be 1, 2, 4, 8 or 16, not {self.multiplier_cycles}",
        )
        for name, least in (
            ("activation_words", 16),
            ("accumulators", 16),
            ("program_words", 32),
            ("ifmap_bytes", 4 * rows),
            ("ofmap_bytes", 32 * lanes),
        ):
            value, most = getattr(self, name), MOST[name]
            _check(_is_power_of_two(value) and least <= value <= most,
                   f"{name} must be a power of two from {least} to {most}, not {value}")  # fmt: skip
        _check(self.sum_bits in (24, 32), f"sum_bits must be 24 or 32, not {self.sum_bits}")
        _check(not (self.dense and self.single_port), "dense must be left out with single_port")
        _check(self.dense or lanes == 1, f"lanes must be 1 without dense, not {lanes}")
        _check(self.suite in names(), f"suite must be one of {', '.join(names())}, not {self.suite}")
        sizes = suite(self.suite).key_sizes
        if not (self.key_sizes and sizes):
            object.__setattr__(self, "key_sizes", sizes)
        _check(
            isinstance(self.key_sizes, tuple) and self.key_sizes == tuple(s for s in sizes if s in self.key_sizes),
            f"key_sizes must be some of {sizes}, ascending, not {self.key_sizes}",
        )
        _check(
            not suite(self.suite).seals or self.sealed_ofmap_beats > 0,
            f"ofmap_bytes must be at least {2 * cols} with a suite that seals, not {self.ofmap_bytes}",
        )
        _check(not self.licences or suite(self.suite).seals, f"licences need a suite that seals, not {self.suite}")
        _check(self.licences or not self.permissions, "permissions need licences")
        _check(self.sbox in SBOX_STYLES, f"sbox must be rom, lut or composite, not {self.sbox}")

    @property
    def layer_bits(self) -> int:
        """Bits that count the layers of a program."""
        return min(8, (self.program_words // 16).bit_length())

    @property
    def sealed_ofmap_beats(self) -> int:
        """Most beats of `cols` bytes that the ofmap of a sealed loadable takes."""
        return self.ofmap_bytes // self.cols // 2

    def with_suite(self, name: str) -> "Config":
        """The same accelerator with another suite; of what depends on the suite, all that the new one allows."""
        if self.suite == name:
            return self
        licences = self.licences and suite(name).seals
        permissions = licences and self.permissions
        return replace(self, suite=name, key_sizes=(), ofmap_bytes=0, licences=licences, permissions=permissions)

    @property
    def name(self) -> str:
        """Short name, different for each configuration, for build folders and reports."""
        texts = (
            "+".join(map(str, value)) if isinstance(value, tuple) else str(value) for value in asdict(self).values()
        )
        return "-".join(texts)
