"""The golden device: the accelerator's behaviour from its ports, with memories that live on across runs. No cycles."""

from collections.abc import Sequence

import numpy as np

from deeplock.pymodel.compiler import interpreter
from deeplock.pymodel.lock.sealing import MODEL_KEY, TERMS, SealedSuite
from deeplock.pymodel.lock.suites import suite
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.descriptor import Descriptor
from deeplock.pymodel.spec.device import Device, Outcome
from deeplock.pymodel.spec.header import Header
from deeplock.pymodel.spec.licence import Licence, Terms, licence_bytes
from deeplock.pymodel.spec.record import WORDS
from deeplock.pymodel.spec.registers import REGISTERS, Access, Command, Error, Status
from deeplock.pymodel.spec.rules import broken_header, broken_program, parameter_bytes

__all__ = ["GoldenDevice"]

_RECORD = 4 * WORDS
_HEADER_CHECKED = 4 * (WORDS + 2)
"""Bytes of header and program after which what is wrong with the header is told. A packet whose last beat comes before, or
holds these, is truncated."""
_WRITABLE = {register.name for register in REGISTERS if register.access != Access.READ}


class GoldenDevice(Device):
    """An accelerator in NumPy, exact in every byte for programs that the compiler may make.

    A program that is none, on which weight loader and feeder would disagree or which leaves the memories, ends in
    BAD_DESCRIPTOR before it begins: the RTL may notice later, or not at all.

    memory  int8 [bytes]: the activation memory
    """

    def __init__(self, config: Config) -> None:
        self.config = config
        self.memory = np.zeros(config.activation_words * config.rows, np.int8)
        self._suite = suite(config.suite)
        self._key, self._size = b"", 0  # what is written of a key of `_size` bytes; 0: none has begun
        self._flags, self._error = 0, Error.NONE
        self._zeroise_at_end = False
        self._used = 0  # inferences since power-up

    def write(self, name: str, value: int) -> bool:
        if name == "KEY_SIZE":
            return self._take_size(value)
        if name.startswith("KEY"):
            return self._take_word(int(name.removeprefix("KEY")), value)
        if name == "CONFIG":
            self._zeroise_at_end = bool(value & 1)
        if name == "CONTROL" and value & Command.ZEROISE:
            self._forget_key()
        if name == "CONTROL" and value & Command.ABORT:
            self._erase()
        return name in _WRITABLE

    def _take_size(self, size: int) -> bool:
        if not self._suite.locks:
            return False
        self._forget_key()
        if size in self.config.key_sizes:
            self._size = size
        else:
            self.stop(Error.BAD_KEY_SIZE)
        return True

    def _take_word(self, index: int, value: int) -> bool:
        if 4 * index >= max(self.config.key_sizes, default=0):
            return False
        if len(self._key) == self._size or 4 * index != len(self._key):
            self._forget_key()
            return False
        self._key += value.to_bytes(4, "little")
        return True

    def _forget_key(self) -> None:
        if self.keyed:
            self._flags &= ~Status.LOADED
        self._key, self._size = b"", 0
        self._erase()

    def _erase(self) -> None:
        self.memory[:] = 0

    @property
    def key(self) -> bytes:
        """What is in the key register, for tests and laboratories only."""
        return self._key

    @property
    def keyed(self) -> bool:
        return 0 < self._size == len(self._key)

    def status(self) -> int:
        return self._flags | (Status.KEYED if self.keyed else 0) | self._error << 8

    def stop(self, error: Error) -> Outcome:
        """An error stops the core and zeroises the key; the program goes with it. A device's own key stays."""
        if self.config.licences:
            self._erase()
            self._flags &= ~Status.LOADED
        else:
            self._forget_key()
        self._error = error
        self._flags &= ~Status.DONE
        return Outcome(error)

    def run(self, head: bytes, sections: Sequence[bytes], ifmaps: Sequence[bytes]) -> Outcome:
        self._flags, self._error = 0, Error.NONE
        beat = self.config.bytes_per_beat
        if self._suite.seals and not self.keyed:
            return self.stop(Error.NO_KEY)
        packet = head + sections[0]
        key, licence = self._key, None
        if self.config.licences:
            size = licence_bytes(self.config.suite, beat)
            licence, packet = Licence.parse(packet[:size], self.config.suite, beat), packet[size:]
            found = self._model_key(licence, len(packet) > 0)
            if isinstance(found, Error):
                return self.stop(found)
            key = found
        begin = self._suite.nonce_bytes(beat)
        nonce, packet = packet[:begin], packet[begin:]
        if len(packet) <= -(-_HEADER_CHECKED // beat) * beat:
            return self.stop(Error.LOADABLE_TRUNCATED)
        header = Header.unpack(packet)
        error, _ = broken_header(header, self.config)
        if error:
            return self.stop(error)
        end = _RECORD * (1 + header.layers)
        if len(packet) <= end:
            return self.stop(Error.LOADABLE_TRUNCATED)
        program = [Descriptor.unpack(packet[at : at + _RECORD]) for at in range(_RECORD, end, _RECORD)]
        error, _ = broken_program(header, program, self.config)
        if error:
            return self.stop(error)
        tag_end = end + self._suite.tag_bytes(beat)
        if len(packet) <= tag_end:
            return self.stop(Error.LOADABLE_TRUNCATED)
        if not self._suite.trusts(nonce, packet[:end], packet[end:tag_end], key, beat):
            return self.stop(Error.BAD_TAG)
        terms = licence.terms if licence and self.config.permissions else None
        if terms and (refused := terms.refusal(header)):
            return self.stop(refused)
        self._flags |= Status.LOADED
        if self._suite.locks and not self.keyed:
            return self.stop(Error.NO_KEY)
        if terms:
            if terms.inferences and self._used + len(sections) > terms.inferences:
                return self.stop(Error.NONE_LEFT)
            self._used += len(sections)
        arriving, ofmaps = iter(ifmaps), []
        for section in (packet[tag_end:], *sections[1:]):
            results, error = self._infer(header, program, nonce, section, arriving, key, terms)
            if error:
                self.stop(error)
                return Outcome(error, ofmaps=tuple(ofmaps), rest=results)
            ofmaps.append(results)
        self._flags |= Status.DONE
        if self._zeroise_at_end:
            self._forget_key()
        return Outcome(Error.NONE, ofmaps=tuple(ofmaps))

    def _model_key(self, licence: Licence, goes_on: bool) -> bytes | Error:
        """The model key of a licence, or why there is none. `goes_on`: something comes behind it."""
        chosen, beat, wrapped = suite(self.config.suite), self.config.bytes_per_beat, licence.wrapped
        assert isinstance(chosen, SealedSuite)
        if len(wrapped.head_tag) < chosen.tag_bytes(beat) or not wrapped.parameters:
            return Error.LOADABLE_TRUNCATED
        if not chosen.trusts(wrapped.nonce, licence.record, wrapped.head_tag, self._key, beat, TERMS):
            return Error.BAD_LICENCE
        if not goes_on:
            return Error.LOADABLE_TRUNCATED
        key = chosen.open_parameters(wrapped.nonce, wrapped.parameters, self._key, beat, MODEL_KEY)
        return Error.BAD_LICENCE if key is None else key

    def _infer(
        self,
        header: Header,
        program: Sequence[Descriptor],
        nonce: bytes,
        section: bytes,
        arriving,
        key: bytes,
        terms: Terms | None,
    ) -> tuple[bytes, Error]:
        """An inference's ofmap, as far as it gets, and the error that ends it. Of a sealed loadable, none leaves then."""
        config, suite, beat = self.config, self._suite, self.config.bytes_per_beat
        parameters = header.parameter_beats * beat
        whole = parameters + suite.tag_bytes(beat)
        ends = np.sign(len(section) - whole) or np.sign(parameters - parameter_bytes(program, config))
        error = {-1: Error.LOADABLE_TRUNCATED, 0: Error.NONE, 1: Error.LOADABLE_TOO_LONG}[int(ends)]
        plain = None
        if len(section) == whole or not suite.seals:
            plain = suite.open_parameters(nonce, section, key, beat)
            error = error or (Error.BAD_TAG if plain is None else Error.NONE)
        stream = np.frombuffer(plain or b"", np.uint8)
        memory, number = self.memory[None], 0
        results = b""
        for layer in program:
            if layer.wait_input:
                packet = next(arriving, b"")
                if len(packet) != header.ifmap_beats * config.rows:
                    return results, Error.IFMAP_LENGTH
                buffer = np.frombuffer(packet.ljust(config.ifmap_bytes, b"\0"), np.int8)
                values = interpreter.unfold(header, buffer[None])
                at = header.first_word(number) * config.rows + np.arange(values.shape[1])
                memory[:, at % memory.shape[1]] = values
                number += 1
            if len(stream) < layer.layer_bytes(config.rows, config.cols):
                return results if plain else b"", error
            result, taken = interpreter.run_layer(memory, layer, stream, config)
            stream = stream[taken:]
            if layer.to_stream:
                if terms:
                    first = layer.destination + np.arange(result.shape[1])[:, None] * layer.pixel_bytes
                    places = (first + np.arange(result.shape[2])) % self.memory.size
                    result = terms.shown(result, places)
                results += b"".join(
                    np.ascontiguousarray(result[0, :, first : first + config.cols]).tobytes()
                    for first in range(0, result.shape[2], config.cols)
                )
        return results, error
