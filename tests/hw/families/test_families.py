"""The lookup by which generic components come to a device's blocks."""

from types import SimpleNamespace

import pytest
from amaranth import Const, Fragment, Module, Signal, Value
from amaranth.back import rtlil

from deeplock.fpga.flow.families import DEVICES
from deeplock.hw import families
from deeplock.hw.families import FAMILIES, blocks_of, ecp5, gw1n, ice40
from deeplock.hw.families.blocks import Blocks
from deeplock.hw.lock.sbox import Sbox
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.spec.config import Config
from tests.hw.refusal import assert_refused

NOBODYS = SimpleNamespace(device="XC7A35T")


def test_an_unknown_device_is_named_with_those_that_there_are():
    names = ", ".join(name for family in FAMILIES for name in family.devices)
    message = f"device must be {names}, or None for generic RTL, not XC7A35T"
    assert_refused(message, lambda: blocks_of(NOBODYS))
    assert_refused(message, lambda: rtlil.convert(Sbox(1, "lut"), platform=NOBODYS))


def test_every_device_of_the_flow_is_one_of_a_family_here():
    assert {device.device for device in DEVICES.values()} == {name for family in FAMILIES for name in family.devices}


def test_without_a_device_there_are_no_blocks():
    for platform in (None, SimpleNamespace(), SimpleNamespace(device=None)):
        assert type(blocks_of(platform)) is Blocks
    m, value = Module(), Signal(8)
    assert not Blocks().multiply_for(Config())
    assert not Blocks().multiplier(m, value, value, value)
    assert Blocks().looked_up(m, range(256), value) is None
    with pytest.raises(DeeplockError, match="^no PLL is known of "):
        Blocks().pll(m, None, 12_000_000, 24_000_000, Signal(), Signal())
    with pytest.raises(DeeplockError, match="has no configuration clock"):
        Blocks("toy").configuration_clock(m, value)
    assert not Fragment.get(m, None).subfragments


def test_a_family_from_outside_is_asked_like_any_other(monkeypatch):
    class Toy(Blocks):
        devices = (NOBODYS.device,)

        def looked_up(self, m, table, address) -> Value:
            return Const(0xA5, 8)

    monkeypatch.setattr(families, "FAMILIES", (*FAMILIES, Toy))
    assert "8'10100101" in rtlil.convert(Sbox(1, "lut"), platform=NOBODYS)
    assert "8'10100101" not in rtlil.convert(Sbox(1, "lut"))


@pytest.mark.parametrize("family", [ice40, ecp5, gw1n])
def test_a_clock_that_no_pll_makes_is_refused(family):
    with pytest.raises(ValueError, match="no PLL setting makes 24000001 Hz of 12000000 Hz"):
        family.pll_dividers(12_000_000, 24_000_001)
