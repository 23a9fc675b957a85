"""The licence: a model key wrapped for one device, and its terms (docs/licensing.md).

It enters the accelerator in front of the loadable, in the same packet: nonce | terms | tag | model key | tag. The file is a
safetensors file with one uint8 tensor, `stream`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import safetensors
from safetensors.numpy import save

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.files import replace_file
from deeplock.pymodel.lock.ciphers.sizes import KEY_BYTES
from deeplock.pymodel.lock.sealing import SealedSuite
from deeplock.pymodel.lock.suite import Locked
from deeplock.pymodel.lock.suites import names, suite, suite_of_id
from deeplock.pymodel.spec.header import Header
from deeplock.pymodel.spec.layout import Field
from deeplock.pymodel.spec.record import WORDS, Record
from deeplock.pymodel.spec.registers import Error

__all__ = ["ALL_CLASSES", "CLASSES", "Licence", "Terms", "allowed", "licence_bytes", "read_licence", "write_licence"]

FORMAT = "deeplock licence 1"
MAGIC = 0x4C4C_4E4E  # "NNLL"
VERSION = 1

CLASSES = 64
"""Outputs that a licence tells apart. All from the last one on share its bit."""
ALL_CLASSES = (1 << CLASSES) - 1
_WORD = 0xFFFF_FFFF
_TERMS_BYTES = 4 * WORDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms(Record):
    """What a licence allows. In clear, and authentic."""

    magic: Annotated[int, Field(0, 31, 0, '"NNLL"')] = MAGIC

    version: Annotated[int, Field(1, 7, 0)] = VERSION
    bytes_per_beat: Annotated[int, Field(1, 23, 16)]
    suite: Annotated[int, Field(1, 31, 24, "number of the lock suite")]

    device_low: Annotated[int, Field(2, 31, 0, "number of the device, low half")]
    device_high: Annotated[int, Field(3, 31, 0, "high half")]
    model_low: Annotated[int, Field(4, 31, 0, "number of the model, low half")]
    model_high: Annotated[int, Field(5, 31, 0, "high half")]
    least_version: Annotated[int, Field(6, 31, 0, "of the model")]
    most_version: Annotated[int, Field(7, 31, 0)] = _WORD
    inferences: Annotated[int, Field(8, 31, 0, "that the device runs from power-up on; 0 for any number")] = 0
    classes_low: Annotated[int, Field(9, 31, 0, "outputs that show, a bit each; others read -128")] = _WORD
    classes_high: Annotated[int, Field(10, 31, 0, "outputs 32 to 62, and all from 63 on")] = _WORD

    @property
    def device(self) -> int:
        """Number of the device."""
        return self.device_high << 32 | self.device_low

    @property
    def model(self) -> int:
        """Number of the model."""
        return self.model_high << 32 | self.model_low

    @property
    def classes(self) -> int:
        """Mask of the outputs that show."""
        return self.classes_high << 32 | self.classes_low

    @property
    def restricts(self) -> bool:
        """Whether it asks for more than the right key, so that only a device with permissions may take it."""
        return bool(self.least_version or self.most_version != _WORD or self.inferences or self.classes != ALL_CLASSES)

    def refusal(self, header: Header) -> Error:
        """Why a device does not load this header under the licence; Error.NONE if it does."""
        if (self.model_low, self.model_high) != (header.model_low, header.model_high):
            return Error.OTHER_MODEL
        if not self.least_version <= header.model_version <= self.most_version:
            return Error.OTHER_VERSION
        return Error.NONE

    def shown(self, values: np.ndarray, places: np.ndarray) -> np.ndarray:
        """int8 values at these places of an ofmap as they leave the device: -128 for outputs that the licence does not show."""
        mask = np.array([self.classes >> bit & 1 for bit in range(CLASSES)], bool)
        return np.where(mask[np.minimum(places, CLASSES - 1)], values, np.int8(-128))


@dataclass(frozen=True, eq=False)
class Licence:
    """A licence for one device.

    record   its terms, as they are authentic: also bits that no term has
    wrapped  nonce, tags and the model key, made with the device's key
    """

    record: bytes
    wrapped: Locked

    @property
    def terms(self) -> Terms:
        return Terms.unpack(self.record)

    @property
    def suite(self) -> str:
        """Name of the suite."""
        return suite_of_id(self.terms.suite).name

    @property
    def stream(self) -> bytes:
        """All bytes in the order in which they enter the accelerator, in front of the loadable."""
        return self.wrapped.nonce + self.record + self.wrapped.head_tag + self.wrapped.parameters

    @classmethod
    def issued(cls, terms: Terms, model_key: bytes, device_key: bytes) -> "Licence":
        """A new licence. Both keys are the suite's (lock.keys.suite_key)."""
        record = terms.pack()
        return cls(record, _sealed_suite(terms.suite).wrap(record, model_key, device_key, terms.bytes_per_beat))

    @classmethod
    def parse(cls, stream: bytes, name: str, bytes_per_beat: int) -> "Licence":
        """The licence of that suite that a stream begins with, whole or not."""
        nonce = suite(name).nonce_bytes(bytes_per_beat)
        end, tag = nonce + _TERMS_BYTES, suite(name).tag_bytes(bytes_per_beat)
        record = stream[nonce:end].ljust(_TERMS_BYTES, b"\0")
        last = licence_bytes(name, bytes_per_beat)
        return cls(record, Locked(stream[end + tag : last], stream[:nonce], stream[end : end + tag]))

    def model_key(self, device_key: bytes) -> bytes | None:
        """The model key; None if the licence is not for the holder of this device key, or was changed."""
        chosen = _sealed_suite(self.terms.suite)
        return chosen.unwrap(self.wrapped, self.record, device_key, self.terms.bytes_per_beat)


