"""GW1N's PLL."""

import pytest

from deeplock.hw.families.gw1n import pll_dividers


@pytest.mark.parametrize("output_hz", [27_000_000, 36_000_000, 40_500_000, 54_000_000, 81_000_000])
def test_pll(output_hz):
    """Limits of Gowin DS117 for speed C6/I5; dividers that rPLL has, by UG286."""
    dividers = pll_dividers(27_000_000, output_hz)
    assert 27_000_000 / dividers.idiv * dividers.fbdiv == output_hz
    assert 27_000_000 / dividers.idiv >= 3e6 and 1 <= dividers.idiv <= 64 and 1 <= dividers.fbdiv <= 64
    assert 400e6 <= output_hz * dividers.odiv <= 1200e6
    assert dividers.odiv in (2, 4, 8, 16, 32, 48, 64, 80, 96, 112, 128)
