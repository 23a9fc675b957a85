"""Boards: their clocks, their pins, their tops."""

import importlib.util
import re
from dataclasses import replace
from functools import cache

import pytest
from amaranth.back import rtlil
from amaranth.build import Pins, Platform
from amaranth_boards.icebreaker import ICEBreakerPlatform

from deeplock.fpga import boards
from deeplock.fpga.boards import BOARDS, board
from deeplock.fpga.boards.board import Board
from deeplock.fpga.flow.designs import on_board
from deeplock.fpga.flow.families import DEVICES
from deeplock.fpga.gateware.pins import BoardPins
from deeplock.fpga.gateware.top import Top
from deeplock.fpga.gateware.uart import divisor
from deeplock.pymodel.compiler.compiler import compile_network
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.zoo import trained
from tests.fpga.flow_tools import TWINS
from tests.hw.refusal import assert_refused

EVERY = pytest.mark.parametrize("there", BOARDS.values(), ids=BOARDS.keys())


def test_an_unknown_board_is_named_with_those_that_there_are():
    assert board("icebreaker").device == "up5k"
    with pytest.raises(DeeplockError, match=f"board must be {', '.join(BOARDS)}, not arty"):
        board("arty")


def test_a_file_is_all_that_makes_a_board_known(tmp_path, monkeypatch):
    """One from outside the tree, found by itself, and its design made for it."""
    (tmp_path / "toy.py").write_text(
        "from dataclasses import replace\n"
        "from deeplock.fpga.boards import icebreaker\n"
        "BOARDS = [replace(icebreaker.BOARDS[0], name='toy', clock_hz=18_000_000)]\n"
    )
    monkeypatch.setattr(boards, "__path__", [*boards.__path__, str(tmp_path)])
    spec = importlib.util.spec_from_file_location(boards.__name__, boards.__file__)
    again = importlib.util.module_from_spec(spec)
    again.__path__ = boards.__path__
    spec.loader.exec_module(again)
    assert [*again.BOARDS] == [*BOARDS, "toy"]
    assert "18.0" in "".join(constraints_of(again.board("toy")))


def test_a_board_whose_device_no_family_knows_says_so():
    class Platform(ICEBreakerPlatform):
        device = "iCE40HX1K"

    toy = replace(BOARDS["icebreaker"], name="toy", platform=Platform)
    assert_refused(
        "device must be LFE5U-25F, LFE5U-85F, GW1NR-9C, iCE40UP5K, iCE40HX8K, or None for generic RTL, not iCE40HX1K",
        lambda: toy.platform().prepare(Top(toy)),
    )
    with pytest.raises(DeeplockError, match=r"^device must be lfe5u-25f, .*, not ice9$"):
        on_board(replace(toy, device="ice9"))


def test_a_flash_without_a_clock_pin_needs_the_other_divider():
    toy = replace(BOARDS["ulx3s-25f"], divider=1)
    message = "divider must be 2 on ulx3s-25f, whose flash has no clk pin, not 1"
    assert_refused(message, lambda: toy.platform().prepare(Top(toy)))


def constraints_of(there: Board) -> str:
    (text,) = (text for name, text in files_of(there).items() if name.endswith((".pcf", ".lpf", ".cst")))
    return text


@cache
def files_of(there: Board) -> dict[str, str]:
    """What the toolchain is given, with a small accelerator and cache: pins and hard blocks are the same (test_floorplan.py has
    the largest)."""
    small = replace(there, config=BOARDS["icebreaker"].config, cache_bytes=min(there.cache_bytes, 1 << 10))
    files = there.platform().prepare(Top(small)).files
    return {name: text if isinstance(text, str) else text.decode() for name, text in files.items()}


@EVERY
def test_a_board_fits_together(there):
    """Its device is known, its UART within 2 % of 1 Mbaud or more, its loadable behind any bitstream, digits fit."""
    assert there.device in DEVICES
    assert there.platform().device == DEVICES[there.device].device
    assert there.baud >= 1_000_000
    divisor(there.clock_hz, there.baud)
    assert there.loadable_address >= 1 << 20
    loadable = compile_network(trained.load("digits"), there.config)
    assert there.loadable_address + len(loadable.stream) < 1 << 24


@pytest.mark.parametrize(
    "there",
    [pytest.param(there, marks=pytest.mark.slow if name in TWINS else ()) for name, there in BOARDS.items()],
    ids=list(BOARDS),
)
def test_the_top_has_a_place_for_every_pin(there):
    """Twins differ from one of the others in device or package alone."""
    text, flash = constraints_of(there), f"spi_flash_{there.flash_lines}x_0"
    sdram = [f"sdram_0__{pin}__io" for pin in ("clk", "clk_en", "cs", "ras", "cas", "we")] * there.sdram
    buses = {f"{flash}__dq": there.flash_lines} | {
        f"sdram_0__{pin}": bits for pin, bits in (("ba", 2), ("a", 13), ("dq", 16), ("dqm", 2)) if there.sdram
    }
    lines = [f"{bus}__io[{bit}]" for bus, bits in buses.items() for bit in range(bits)]
    for pin in ("__rx__io", "__tx__io", f"{flash}__cs", *sdram, *lines):
        assert pin in text
    if there.device == "gw1nr-9c":
        return  # its file has no clocks: nextpnr gets that as an option, and its report says which one it checked
    wanted = (f"clock.pll_clock {there.clock_hz / 1e6}", f'"clock.pll_clock" {there.clock_hz:.1f} HZ')
    assert any(constraint in text for constraint in wanted)


HEADER = {"orangecrab": {"uart_0__rx__io": "N17", "uart_0__tx__io": "M18"}}
"""Pins on a header, 0 and 1 of OrangeCrab's, that amaranth-boards has no resource for."""


def pins_of(platform: type[Platform], *names: str) -> dict[str, str]:
    """Pins of these resources, by the names of their ports."""
    found = {}
    for resource in platform.resources:
        for part in resource.ios if resource.name in names else ():
            pins = part if isinstance(part, Pins) else part.ios[0]
            stem = "__".join([f"{resource.name}_0", *([] if pins is part else [part.name]), "io"])
            found |= {f"{stem}[{i}]" if pins.names[1:] else stem: pin for i, pin in enumerate(pins.names)}
    return found


@pytest.mark.parametrize("name", ["icesugarpro", "orangecrab", "tangnano9k"])
def test_our_own_resources_are_on_the_pins_of_amaranth_boards(name):
    there = BOARDS[name]
    flash = f"spi_flash_{there.flash_lines}x"
    resources = [flash, "uart", there.platform.default_clk, *["sdram"] * there.sdram]
    expected = pins_of(there.platform.__base__, *resources) | HEADER.get(name, {})
    if there.device.startswith("lfe5u"):
        del expected[f"{flash}_0__clk__io"]  # the configuration clock
    found = re.findall(r'(?:LOCATE COMP|IO_LOC) "([^"]+)"(?: SITE)? "?(\w+)"?;', constraints_of(there))
    assert dict(found) == expected


def test_hard_blocks_are_in_the_tops_of_up5k_only():
    text = files_of(BOARDS["icebreaker"])["top.il"]
    assert text.count("cell \\SB_MAC16 ") == 8
    assert text.count("cell \\SB_SPRAM256KA ") == 4
    assert "SB_MAC16" not in rtlil.convert(BoardPins(BOARDS["icebreaker"]))
    assert "USRMCLK" in files_of(BOARDS["ulx3s-85f"])["top.il"]
