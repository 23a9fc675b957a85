"""A board on a serial port."""

import contextlib
import errno
from collections.abc import AsyncIterator

import serial

from deeplock.fpga.host.client import LinkClient
from deeplock.pymodel.errors import DeeplockError

__all__ = ["SerialPipe", "open_board"]

_REASONS = {
    errno.ENOENT: "no such port; is the board plugged in?",
    errno.EACCES: "no permission; on most systems the group dialout has it",
    errno.EBUSY: "another program uses it",
    errno.EAGAIN: "another program uses it",
}


class SerialPipe:
    """A serial port as fpga.host.client.Pipe. Its methods block, because nothing else could run meanwhile."""

    def __init__(self, port: str, baud: int) -> None:
        """DeeplockError, in one line, if the port cannot be opened."""
        self.name = port
        try:
            self._serial = serial.Serial(port, baud, exclusive=True, write_timeout=5)
        except (serial.SerialException, ValueError, OSError) as error:
            reason = _REASONS.get(getattr(error, "errno", None) or 0, f"not a serial port with {baud} baud")
            raise DeeplockError(f"{port}: {reason}") from None
        with contextlib.suppress(Exception):  # only some drivers have it; without, each answer takes up to 16 ms
            self._serial.set_low_latency_mode(True)

    def close(self) -> None:
        self._serial.close()

    async def send(self, data: bytes) -> None:
        with self._errors():
            self._serial.write(data)

    async def receive(self, count: int, timeout: float) -> bytes:
        with self._errors():
            self._serial.timeout = timeout
            return self._serial.read(count)

    @contextlib.contextmanager
    def _errors(self):
        try:
            yield
        except (serial.SerialException, OSError):
            raise DeeplockError(f"{self.name}: the port does not work any more") from None


@contextlib.asynccontextmanager
async def open_board(port: str, baud: int, board: str | None = None) -> AsyncIterator[LinkClient]:
    """A connected LinkClient; DeeplockError, in one line, if the port or the board on it is wrong."""
    pipe = SerialPipe(port, baud)
    try:
        client = LinkClient(pipe)
        await client.connect(board)
        yield client
    finally:
        pipe.close()
