"""A board behind a pseudo-terminal, in a thread: what a host meets on a serial port."""

import os
import select
import threading
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from deeplock.fpga.frames import (
    ANSWER_SYNC,
    CRC_BYTES,
    HEADER_BYTES,
    REQUEST_SYNC,
    VERSION,
    Command,
    Frame,
    Info,
    State,
)
from deeplock.pymodel.spec.registers import address

__all__ = ["FakeBoard", "pseudo_terminal"]

INFO = Info(VERSION, 24_000_000, "icebreaker")


@contextmanager
def pseudo_terminal(device: Callable[[bytes], bytes | None]) -> Iterator[str]:
    """A port whose device gives `device(bytes that came)` back; None: the device is pulled out."""
    master, slave = os.openpty()
    tty.setraw(slave)
    stop, wake = os.pipe()

    def work() -> None:
        while True:
            readable, _, _ = select.select([master, stop], [], [])
            if stop in readable:
                return
            answer = device(os.read(master, 4096))
            if answer is None:
                os.close(master)
                return
            os.write(master, answer)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield os.ttyname(slave)
    finally:
        os.write(wake, b".")
        thread.join()
        for file in (master, slave, stop, wake):
            with suppress(OSError):
                os.close(file)


class FakeBoard:
    """Registers, ifmaps and ofmaps as fpga.gateware.link has them; `line` may damage an answer, or take it away."""

    def __init__(self, info: Info = INFO, line: Callable[[bytes], bytes] = bytes) -> None:
        self._info, self._line = info, line
        self._came = b""
        self._last: tuple[int, bytes] = (0, b"")
        self.registers = {address("GEOMETRY"): 4}
        self.written: list[tuple[int, int]] = []
        self.ifmap, self.ofmap, self.ranges = b"", b"", []
        self.flash = True

    def __call__(self, data: bytes) -> bytes:
        self._came += data
        out = b""
        while len(self._came) >= HEADER_BYTES and len(self._came) >= (size := HEADER_BYTES + self._came[2] + CRC_BYTES):
            frame, self._came = Frame.decode(self._came[:size], REQUEST_SYNC), self._came[size:]
            assert frame is not None
            if not frame.sequence or frame.sequence != self._last[0]:
                self._last = frame.sequence, self._answer(frame).encode(ANSWER_SYNC)
            out += self._line(self._last[1])
        return out

    def _answer(self, request: Frame) -> Frame:
        state, data, payload = State.IFMAP, b"", request.payload
        match request.code:
            case Command.INFO:
                data = self._info.encode()
            case Command.READ:
                for index in payload:
                    state |= State(0) if 4 * index in self.registers else State.REFUSED
                    data += self.registers.get(4 * index, 0).to_bytes(4, "little")
            case Command.WRITE:
                self.written.append((4 * payload[0], int.from_bytes(payload[1:], "little")))
            case Command.SEND | Command.SEND_LAST:
                self.ifmap += payload
            case Command.RECEIVE if self.ofmap:
                data, state = self.ofmap, state | State.LAST
            case Command.STREAM if self.flash:
                self.ranges.append((int.from_bytes(payload[:3], "little"), int.from_bytes(payload[3:], "little")))
            case Command.STREAM:
                state |= State.REFUSED
        return Frame(request.sequence, state, data)
