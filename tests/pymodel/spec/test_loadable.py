"""The loadable file and what the host does with a loadable."""

from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import save_file

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.lock.suites import suite
from deeplock.pymodel.network.artefact import load
from deeplock.pymodel.spec.accelerator import accelerator_for
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.loadable import read_loadable, write_loadable
from tests.features import LEAN
from tests.hw.layer_tools import descriptor
from tests.sim import tiny

CONFIG = tiny.ACCUMULATORS_TOO_FEW
LOADABLE = tiny.tiny_loadable(CONFIG)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "loadable"
    write_loadable(path, LOADABLE)
    return path


def test_a_saved_loadable_loads_again(path):
    loadable = read_loadable(path)
    assert loadable.stream == LOADABLE.stream
    assert loadable.interface == LOADABLE.interface
    assert loadable.program == LOADABLE.program and loadable.header == LOADABLE.header
    first = path.read_bytes()
    write_loadable(path, loadable)
    assert path.read_bytes() == first, "the same loadable gives the same file"


def test_the_file_holds_no_part_of_the_key(path):
    content = path.read_bytes()
    assert not any(tiny.KEY[at : at + 6] in content for at in range(len(tiny.KEY) - 5))
    assert tiny.KEY.hex().encode() not in content


def test_locking_uses_byte_i_of_the_key_stream_for_byte_i():
    plain = tiny.tiny_loadable(replace(CONFIG, suite="plain"))
    expected = suite("deep-lock").lock(np.frombuffer(plain.parameters, np.uint8), tiny.KEY)
    assert LOADABLE.parameters == expected.tobytes()
    assert LOADABLE.head == replace(plain, header=replace(plain.header, suite=1)).head
    assert LOADABLE.unlocked(tiny.KEY).parameters == plain.parameters


def test_the_ofmap_of_a_sealed_loadable_must_fit_and_be_that_of_the_header():
    config = CONFIG.with_suite("acorn")
    loadable = tiny.tiny_loadable(config)
    beats = loadable.header.ofmap_beats
    assert beats == -(-loadable.unlocked(tiny.KEY).program[-1].channels(4) // 4)
    loadable.check_fits(replace(config, ofmap_bytes=32 * config.lanes))
    with pytest.raises(
        DeeplockError, match=f"^loadable has an ofmap of {beats + 1} beats, that of its program is {beats}$"
    ):
        replace(loadable, header=replace(loadable.header, ofmap_beats=beats + 1)).check_fits(config)
    deep = (*loadable.program[:-1], replace(loadable.program[-1], out_h=17))
    large = replace(loadable, program=deep, header=replace(loadable.header, ofmap_beats=17 * beats))
    need = 2 * 17 * beats * config.cols
    with pytest.raises(DeeplockError, match=f"^loadable needs ofmap_bytes of {need}, the accelerator has 256$"):
        large.check_fits(replace(config, ofmap_bytes=256))
    large.check_fits(replace(config, ofmap_bytes=512))
    lying = replace(large, header=replace(large.header, ofmap_beats=1))
    with pytest.raises(DeeplockError, match=r"the ofmap must take at most 32 beats of 4 bytes, not 51$"):
        lying.check_fits(replace(config, ofmap_bytes=256))
    assert accelerator_for(large).ofmap_bytes == 1024 and accelerator_for(LOADABLE).ofmap_bytes == 128


@pytest.mark.parametrize("cut", [1, 100, 1000])
def test_a_truncated_file_is_refused(path, cut):
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(DeeplockError, match=r"truncated or not a loadable") as error:
        read_loadable(path)
    assert "\n" not in str(error.value)


def test_a_changed_file_is_refused(path):
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)
    with pytest.raises(DeeplockError, match="the stream was changed"):
        read_loadable(path)


def test_a_file_of_the_older_format_is_refused_by_name(tmp_path):
    old = tmp_path / "digits.image"
    save_file({"stream": np.zeros(64, np.uint8)}, old, {"deeplock image 1": "{}"})
    line = (
        r"digits\.image: has the older format 'deeplock image 1', not 'deeplock loadable 1': compile the network anew$"
    )
    for reader in (read_loadable, load):
        with pytest.raises(DeeplockError, match=line):
            reader(old)


def test_a_foreign_or_missing_file_is_refused(tmp_path):
    foreign = tmp_path / "foreign"
    foreign.write_bytes(b"\x89PNG" + bytes(100))
    with pytest.raises(DeeplockError, match="truncated or not a loadable"):
        read_loadable(foreign)
    with pytest.raises(DeeplockError, match="no such file"):
        read_loadable(tmp_path / "missing")


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (Config(), r"loadable is compiled for 4x4 \(B = 4\), the accelerator is 8x8 \(B = 8\)"),
        (
            replace(CONFIG, dense=False, lanes=1),
            r"^loadable is compiled for dense pixels, the accelerator has pixels that begin words \(dense off\): "
            "compile it for that accelerator$",
        ),
        (replace(CONFIG, suite="plain"), "loadable is locked with suite deep-lock, the accelerator has suite plain"),
        (replace(CONFIG, activation_words=256), "loadable needs activation_words of 512, the accelerator has 256"),
        (replace(CONFIG, accumulators=16), "loadable needs accumulators of 32, the accelerator has 16"),
        (replace(CONFIG, program_words=64), "loadable needs program_words of"),
        (replace(CONFIG, ifmap_bytes=32), "loadable needs ifmap_bytes of"),
    ],
)
def test_a_loadable_for_another_accelerator_is_refused(config, message):
    LOADABLE.check_fits(CONFIG)
    with pytest.raises(DeeplockError, match=message):
        LOADABLE.check_fits(config)


