"""Device keys in bitstreams, by the real tools: of a key memory alone, which is placed in seconds."""

from functools import partial
from pathlib import Path

import pytest

from deeplock.fpga.flow.families import find_device, find_family
from deeplock.fpga.flow.provision import with_device_key
from deeplock.fpga.flow.sources import harness_source
from deeplock.fpga.flow.toolchain import run_program
from deeplock.fpga.flow.yosys import synthesise
from deeplock.hw.lock.key_memory import KeyMemory
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.provisioning import PLACES, key_rows

KEY = bytes(range(0x91, 0xA1))
CONFIGS = {
    "up5k": Config(rows=4, cols=4, bytes_per_beat=4, suite="tinyjambu", licences=True, pipeline_registers=False),
    "lfe5u-25f": Config(suite="ascon", licences=True),
}


def packed(name: str, folder: Path) -> bytes:
    """A bitstream with a key memory in it."""
    device = find_device(name)
    family, config = find_family(device.family), CONFIGS[name]
    source = harness_source(partial(KeyMemory, config), False, device)
    synthesise(source.rtlil, device, folder / "design.json")
    options = [*device.part, "-q", "--timing-allow-fail", *family.anywhere, "--json", "design.json"]
    run_program(family.nextpnr, [*options, f"{family.configuration[1]}=routed"], folder)
    program, *arguments = (part.format(configuration="routed", bitstream="packed") for part in family.pack)
    run_program(program, arguments, folder)
    return (folder / "packed").read_bytes()


def memories(name: str, bitstream: bytes, folder: Path) -> str:
    """The bitstream as text."""
    family = find_family(find_device(name).family)
    (folder / "bits").write_bytes(bitstream)
    program, *arguments = (part.format(configuration="text", bitstream="bits") for part in family.unpack)
    run_program(program, arguments, folder)
    return (folder / "text").read_text()


def rows_of(lines: list[str]) -> list[int]:
    """The key memory in iceunpack's text. A block's first line has 16 rows of 16 bits, row 0 last; the pattern says which
    columns they are."""
    rows = [0] * PLACES
    for number, line in enumerate(lines):
        if ".ram_data" not in lines[number - 1]:
            continue
        block = [int(line[at : at + 4], 16) for at in range(60, -1, -4)]
        for bit in range(16 if any(block[-8:]) else 0):
            column = sum((row >> bit & 1) << at for at, row in enumerate(block[-8:])) - 1
            for at, row in enumerate(block):
                rows[at] |= (row >> bit & 1) << column
    return rows


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
def test_a_bitstream_gets_a_device_key_and_nothing_else_of_it_changes(name, tmp_path):
    """Back again with the contents exchanged, it is the one that it was. One that has a key takes no other."""
    bitstream, family = packed(name, tmp_path), find_device(name).family
    keyed = with_device_key(bitstream, family, KEY)
    before, after = (memories(name, each, tmp_path).splitlines() for each in (bitstream, keyed))
    changed = [(one, other) for one, other in zip(before, after, strict=True) if one != other]
    assert 4 <= len(changed) <= 8
    if name == "up5k":
        assert rows_of(after) == [int.from_bytes(row, "little") for row in key_rows(KEY)]
    with pytest.raises(DeeplockError, match="no empty key memory in the bitstream"):
        with_device_key(keyed, family, KEY)


@pytest.mark.parametrize("family", ["ice40", "ecp5"])
@pytest.mark.parametrize("cut", [0, 40])
def test_what_is_no_bitstream_is_refused(family, cut):
    junk = find_family(family).preamble[:cut] + bytes(range(200))
    with pytest.raises(DeeplockError, match=f"not a whole bitstream for {family}|no empty key memory"):
        with_device_key(junk, family, KEY)


def test_a_family_without_a_program_for_it_says_so():
    with pytest.raises(
        DeeplockError, match=r"^no program puts a key into a bitstream for gw1n: leave --device-key out"
    ):
        with_device_key(find_family("gw1n").preamble, "gw1n", KEY)


def test_every_column_of_the_key_memory_tells_itself_by_the_pattern():
    """As the tools need it: no two columns alike, none empty; and no key changes the pattern."""
    rows = [int.from_bytes(row, "little") for row in key_rows(None)]
    columns = [tuple(row >> bit & 1 for row in rows) for bit in range(128)]
    assert len(set(columns)) == 128 and (0,) * PLACES not in columns
    assert key_rows(KEY)[-8:] == key_rows(None)[-8:]
