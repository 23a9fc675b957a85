"""The program format: packing, and the page that documents it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.spec.program import DESCRIPTOR, HEADER, WORDS, describe, pack, unpack

FIELDS = {
    layout: [field for word in layout.words for field in word if field.name != "reserved"]
    for layout in (HEADER, DESCRIPTOR)
}


def _values(draw: st.DrawFn, layout) -> dict[str, int]:
    values = {}
    for field in FIELDS[layout]:
        low = -(1 << (field.bits - 1)) if field.signed else 0
        values[field.name] = draw(st.integers(low, low + (1 << field.bits) - 1))
    return values


@pytest.mark.parametrize("layout", [HEADER, DESCRIPTOR], ids=["header", "descriptor"])
@given(data=st.data())
def test_what_is_packed_is_unpacked(layout, data):
    values = _values(data.draw, layout)
    packed = pack(layout, values)
    assert len(packed) == 4 * WORDS
    assert unpack(layout, packed) == values


def test_the_header_begins_with_its_name():
    values = {field.name: 0 for field in FIELDS[HEADER]} | {"magic": 0x4B4C4E4E}
    assert pack(HEADER, values)[:4] == b"NNLK"


@pytest.mark.parametrize(
    ("name", "value", "rule"), [("groups", 256, "0..255"), ("groups", -1, "0..255"), ("x0", -2049, "-2048..2047")]
)
def test_a_value_beyond_its_field_is_refused(name, value, rule):
    values = {field.name: 0 for field in FIELDS[DESCRIPTOR]} | {name: value}
    with pytest.raises(DeeplockError, match=f"descriptor: {name} must be {rule}, not {value}"):
        pack(DESCRIPTOR, values)


def test_the_page_in_docs_is_up_to_date():
    text = (Path(__file__).parents[3] / "docs" / "loadable-format.md").read_text()
    for layout in (HEADER, DESCRIPTOR):
        assert describe(layout) in text, (
            "docs/loadable-format.md: put the output of deeplock.pymodel.spec.program.describe() in"
        )
