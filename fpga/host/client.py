"""The host's end of the link, over anything that carries bytes: a serial port, or a UART in a simulation."""

from collections.abc import Sequence
from typing import Protocol

from deeplock.fpga.frames import (
    ANSWER_SYNC,
    CRC_BYTES,
    HEADER_BYTES,
    MAX_PAYLOAD,
    REQUEST_SYNC,
    SEQUENCES,
    VERSION,
    Command,
    Frame,
    Info,
    State,
    read_item,
    stream_item,
    write_item,
)
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.spec.registers import address

__all__ = ["LinkClient", "Pipe"]

_REGISTERS_PER_READ = MAX_PAYLOAD // 4
_FLASH_BYTES = 1 << 24


class Pipe(Protocol):
    """Bytes to and from a board. It may lose or damage bytes, but keeps their order."""

    name: str
    """Its name in messages."""

    async def send(self, data: bytes) -> None:
        """Send bytes; may return before they are on the line."""
        ...

    async def receive(self, count: int, timeout: float) -> bytes:
        """The next `count` bytes, or those that came within `timeout` seconds."""
        ...


class LinkClient:
    """A board. Call `connect` first.

    A request without an answer is sent again with the same sequence number, so that the board executes it only once. Sent bytes
    include keys: they are never logged and in no message.

    timeout    seconds to wait for an answer; more than a frame takes, and more than twice frames.BYTE_TIMEOUT
    attempts   how often a request is sent

    All methods raise DeeplockError, in one line, if the board does not answer.
    """

    def __init__(self, pipe: Pipe, timeout: float = 0.25, attempts: int = 4) -> None:
        self._pipe, self._timeout, self._attempts = pipe, timeout, attempts
        self._sequence = 0
        self._connected = False
        self._rows = 1
        self._ofmap = b""
        self.state = State(0)
        """Of the last answer."""

    async def connect(self, board: str | None = None) -> Info:
        """Ask the board for its INFO; DeeplockError if nothing answers, or something else, or not `board`."""
        self._connected, self._ofmap = False, b""
        await self._drain()
        name = self._pipe.name
        info = Info.decode((await self._ask(Command.INFO)).payload)
        if info is None or info.version != VERSION:
            version = "another version" if info is None else f"version {info.version}"
            raise DeeplockError(f"{name}: the board speaks {version} of the link, not {VERSION}: program it anew")
        if board not in (None, info.board):
            raise DeeplockError(f"{name}: the board is {info.board}, not {board}")
        self._connected = True
        self._rows = await self.read("GEOMETRY") & 0xFF
        return info

    async def read(self, name: str) -> int:
        """The value of a register; OSError if the board refuses."""
        return (await self.read_all([name]))[0]

    async def read_all(self, names: Sequence[str]) -> list[int]:
        """The values of registers, up to 63 a request."""
        values = []
        for at in range(0, len(names), _REGISTERS_PER_READ):
            items = [read_item(address(name)) for name in names[at : at + _REGISTERS_PER_READ]]
            answer = await self._ask(Command.READ, b"".join(items))
            if State.REFUSED in self.state:
                raise OSError(f"read of {', '.join(names)}: refused")
            values += [int.from_bytes(answer.payload[i : i + 4], "little") for i in range(0, len(answer.payload), 4)]
        return values

    async def write(self, name: str, value: int) -> None:
        """Write a register; OSError if the board refuses.

        One write a request: so each word of a key overwrites the one before in the board's buffer, and the next
        WRITE or STREAM the last one.
        """
        await self._ask(Command.WRITE, write_item(address(name), value))
        if State.REFUSED in self.state:
            raise OSError(f"write of {name}: refused")

    async def reset(self) -> None:
        """Reset the accelerator, which forgets key and program, and stop `stream_loadable`."""
        await self._ask(Command.RESET)
        self._ofmap, self.state = b"", State(0)  # that answer told of the state before the reset

    async def stream_loadable(self, address: int, length: int) -> None:
        """From now on, the loadable stream gets these bytes of the flash, over and over, as packets of `length` bytes.

        The previous range ends at once, in mid-packet if the accelerator has not taken all of it. `length` must be a multiple
        of the loadable stream's beat. DeeplockError if the flash does not answer.
        """
        if length <= 0 or address < 0 or address + length > _FLASH_BYTES:
            raise ValueError(f"address and length must lie within {_FLASH_BYTES} bytes, not {address} and {length}")
        await self._ask(Command.STREAM, stream_item(address, length))
        if State.REFUSED in self.state:
            raise DeeplockError(f"{self._pipe.name}: the board's flash does not answer")

    async def send_ifmap(self, ifmap: bytes) -> bool:
        """Send one ifmap, packed by Loadable.pack_ifmap; False if the accelerator does not take it now.

        If the accelerator stops within an ifmap, it does so with an error, which is then in STATUS.
        """
        if len(ifmap) % self._rows:
            raise ValueError(f"an ifmap must be a multiple of {self._rows} bytes, not {len(ifmap)}")
        if State.IFMAP not in self.state:
            await self._ask(Command.READ)
        if State.IFMAP not in self.state:
            return False
        size = MAX_PAYLOAD // self._rows * self._rows
        for at in range(0, len(ifmap), size):
            is_last = at + size >= len(ifmap)
            await self._ask(Command.SEND_LAST if is_last else Command.SEND, ifmap[at : at + size])
            if State.REFUSED in self.state:
                return False
        return True

    async def receive_ofmap(self) -> bytes | None:
        """The bytes of the next ofmap; None if the board does not have all of it yet."""
        while True:
            answer = await self._ask(Command.RECEIVE)
            self._ofmap += answer.payload
            if State.LAST in self.state:
                ofmap, self._ofmap = self._ofmap, b""
                return ofmap
            if State.OFMAP not in self.state:
                return None

    async def _ask(self, command: Command, payload: bytes = b"") -> Frame:
        """Send a request until its answer comes. INFO has sequence number 0, which never counts as a repetition."""
        self._sequence = 0 if command == Command.INFO else self._sequence % (SEQUENCES - 1) + 1
        request = Frame(self._sequence, command, payload).encode(REQUEST_SYNC)
        heard = False
        for _ in range(self._attempts):
            await self._pipe.send(request)
            answer, noise = await self._answer()
            if answer is not None:
                self.state = State(answer.code)
                return answer
            heard |= noise | await self._drain()
        raise DeeplockError(f"{self._pipe.name}: {self._diagnosis(heard)}")

    async def _answer(self) -> tuple[Frame | None, bool]:
        """The answer to the last request, or None; and whether anything came."""
        for _ in range(self._attempts):
            data = await self._pipe.receive(HEADER_BYTES, self._timeout)
            if len(data) < HEADER_BYTES or data[0] != ANSWER_SYNC:
                return None, bool(data)
            data += await self._pipe.receive(data[-1] + CRC_BYTES, self._timeout)
            answer = Frame.decode(data, ANSWER_SYNC)
            if answer is None or answer.sequence == self._sequence:  # else a late answer to a request sent twice
                return answer, True
        return None, True

    async def _drain(self) -> bool:
        """Discard bytes that are still arriving; returns whether there were any."""
        return bool(await self._pipe.receive(4096, self._timeout / 4))

    def _diagnosis(self, heard: bool) -> str:
        if self._connected:
            return "the board does not answer any more"
        if heard:
            return "what answers is no Deep-Lock board, or has another baud rate"
        return "nothing answers; is the board powered, programmed and on this port?"
