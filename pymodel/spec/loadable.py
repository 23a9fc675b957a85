"""The loadable: header | program | parameters, sealed or not, and the file that holds it.

The file is a safetensors file with one uint8 tensor, `stream`, the bytes as they enter the accelerator, and metadata that
only the host needs (shapes, quantisation, class names, a key check). The metadata holds no key material.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from math import prod
from pathlib import Path

import numpy as np
import safetensors
from safetensors.numpy import save

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.files import ANYONE, replace_file
from deeplock.pymodel.lock.key_check import passes
from deeplock.pymodel.lock.suite import Locked
from deeplock.pymodel.lock.suites import suite, suite_of_id
from deeplock.pymodel.spec.config import FEATURES, Config
from deeplock.pymodel.spec.descriptor import Descriptor
from deeplock.pymodel.spec.header import MAGIC, VERSION, Header
from deeplock.pymodel.spec.layers import LayerFacts
from deeplock.pymodel.spec.licence import Licence
from deeplock.pymodel.spec.record import WORDS
from deeplock.pymodel.spec.registers import Error
from deeplock.pymodel.spec.rules import broken_header, broken_program, ofmap_beats, parameter_bytes
from deeplock.pymodel.spec.tensor import Output, Pixels, Quantisation, Shape

__all__ = ["Loadable", "Interface", "read_loadable", "split_ofmap", "write_loadable"]

FORMAT = "deeplock loadable 1"
_PACKING = "pixels that begin words (dense off)", "dense pixels"
_OLDER = "deeplock image 1"
"""Name of the format during version 0.1's development."""


@dataclass(frozen=True)
class Interface:
    """What a host must know to feed a loadable's network and read its results.

    lower_bound     least cycles for an ifmap, see network.lower_bound
    pixels          how raw pixels map to real numbers, if no data set defines it
    layers          one for each descriptor of the program
    ifmap_padding   pixels (top, left, bottom, right) of `pad_value` that the host adds around an ifmap
    outputs         if there are several: what an ofmap of `output_shape` holds, one after the other (`split_outputs`)
    """

    network: str
    dataset: str
    classes: tuple[str, ...]
    input_shape: Shape
    output_shape: Shape
    input: Quantisation
    output: Quantisation
    ifmap_padding: tuple[int, int, int, int]
    pad_value: int
    lower_bound: int
    layers: tuple[LayerFacts, ...]
    pixels: Pixels | None = None
    outputs: tuple[Output, ...] = ()


