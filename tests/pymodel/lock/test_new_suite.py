"""A suite from outside the tree: it locks, and nothing else need know of it."""

import re

import numpy as np
import pytest

from deeplock.cli.main import main
from deeplock.hw.lock.lock import lock_of
from deeplock.pymodel.compiler import fast_interpreter, interpreter
from deeplock.pymodel.compiler.compiler import compile_network
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.lock import suites
from deeplock.pymodel.lock.keyfile import write_key
from deeplock.pymodel.lock.suite import ByteSuite
from deeplock.pymodel.network import golden
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.loadable import read_loadable, write_loadable
from deeplock.sim.build import build
from tests.sim import tiny

KEY = bytes(range(0x80, 0x90))


class Rotating(ByteSuite):
    """Exclusive or with the key, each of whose bytes is rotated by a bit more every time that it comes again."""

    name = "rotating"
    id = 200
    key_sizes = (16,)

    def _lock(self, data: np.ndarray, key: bytes) -> np.ndarray:
        at = np.arange(data.shape[-1])
        byte, turn = np.frombuffer(key, np.uint8)[at % len(key)].astype(int), at // len(key) % 8
        return data ^ (byte << turn | byte >> 8 - turn).astype(np.uint8)

    _unlock = _lock


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setattr(suites, "_registered", {})
    suites.register(Rotating())


def test_its_loadable_runs_like_the_golden_model_with_the_right_key_only():
    config, network, ifmaps = (
        Config(rows=4, cols=4, bytes_per_beat=4, suite="rotating"),
        tiny.tiny_network(),
        tiny.ifmaps(3),
    )
    assert config.key_sizes == (16,)
    plain = compile_network(network, config)
    loadable = plain.locked(config.suite, KEY)
    loadable.check_fits(config)
    expected = golden.run(network, ifmaps)[network.layers[-1].name]
    assert np.array_equal(interpreter.run(loadable, KEY, ifmaps, config), expected)
    assert not np.array_equal(interpreter.run(loadable, bytes(16), ifmaps, config), expected)
    keys = np.frombuffer(KEY + bytes(16), np.uint8).reshape(2, 16)
    right, wrong = suites.suite("rotating").unlock_many(np.frombuffer(loadable.parameters, np.uint8), keys)
    assert right.tobytes() == plain.parameters != wrong.tobytes()
    assert np.array_equal(fast_interpreter.run(loadable, right, ifmaps, config), expected)
    with pytest.raises(DeeplockError, match="^key must be 16 bytes, not 32$"):
        loadable.unlocked(bytes(32))
    with pytest.raises(
        DeeplockError, match="^loadable is locked with suite rotating, the accelerator has suite deep-lock$"
    ):
        loadable.check_fits(Config(rows=4, cols=4, bytes_per_beat=4))


def test_the_commands_take_it_by_its_name(tmp_path, capsys):
    plain, locked, opened, key = (tmp_path / name for name in ("plain", "locked", "opened", "key"))
    write_loadable(plain, compile_network(tiny.tiny_network(), Config(rows=4, cols=4, bytes_per_beat=4)))
    write_key(key, KEY)
    assert main(["lock", str(plain), "--suite", "rotating", "--key-file", str(key), "-o", str(locked)]) == 0
    assert "locked by suite rotating" in capsys.readouterr().out
    assert main(["info", str(locked)]) == 0
    assert re.search(r"^suite +rotating$", capsys.readouterr().out, re.MULTILINE)
    assert read_loadable(locked).suite == "rotating"
    assert main(["unlock", str(locked), "--key-file", str(key), "-o", str(opened)]) == 0
    assert read_loadable(opened).stream == read_loadable(plain).stream


def test_without_hardware_there_is_no_rtl():
    config = Config(suite="rotating")
    for make in (lock_of, lambda config: build(config, "native")):
        with pytest.raises(DeeplockError, match=r"^suite rotating has no hardware: there is no hw/lock/rotating\.py$"):
            make(config)


@pytest.mark.parametrize(("name", "id"), [("plain", 201), ("other", 1), ("rotating", 202)])
def test_a_name_or_number_that_is_taken_is_refused(name, id):
    twin = Rotating()
    twin.name, twin.id = name, id
    with pytest.raises(ValueError, match=rf"^suite {name}, number {id}: there is"):
        suites.register(twin)
