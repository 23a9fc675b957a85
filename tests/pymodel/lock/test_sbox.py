import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.lock.sbox import INV_SBOX, SBOX, Properties, check_bijection, invert, properties

# FIPS-197 figure 7, row by row.
FIPS_197 = """
637c777bf26b6fc53001672bfed7ab76 ca82c97dfa5947f0add4a2af9ca472c0 b7fd9326363ff7cc34a5e5f171d83115
04c723c31896059a071280e2eb27b275 09832c1a1b6e5aa0523bd6b329e32f84 53d100ed20fcb15b6acbbe394a4c58cf
d0efaafb434d338545f9027f503c9fa8 51a3408f929d38f5bcb6da2110fff3d2 cd0c13ec5f974417c4a77e3d645d1973
60814fdc222a908846eeb814de5e0bdb e0323a0a4906245cc2d3ac629195e479 e7c8376d8dd54ea96c56f4ea657aae08
ba78252e1ca6b4c6e8dd741f4bbd8b8a 703eb5664803f60e613557b986c11d9e e1f8981169d98e949b1e87e9ce5528df
8ca1890dbfe6426841992d0fb054bb16
"""


def test_aes_sbox_is_the_one_of_the_standard():
    assert SBOX.tobytes() == bytes.fromhex(FIPS_197)
    assert SBOX.dtype == INV_SBOX.dtype == np.uint8


def test_inverse_undoes_the_sbox_both_ways():
    assert (INV_SBOX[SBOX] == np.arange(256)).all()
    assert (SBOX[INV_SBOX] == np.arange(256)).all()


def test_tables_cannot_be_changed_by_accident():
    for table in (SBOX, INV_SBOX):
        with pytest.raises(ValueError, match="read-only"):
            table[0] = 1


@pytest.mark.parametrize("table", [SBOX, INV_SBOX])
def test_aes_properties_are_the_published_ones(table):
    assert properties(table) == Properties(nonlinearity=112, differential_uniformity=4, algebraic_degree=7)


def test_identity_is_linear():
    assert properties(np.arange(256)) == Properties(nonlinearity=0, differential_uniformity=256, algebraic_degree=1)


def test_swapping_two_entries_of_a_linear_table_gives_degree_seven():
    # The swap adds the indicator of two points, {0, 1}: a product of 7 factors (x_i + 1).
    table = np.arange(256)
    table[[0, 1]] = 1, 0
    assert properties(table) == Properties(nonlinearity=0, differential_uniformity=256, algebraic_degree=7)


@given(st.permutations(range(256)))
def test_any_bijection_inverts(values):
    table = np.array(values, np.uint8)
    assert (invert(table)[table] == np.arange(256)).all()
    assert (invert(invert(table)) == table).all()


@pytest.mark.parametrize(
    "table, message",
    [
        (np.arange(255), r"S-box must have 256 entries, has shape \(255,\)"),
        (np.arange(1, 257), "S-box entries must be integers in 0..255"),
        (np.arange(-1, 255), "S-box entries must be integers in 0..255"),
        (np.arange(256.0), "S-box entries must be integers in 0..255"),
        (np.arange(256) & 0xFE, "S-box must be a bijection: 0x00 appears 2 times"),
    ],
)
def test_what_is_no_bijection_is_refused(table, message):
    with pytest.raises(DeeplockError, match=f"^{message}$"):
        check_bijection(table)