def test_a_loadable_for_pixels_that_begin_words_is_refused_by_an_accelerator_with_dense_ones():
    config = replace(CONFIG, dense=False, lanes=1, ofmap_bytes=0)
    loadable = tiny.tiny_loadable(config)
    assert (LOADABLE.header.dense, loadable.header.dense) == (1, 0)
    loadable.check_fits(config)
    line = r"^loadable is compiled for pixels that begin words \(dense off\), the accelerator has dense pixels: compile it for"
    with pytest.raises(DeeplockError, match=line):
        loadable.check_fits(CONFIG)
    assert (
        accelerator_for(loadable)
        == replace(config, accumulators=1024)
        == replace(accelerator_for(LOADABLE), dense=False, lanes=1, ofmap_bytes=0)
    )
    with pytest.raises(DeeplockError, match=line):
        accelerator_for(loadable, dense=True)


def test_a_loadable_with_a_layer_that_is_not_narrow_needs_sums_of_32_bits():
    narrow = replace(CONFIG, sum_bits=24)
    LOADABLE.check_fits(narrow)
    wide = replace(LOADABLE, program=(*LOADABLE.program[:-1], replace(LOADABLE.program[-1], narrow=0)))
    wide.check_fits(CONFIG)
    with pytest.raises(DeeplockError, match="^loadable needs sum_bits of 32, the accelerator has 24$"):
        wide.check_fits(narrow)


@pytest.mark.parametrize(
    "fields",
    [
        {"diagonal": 1},
        {"fold": 1},
        {"opcode": 2},
        {"opcode": 3},
        {"x0": -1},
        {"y0": -1},
        {"rows_last": 2},
        {"cblocks": 2},
        {"kernel_w": 2},
        {"kernel_h": 2},
        {"out_w": 2},
        {"out_h": 2},
        {"pool_w": 2, "step_x": 1},
        {"pool_h": 2},
    ],
    ids=str,
)
def test_a_loadable_with_what_an_accelerator_leaves_out_is_refused_by_name(fields):
    """A layer whose kernel is its whole input, and one thing more; told by its name, and by that alone."""
    base = descriptor(narrow=1)
    lean = replace(CONFIG, lanes=1, **LEAN | {"dense": True})
    loadable = replace(LOADABLE, program=(base,))
    assert loadable.features == ()
    other = replace(loadable, program=(*loadable.program, replace(base, **fields)))
    needed = {"diagonal": "diagonal", "fold": "folding"}.get(next(iter(fields)), "padding")
    needed = {2: "tables", 3: "products"}.get(fields.get("opcode", 0), needed)
    assert other.features == (needed,)
    for config in (lean, replace(CONFIG, **{needed: False})):
        with pytest.raises(
            DeeplockError, match=f"^loadable needs {needed}, which the accelerator leaves out: compile it for"
        ):
            other.check_fits(config)


@pytest.mark.parametrize(
    "change, line",
    [
        (
            lambda header, program: (header, (replace(program[0], kblocks=99), *program[1:])),
            "descriptor 1: kernel_h must be such that kernel_h x kernel_w x cblocks is kblocks",
        ),
        (
            lambda header, program: (replace(header, run_bytes=0), program),
            "header: run_bytes must be at least 1, not 0",
        ),
        (
            lambda header, program: (header, (*program[:-1], replace(program[-1], to_stream=0))),
            f"descriptor {len(LOADABLE.program)}: to_stream must be 1 in the last one",
        ),
        (
            lambda header, program: (replace(header, batch=2), program),
            "header: batch must be the ifmaps that the program takes, 1, not 2",
        ),
    ],
)
def test_a_program_that_breaks_a_rule_is_refused_by_field_rule_and_value(change, line):
    header, program = change(LOADABLE.header, LOADABLE.program)
    with pytest.raises(DeeplockError, match=f"^loadable has a program that the accelerator refuses: {line}"):
        replace(LOADABLE, header=header, program=program).check_fits(CONFIG)


def test_parameters_that_are_not_what_the_program_takes_are_refused():
    header = replace(LOADABLE.header, parameter_beats=LOADABLE.header.parameter_beats + 1)
    with pytest.raises(DeeplockError, match=r"^loadable has \d+ beats of parameters, its program takes \d+ bytes$"):
        replace(LOADABLE, header=header).check_fits(CONFIG)


@pytest.mark.parametrize(
    "changes, line",
    [
        ([{}], "descriptor 1: wait_input must be 1"),
        ([{"wait_input": 1}, {"wait_input": 1}], "descriptor 2: wait_input must be 0 until"),
        (
            [{"wait_input": 1, "release_input": 1}, {"release_input": 1}],
            "descriptor 2: release_input must be 0 without",
        ),
        ([{"wait_input": 1, "to_stream": 1}, {"release_input": 1}], "descriptor 2: to_stream must be 1 behind"),
        ([{"wait_input": 1}, {"to_stream": 1}], "descriptor 2: release_input must be 1"),
    ],
)
def test_descriptors_out_of_order_are_refused(changes, line):
    program = tuple(descriptor(**fields) for fields in changes)
    with pytest.raises(DeeplockError, match=line):
        replace(LOADABLE, program=program).check_fits(CONFIG)


def test_an_ifmap_of_another_shape_is_refused():
    with pytest.raises(DeeplockError, match=r"ifmap must be int8 \(9, 9, 1\), not int8 \(8, 9, 1\)"):
        LOADABLE.pack_ifmap(np.zeros((8, 9, 1), np.int8))


def test_an_ofmap_of_another_length_is_refused():
    with pytest.raises(DeeplockError, match="an ofmap packet must be 10 bytes, not 9"):
        LOADABLE.unpack_ofmaps(bytes(9))