@dataclass(frozen=True, eq=False)
class Loadable:
    """A compiled network for one accelerator geometry.

    parameters  what an inference takes: locked if the header's suite locks; if it seals, their tag follows
    nonce       b"" if the header's suite does not seal
    head_tag    b"" if the header's suite does not seal
    licence     stream of the licence that it runs under, b"" for none; no part of the file
    key_check   what tells a wrong key to host tools (lock/key_check.py), b"" for none; no part of the stream
    """

    header: Header
    program: tuple[Descriptor, ...]
    parameters: bytes
    interface: Interface
    nonce: bytes = b""
    head_tag: bytes = b""
    licence: bytes = b""
    key_check: bytes = b""

    @property
    def records(self) -> bytes:
        """Header and program."""
        return self.header.pack() + b"".join(layer.pack() for layer in self.program)

    @property
    def head(self) -> bytes:
        """All that comes before the parameters: header and program; if it is sealed, with nonce and tag, and the licence."""
        return self.licence + self.nonce + self.records + self.head_tag

    @property
    def stream(self) -> bytes:
        """All bytes in the order in which they enter the accelerator."""
        return self.head + self.parameters

    @property
    def suite(self) -> str:
        """Name of the suite that it is locked with."""
        return suite_of_id(self.header.suite).name

    @property
    def batch(self) -> int:
        """Ifmaps that an inference takes."""
        return self.header.batch

    @property
    def memory_needs(self) -> dict[str, int]:
        """The least memories and `sum_bits` that an accelerator must have for this loadable, by the names in Config."""
        return {
            "activation_words": self.header.activation_words,
            "accumulators": self.header.accumulators,
            "sum_bits": 24 if all(layer.narrow for layer in self.program) else 32,
            "program_words": WORDS * len(self.program),
            "ifmap_bytes": self.header.ifmap_beats * self.header.rows,
            # half of the buffer, so that the other half takes what is computed meanwhile
            "ofmap_bytes": 2 * self.header.ofmap_beats * self.header.cols if suite(self.suite).seals else 0,
        }

    @property
    def features(self) -> tuple[str, ...]:
        """The FEATURES that an accelerator must have for it."""
        needs = set().union(*(layer.features(self.header.rows) for layer in self.program))
        return tuple(name for name in FEATURES if name in needs)

    def locked(self, name: str, key: bytes) -> "Loadable":
        """This plain loadable locked with the suite of that name."""
        header = replace(self.header, suite=suite(name).id)
        plain = replace(self, header=header)
        locked = suite(name).lock_loadable(plain.records, self.parameters, key, header.bytes_per_beat)
        return replace(plain, **vars(locked))

    def unlocked(self, key: bytes) -> "Loadable":
        """This loadable unlocked with `key`. A wrong key gives garbage; if the suite seals, it raises DeeplockError."""
        chosen, beat = suite(self.suite), self.header.bytes_per_beat
        plain = chosen.open_parameters(self.nonce, self.parameters, key, beat)
        if plain is None or not chosen.trusts(self.nonce, self.records, self.head_tag, key, beat):
            raise DeeplockError(f"a tag is wrong: another key sealed it, or the {self.suite} loadable was changed")
        header = replace(self.header, suite=suite("plain").id)
        return replace(self, header=header, key_check=b"", **vars(Locked(plain)))

    def check_key(self, key: bytes) -> None:
        """Raise DeeplockError if the loadable has a key check, and it is of another key."""
        if self.key_check and not passes(self.key_check, key):
            raise DeeplockError("wrong key: by its key check, the loadable was locked with another one")

    def under(self, licence: Licence, permissions: bool = True) -> "Loadable":
        """This loadable with a licence in front, for an accelerator with or without permissions.

        Raises DeeplockError, naming the rule, if the licence is not for it.
        """
        header, terms = self.header, licence.terms
        if (licence.suite, terms.bytes_per_beat) != (self.suite, header.bytes_per_beat):
            raise DeeplockError(
                f"licence is for suite {licence.suite} (B = {terms.bytes_per_beat}), the loadable has suite {self.suite} "
                f"(B = {header.bytes_per_beat})"
            )
        error = terms.refusal(header)
        if error == Error.OTHER_MODEL:
            raise DeeplockError(f"licence is for model {terms.model}, the loadable is model {header.model}")
        if error == Error.OTHER_VERSION:
            raise DeeplockError(
                f"licence covers versions {terms.least_version} to {terms.most_version}, "
                f"the loadable has version {header.model_version}"
            )
        if terms.restricts and not permissions:
            raise DeeplockError("licence has terms that this accelerator does not enforce: it has no permissions")
        return replace(self, licence=licence.stream)

    def check_fits(self, config: Config) -> None:
        """Raise DeeplockError, naming the first value that differs or breaks a rule, if the accelerator cannot run this."""
        for name in ("rows", "cols", "bytes_per_beat"):
            if getattr(self.header, name) != getattr(config, name):
                raise DeeplockError(
                    f"loadable is compiled for {self.header.rows}x{self.header.cols} "
                    f"(B = {self.header.bytes_per_beat}), the accelerator is {config.rows}x{config.cols} "
                    f"(B = {config.bytes_per_beat}): compile it for that geometry"
                )
        if self.header.dense != config.dense:
            raise DeeplockError(
                f"loadable is compiled for {_PACKING[self.header.dense]}, the accelerator has {_PACKING[config.dense]}: "
                "compile it for that accelerator"
            )
        if self.suite != config.suite:
            raise DeeplockError(f"loadable is locked with suite {self.suite}, the accelerator has suite {config.suite}")
        for name, need in self.memory_needs.items():
            if need > getattr(config, name):
                raise DeeplockError(f"loadable needs {name} of {need}, the accelerator has {getattr(config, name)}")
        for name in self.features:
            if not getattr(config, name):
                raise DeeplockError(
                    f"loadable needs {name}, which the accelerator leaves out: compile it for that accelerator"
                )
        for _, broken in (broken_header(self.header, config), broken_program(self.header, self.program, config)):
            if broken:
                raise DeeplockError(f"loadable has a program that the accelerator refuses: {broken}")
        taken = parameter_bytes(self.program, config)
        if taken != self.header.parameter_beats * config.bytes_per_beat:
            beats = self.header.parameter_beats
            raise DeeplockError(f"loadable has {beats} beats of parameters, its program takes {taken} bytes")
        if self.header.ofmap_beats != ofmap_beats(self.program):
            beats = self.header.ofmap_beats
            raise DeeplockError(
                f"loadable has an ofmap of {beats} beats, that of its program is {ofmap_beats(self.program)}"
            )

    def pack_ifmap(self, ifmap: np.ndarray) -> bytes:
        """One int8 ifmap [height, width, channels] as the bytes of the ifmap stream: padded, whole beats."""
        if ifmap.shape != self.interface.input_shape or ifmap.dtype != np.int8:
            raise DeeplockError(f"ifmap must be int8 {self.interface.input_shape}, not {ifmap.dtype} {ifmap.shape}")
        top, left, bottom, right = self.interface.ifmap_padding
        padded = np.pad(
            ifmap, ((top, bottom), (left, right), (0, 0)), constant_values=np.int8(self.interface.pad_value)
        )
        return padded.tobytes().ljust(self.header.ifmap_beats * self.header.rows, b"\0")

    def unpack_ofmaps(self, data: bytes) -> np.ndarray:
        """The ofmaps [batch, height, width, channels] from the bytes of one ofmap packet."""
        shape = (self.batch, *self.interface.output_shape)
        if len(data) != prod(shape):
            raise DeeplockError(f"an ofmap packet must be {prod(shape)} bytes, not {len(data)}")
        layers = split_ofmap(data, self.program, self.header.cols)
        return np.concatenate([np.concatenate(groups, axis=1).ravel() for groups in layers]).reshape(shape)


