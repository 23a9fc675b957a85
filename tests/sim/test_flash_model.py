"""The model of the flash: what it gives, and that it refuses whatever the data sheet forbids."""

import pytest

from deeplock.sim.flash_model import Flash, FlashError

CONTENT = bytes(range(1, 200))


class Host:
    """Pins of a controller that does what it is told. Times in nanoseconds."""

    def __init__(self, flash: Flash, now: float = 0.0):
        self.flash, self.now = flash, now

    def put(self, bits: int, number: int, pins: int = 1) -> None:
        for clock in reversed(range(number)):
            value = bits >> clock * pins & (1 << pins) - 1
            self.flash.rise(*((value | 0b1100, 0b1101) if pins == 1 else (value, 0b1111)))
            self.flash.fall()

    def skip(self, number: int) -> None:
        for _ in range(number):
            self.flash.rise(0, 0)
            self.flash.fall()

    def get(self, number: int, pins: int = 1) -> int:
        value = 0
        for _ in range(number):
            wire = self.flash.wire(0, 0)
            self.flash.rise(0, 0)
            self.flash.fall()
            value = value << pins | (wire >> 1 & 1 if pins == 1 else wire & (1 << pins) - 1)
        return value

    def begin(self, *opcode: int) -> "Host":
        self.flash.select(self.now)
        for byte in opcode:
            self.put(byte, 8)
        return self

    def end(self, after: float = 100.0) -> None:
        self.flash.deselect(self.now)
        self.now += after

    def wake(self) -> "Host":
        self.begin(0xAB).end(3_000)
        return self

    def enable_quad(self) -> "Host":
        self.begin(0x50).end()
        self.begin(0x31, 0x02).end()
        return self

    def read_quad(self, address: int, count: int, mode: int = 0xFF) -> bytes:
        self.begin(0xEB).put(address, 6, pins=4)
        self.put(mode, 2, pins=4)
        self.skip(4)
        data = bytes(self.get(2, pins=4) for _ in range(count))
        self.end()
        return data


def awake(**arguments) -> Host:
    return Host(Flash(CONTENT, **arguments)).wake()


def test_all_reads_give_the_content_and_erased_bytes_behind_it():
    host = awake().enable_quad()
    assert host.read_quad(3, 20) == CONTENT[3:23]
    assert host.read_quad(190, 20) == CONTENT[190:] + b"\xff" * 11
    assert host.read_quad(0xFFFFFE, 5) == b"\xff\xff" + CONTENT[:3]
    assert host.flash.reads == [3, 190, 0xFFFFFE]
    host.begin(0x03, 0, 0, 7)
    assert [host.get(8) for _ in range(4)] == [8, 9, 10, 11]
    host.end()
    host.begin(0x0B, 0, 0, 7).skip(8)
    assert [host.get(8) for _ in range(4)] == [8, 9, 10, 11]
    host.end()
    host.begin(0x3B, 0, 0, 7).skip(8)
    assert [host.get(4, pins=2) for _ in range(4)] == [8, 9, 10, 11]
    host.end()
    assert host.flash.reads[3:] == [7]
    host.begin(0x9F)
    assert host.get(24) == 0xEF7018
    host.end()


def test_a_clock_too_few_before_the_data_is_seen():
    host = awake().enable_quad()
    host.begin(0xEB).put(3, 6, pins=4)
    host.put(0xFF, 2, pins=4)
    host.skip(3)
    assert host.get(2, pins=4) == 0xF0 | CONTENT[3] >> 4


def test_a_dead_flash_leaves_its_pins_to_the_pull_ups():
    host = Host(Flash(CONTENT, dead=True)).wake()
    host.begin(0x9F)
    assert host.get(24) == 0xFFFFFF
    host.end()
    assert host.enable_quad().read_quad(0, 4) == b"\xff" * 4 and host.flash.reads == []


def test_reset_disables_quad_mode():
    host = awake().enable_quad()
    host.begin(0x66).end()
    host.begin(0x99).end(30_000)
    with pytest.raises(FlashError, match="quad read .* but quad mode is disabled"):
        host.read_quad(0, 1)


def select_early(host: Host, opcode: int, after: float) -> None:
    host.begin(0x66).end()
    host.begin(opcode).end(after)
    host.begin(0x9F)


FAULTS = {
    r"command 9Fh in power-down": lambda: Host(Flash(CONTENT)).begin(0x9F, 0),
    r"selected 1.0 ns before it was ready": lambda: select_early(awake(), 0x99, 29_999),
    r"selected 9.0 ns after it was deselected": lambda: select_early(awake(), 0x66, 9),
    r"reset \(99h\) without enable \(66h\)": lambda: awake().begin(0x99, 0),
    r"status write \(31h\) without enable \(50h\)": lambda: awake().begin(0x31, 0x02),
    r"quad read \(EBh\), but quad mode is disabled": lambda: awake().read_quad(0, 1),
    r"mode 20h: continuous read": lambda: awake().enable_quad().read_quad(0, 1, mode=0x20),
    r"unknown command 20h": lambda: awake().begin(0x20, 0),
    r"clocked behind the end of a command": lambda: awake().begin(0x50).put(0, 1),
    r"host and flash both drive pins 1111": lambda: awake().enable_quad().begin(0xEB).put(0, 30, pins=4),
}


@pytest.mark.parametrize("text", FAULTS)
def test_what_the_data_sheet_forbids_is_an_error(text):
    with pytest.raises(FlashError, match=text):
        FAULTS[text]()


def test_a_status_write_is_not_cut_short_and_enables_quad_mode_only():
    host = awake()
    host.begin(0x50).end()
    host.begin(0x31).put(0, 3)
    with pytest.raises(FlashError, match="deselected in the middle of a write"):
        host.end()
    host = awake()
    host.begin(0x50).end()
    with pytest.raises(FlashError, match="status write 31h 00h does not enable quad mode"):
        host.begin(0x31, 0x00)
