"""Boards: their clocks, their pins, their tops."""

import pytest
from amaranth.back import rtlil

from deeplock.fpga.boards import BOARDS, board
from deeplock.fpga.flow.devices import DEVICES
from deeplock.fpga.gateware.clocks import ecp5_pll, ice40_pll
from deeplock.fpga.gateware.pins import BoardPins
from deeplock.fpga.gateware.top import Top
from deeplock.fpga.gateware.uart import divisor
from deeplock.pymodel.compiler.compiler import compile_network
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.zoo import trained

EVERY = pytest.mark.parametrize("there", BOARDS.values(), ids=BOARDS.keys())


@pytest.mark.parametrize("output_hz", [24_000_000, 36_000_000, 30_000_000, 48_000_000])
def test_ice40_pll(output_hz):
    pll = ice40_pll(12_000_000, output_hz)
    vco = 12_000_000 / (pll.divr + 1) * (pll.divf + 1)
    assert 533e6 <= vco <= 1066e6
    assert vco / 2**pll.divq == output_hz
    assert pll.filter_range == 1  # phase detector below 17 MHz


@pytest.mark.parametrize("output_hz", [25_000_000, 50_000_000, 80_000_000, 100_000_000])
def test_ecp5_pll(output_hz):
    pll = ecp5_pll(25_000_000, output_hz)
    assert 25_000_000 / pll.clki * pll.clkfb == output_hz
    assert 25_000_000 / pll.clki >= 3.125e6
    assert 400e6 <= output_hz * pll.clkop <= 800e6


@pytest.mark.parametrize("pll", [ice40_pll, ecp5_pll])
def test_a_clock_that_no_pll_makes_is_refused(pll):
    with pytest.raises(ValueError, match="no PLL setting makes 24000001 Hz of 12000000 Hz"):
        pll(12_000_000, 24_000_001)


def test_an_unknown_board_is_named_with_those_that_there_are():
    assert board("icebreaker").device == "up5k"
    with pytest.raises(DeeplockError, match=f"board must be {', '.join(BOARDS)}, not arty"):
        board("arty")


@EVERY
def test_a_board_fits_together(there):
    """Its device is known, its UART within 2 % of 1 Mbaud or more, its loadable behind any bitstream, digits fit."""
    assert there.device in DEVICES
    assert there.baud >= 1_000_000
    divisor(there.clock_hz, there.baud)
    assert there.loadable_address >= 1 << 20
    loadable = compile_network(trained.load("digits"), there.config)
    assert there.loadable_address + len(loadable.stream) < 1 << 24


@EVERY
def test_the_top_has_a_place_for_every_pin(there):
    files = there.make_platform().prepare(Top(there)).files
    (text,) = (text for name, text in files.items() if name.endswith((".pcf", ".lpf")))
    text = text if isinstance(text, str) else text.decode()
    for pin in ("__rx__io", "__tx__io", "spi_flash_4x_0__cs", *(f"spi_flash_4x_0__dq__io[{i}]" for i in range(4))):
        assert pin in text
    wanted = (f"clock.pll_clock {there.clock_hz / 1e6}", f'"clock.pll_clock" {there.clock_hz:.1f} HZ')
    assert any(constraint in text for constraint in wanted)


def test_hard_blocks_are_in_the_tops_of_up5k_only():
    def netlist(name: str) -> str:
        files = BOARDS[name].make_platform().prepare(Top(BOARDS[name])).files
        return files["top.il"] if isinstance(files["top.il"], str) else files["top.il"].decode()

    text = netlist("icebreaker")
    assert text.count("cell \\SB_MAC16 ") == 8
    assert text.count("cell \\SB_SPRAM256KA ") == 4
    assert "SB_MAC16" not in rtlil.convert(BoardPins(BOARDS["icebreaker"]))
    assert "USRMCLK" in netlist("ulx3s-85f")