def split_ofmap(data: bytes, program: Sequence[Descriptor], cols: int) -> list[list[np.ndarray]]:
    """What each layer that writes to the ofmap stream, and each of its groups, has in a packet: int8 [pixels, columns]."""
    values, at, found = np.frombuffer(data, np.int8), 0, []
    for layer in program:
        if layer.to_stream:
            pixels, groups = layer.out_w * layer.out_h, []
            for group in range(layer.groups):
                columns = layer.columns(group, cols)
                groups.append(values[at : at + pixels * columns].reshape(pixels, columns))
                at += pixels * columns
            found.append(groups)
    return found


def write_loadable(path: Path | str, loadable: Loadable, at_most: int = ANYONE) -> None:
    """Write the loadable file with `replace_file`."""
    # one metadata key only: safetensors writes several in random order
    loadable = replace(loadable, licence=b"")
    facts = {
        "interface": asdict(loadable.interface),
        "nonce_bytes": len(loadable.nonce),
        "sha256": hashlib.sha256(loadable.stream).hexdigest(),
        **({"key_check": loadable.key_check.hex()} if loadable.key_check else {}),
    }
    metadata = {FORMAT: json.dumps(facts)}
    replace_file(path, save({"stream": np.frombuffer(loadable.stream, np.uint8)}, metadata), at_most)


def _read_interface(fields: dict) -> Interface:
    for name in ("classes", "input_shape", "output_shape", "ifmap_padding"):
        fields[name] = tuple(fields[name])
    fields["input"], fields["output"] = Quantisation(**fields["input"]), Quantisation(**fields["output"])
    fields["pixels"] = Pixels.of(fields.get("pixels"))
    fields["layers"] = tuple(map(LayerFacts.of, fields["layers"]))
    fields["outputs"] = tuple(map(Output.of, fields.get("outputs", ())))
    sizes = sum(prod(output.shape) for output in fields["outputs"])
    if fields["outputs"] and sizes != prod(fields["output_shape"]):
        raise DeeplockError(f"outputs have {sizes} bytes, an ofmap {prod(fields['output_shape'])}")
    return Interface(**fields)


def read_loadable(path: Path | str) -> Loadable:
    """Read a loadable file.

    Raises:
        DeeplockError: the file is missing, truncated, changed, or not a loadable.
    """
    if not Path(path).is_file():
        raise DeeplockError(f"{path}: {'is a folder, no loadable' if Path(path).is_dir() else 'no such file'}")
    try:
        with safetensors.safe_open(path, "np") as file:
            metadata = file.metadata() or {}
            if _OLDER in metadata:
                raise DeeplockError(
                    f"{path}: has the older format {_OLDER!r}, not {FORMAT!r}: compile the network anew"
                )
            if FORMAT not in metadata:
                raise DeeplockError(f"{path}: not a loadable (compile one with `deeplock compile`)")
            stream = file.get_tensor("stream").tobytes()
    except safetensors.SafetensorError as error:
        raise DeeplockError(f"{path}: truncated or not a loadable ({error})") from None
    facts = json.loads(metadata[FORMAT])
    if hashlib.sha256(stream).hexdigest() != facts["sha256"]:
        raise DeeplockError(f"{path}: the stream was changed: its SHA-256 is not the one recorded")
    size = 4 * WORDS
    begin = facts.get("nonce_bytes", 0)
    header = Header.unpack(stream[begin:])
    if (header.magic, header.version) != (MAGIC, VERSION):
        raise DeeplockError(
            f"{path}: loadable format version must be {VERSION}, not {header.version}: compile the network anew"
        )
    end = begin + size * (1 + header.layers)
    program = tuple(Descriptor.unpack(stream[at : at + size]) for at in range(begin + size, end, size))
    tag_end = end + suite_of_id(header.suite).tag_bytes(header.bytes_per_beat)
    interface = _read_interface(facts["interface"])
    key_check = bytes.fromhex(facts.get("key_check", ""))
    nonce, head_tag = stream[:begin], stream[end:tag_end]
    return Loadable(header, program, stream[tag_end:], interface, nonce, head_tag, key_check=key_check)
