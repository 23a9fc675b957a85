"""Records of named bit fields in 32-bit words: the one place where each format is written.

A layout packs and unpacks records in Python and NumPy, and generates C functions and documentation tables. From it,
hw/basics/layouts.py makes the hardware's structures.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from deeplock.pymodel.errors import DeeplockError

__all__ = ["Field", "Layout"]


@dataclass(frozen=True)
class Field:
    """Bits high..low of a word; two's complement if signed."""

    word: int
    high: int
    low: int
    meaning: str = ""
    signed: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.high < 32:
            raise ValueError(f"bits of a field must be in 31..0 of a word, not {self.high}..{self.low}")

    @property
    def bits(self) -> int:
        return self.high - self.low + 1

    @property
    def mask(self) -> int:
        """Its bits, within the word."""
        return (1 << self.bits) - 1 << self.low

    @property
    def range(self) -> tuple[int, int]:
        """Least and largest value."""
        least = -(1 << self.bits - 1) if self.signed else 0
        return least, least + (1 << self.bits) - 1


@dataclass(frozen=True)
class Layout:
    """A record of `words` little-endian 32-bit words. Bits that no field covers are zero, or free for another use.

    Raises:
        ValueError: fields overlap or lie beyond the last word.
    """

    name: str
    words: int
    fields: Mapping[str, Field]

    def __post_init__(self) -> None:
        used = [0] * self.words
        for name, field in self.fields.items():
            if not 0 <= field.word < self.words:
                raise ValueError(f"{self.name}: {name} must lie in words 0..{self.words - 1}, not {field.word}")
            if used[field.word] & field.mask:
                raise ValueError(f"{self.name}: {name} overlaps another field of word {field.word}")
            used[field.word] |= field.mask

    @property
    def size(self) -> int:
        """Bytes of a record."""
        return 4 * self.words

    def check(self, values: Mapping[str, ArrayLike]) -> None:
        """Raise DeeplockError, naming field, bits and value, if a number or an array's element does not fit its field."""
        for name, value in values.items():
            field, numbers = self.fields[name], np.asarray(value)
            least, most = field.range
            wrong = numbers[(numbers < least) | (numbers > most)]
            if wrong.size:
                raise DeeplockError(
                    f"{self.name}: {name} must be {least}..{most} ({field.bits} bits), not {wrong.flat[0]}"
                )

    def insert(self, records: np.ndarray, values: Mapping[str, ArrayLike]) -> None:
        """Write some fields into records, uint32 [..., words]; a value is a number or an array [...]. All other bits stay.

        Raises:
            DeeplockError: a value does not fit its field.
        """
        self.check(values)
        for name, value in values.items():
            field = self.fields[name]
            word = records[..., field.word]
            bits = (np.asarray(value, np.int64) << field.low & field.mask).astype(np.uint32)
            records[..., field.word] = word & np.uint32(~field.mask & 0xFFFF_FFFF) | bits

    def extract(self, records: np.ndarray) -> dict[str, np.ndarray]:
        """All fields of records, uint32 [..., words], as int64 [...]."""
        values = {}
        for name, field in self.fields.items():
            value = (records[..., field.word].astype(np.int64) & field.mask) >> field.low
            values[name] = value - (value >> field.bits - 1 << field.bits) if field.signed else value
        return values

    def pack(self, values: Mapping[str, int]) -> bytes:
        """One record. DeeplockError if a value does not fit its field, KeyError if one is missing."""
        records = np.zeros(self.words, "<u4")
        self.insert(records, {name: values[name] for name in self.fields})
        return records.tobytes()

    def unpack(self, data: bytes) -> dict[str, int]:
        """The fields of the record that `data` begins with."""
        return {name: int(value) for name, value in self.extract(np.frombuffer(data, "<u4", self.words)).items()}

    def markdown(self) -> str:
        """A table of the fields, for the documentation."""
        lines = ["| word | bits | field | meaning |", "|---|---|---|---|"]
        for name, field in self.fields.items():
            bits = f"{field.high}..{field.low}" + " signed" * field.signed
            lines.append(f"| {field.word} | {bits} | `{name}` | {field.meaning} |")
        return "\n".join(lines)

    def c_functions(self) -> str:
        """C functions that read a record, one per field: `int32_t record_field(const uint32_t *record)`, or uint32_t."""
        lines = []
        for name, field in self.fields.items():
            word, kind = f"{self.name}[{field.word}]", "int32_t" if field.signed else "uint32_t"
            up, down = 31 - field.high, 32 - field.bits  # the field to the top of the word, and down to bit 0
            value = f"({kind})({word} << {up}) >> {down}" if up or down else f"({kind}){word}"
            head = f"static inline {kind} {self.name}_{name}(const uint32_t *{self.name})"
            lines.append(f"{head} {{ return {value}; }}")
        return "\n".join(lines) + "\n"