def _sealed_suite(number: int) -> SealedSuite:
    chosen = suite_of_id(number)
    if not isinstance(chosen, SealedSuite):
        raise DeeplockError(f"suite {chosen.name} does not seal: only sealed loadables have licences")
    return chosen


def licence_bytes(name: str, bytes_per_beat: int) -> int:
    """Bytes of a licence of that suite: whole beats."""
    chosen = suite(name)
    return chosen.nonce_bytes(bytes_per_beat) + _TERMS_BYTES + 2 * chosen.tag_bytes(bytes_per_beat) + KEY_BYTES


def _range(text: str, end: int) -> tuple[int, int]:
    """The first and the last of a range such as 3, 2-5 or 2-."""
    first, dash, last = text.partition("-")
    low = int(first)
    high = int(last) if last else end if dash else low
    if not 0 <= low <= high <= end:
        raise ValueError
    return low, high


def allowed(texts: Sequence[str], header: Header, device: int) -> Terms:
    """Terms for a device and the model of a header. `texts`: what else, such as versions=2-5, inferences=9, classes=0-3,7.

    Raises:
        DeeplockError: one of them is not to be understood.
    """
    fields = {
        "bytes_per_beat": header.bytes_per_beat,
        "suite": header.suite,
        "device_low": device & _WORD,
        "device_high": device >> 32,
        "model_low": header.model_low,
        "model_high": header.model_high,
        "least_version": 0,
    }
    seen = set()
    for text in texts:
        what, _, value = text.partition("=")
        if what in seen:
            raise DeeplockError(f"a licence allows {what} once only, not {text} as well")
        seen.add(what)
        try:
            if what == "versions":
                fields["least_version"], fields["most_version"] = _range(value, _WORD)
            elif what == "inferences":
                fields["inferences"], _ = _range(value, _WORD)
                if not fields["inferences"]:
                    raise ValueError
            elif what == "classes":
                mask = 0
                for part in value.split(","):
                    low, high = _range(part, CLASSES - 1)
                    mask |= (2 << high) - (1 << low)
                fields["classes_low"], fields["classes_high"] = mask & _WORD, mask >> 32
            else:
                raise ValueError
        except ValueError:
            raise DeeplockError(f"a licence allows versions=2-5, inferences=9 or classes=0-3,7, not {text}") from None
    return Terms(**fields)


def write_licence(path: Path | str, licence: Licence) -> None:
    """Write the licence file atomically."""
    stream = np.frombuffer(licence.stream, np.uint8)
    replace_file(path, save({"stream": stream}, {FORMAT: f"{licence.suite} {licence.terms.bytes_per_beat}"}))


def read_licence(path: Path | str) -> Licence:
    """Read a licence file.

    Raises:
        DeeplockError: the file is missing, truncated, or not a licence.
    """
    if not Path(path).is_file():
        raise DeeplockError(f"{path}: no such file")
    try:
        with safetensors.safe_open(path, "np") as file:
            metadata = file.metadata() or {}
            if FORMAT not in metadata:
                raise DeeplockError(f"{path}: not a licence (issue one with `deeplock licence`)")
            stream = file.get_tensor("stream").tobytes()
    except safetensors.SafetensorError as error:
        raise DeeplockError(f"{path}: truncated or not a licence ({error})") from None
    name, _, beat = metadata[FORMAT].partition(" ")
    if name not in names() or beat not in ("4", "8", "16") or len(stream) != licence_bytes(name, int(beat)):
        raise DeeplockError(f"{path}: not a licence of a suite that this version knows")
    licence = Licence.parse(stream, name, int(beat))
    expected = (MAGIC, VERSION, suite(name).id, int(beat))
    if (licence.terms.magic, licence.terms.version, licence.terms.suite, licence.terms.bytes_per_beat) != expected:
        raise DeeplockError(f"{path}: the licence's terms were changed, or are of another version than {VERSION}")
    return licence
