import asyncio
import errno
import logging

import pytest
import serial

from deeplock.fpga.frames import VERSION, Info
from deeplock.fpga.host.client import LinkClient
from deeplock.fpga.host.port import SerialPipe, open_board
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.spec.registers import address
from tests.fpga.fake_board import FakeBoard, pseudo_terminal

BAUD = 1_000_000


def use(port: str, work=None, board: str | None = None):
    """Connect, do `work` with the client, and give its result."""

    async def main():
        async with open_board(port, BAUD, board) as client:
            return await work(client) if work else None

    return asyncio.run(main())


def fault(port: str, work=None, board: str | None = None) -> str:
    """What the user is told: one line, which begins with the port."""
    with pytest.raises(DeeplockError) as raised:
        use(port, work, board)
    text = str(raised.value)
    assert text.startswith(f"{port}: ") and "\n" not in text
    return text.removeprefix(f"{port}: ")


def test_a_board_is_used_over_a_serial_port(dice):
    board = FakeBoard()
    board.registers |= {address("ID"): 0x1234, address("CYCLES"): 0xFFFFFFFF}
    board.ofmap = dice.randbytes(10)
    ifmap = dice.randbytes(1000)

    async def work(client: LinkClient) -> None:
        assert await client.read("CYCLES") == 0xFFFFFFFF
        assert await client.read_all(["ID", "CYCLES"] * 60) == [0x1234, 0xFFFFFFFF] * 60
        await client.write("COUNT", 7)
        await client.stream_loadable(0x100000, 4096)
        assert await client.send_ifmap(ifmap)
        assert await client.receive_ofmap() == board.ofmap
        await client.reset()
        with pytest.raises(OSError, match="^read of KEY0: refused$"):
            await client.read("KEY0")

    with pseudo_terminal(board) as port:
        use(port, work, "icebreaker")
    assert board.written == [(address("COUNT"), 7)]
    assert board.ifmap == ifmap
    assert board.ranges == [(0x100000, 4096)]


def test_lost_and_damaged_answers_are_asked_for_again(dice):
    """And what they answer is not done again."""

    def line(answer: bytes) -> bytes:
        match dice.randrange(5):
            case 0:
                return b""
            case 1:
                return answer[: dice.randrange(len(answer))]
            case 2:
                at = dice.randrange(len(answer))
                return answer[:at] + bytes([answer[at] ^ 1 << dice.randrange(8)]) + answer[at + 1 :]
        return answer

    board = FakeBoard(line=line)
    values = [dice.randrange(1 << 32) for _ in range(20)]

    async def work(pipe: SerialPipe) -> None:
        client = LinkClient(pipe, timeout=0.05, attempts=50)
        await client.connect()
        for value in values:
            await client.write("COUNT", value)

    with pseudo_terminal(board) as port:
        pipe = SerialPipe(port, BAUD)
        asyncio.run(work(pipe))
        pipe.close()
    assert board.written == [(address("COUNT"), value) for value in values]


def test_a_late_answer_is_not_taken_for_the_next_one():
    """An answer that comes twice, because the request was sent twice."""
    board = FakeBoard(line=lambda answer: answer * 2)
    board.registers |= {address("CYCLES"): 1, address("COMPUTE"): 2}

    async def work(client: LinkClient) -> None:
        for _ in range(10):
            assert (await client.read("CYCLES"), await client.read("COMPUTE")) == (1, 2)

    with pseudo_terminal(board) as port:
        use(port, work)


def test_a_port_that_is_absent(tmp_path):
    assert fault(str(tmp_path / "ttyUSB7")) == "no such port; is the board plugged in?"


@pytest.mark.parametrize(
    "code,text",
    [
        (errno.EACCES, "no permission; on most systems the group dialout has it"),
        (errno.EBUSY, "another program uses it"),
    ],
)
def test_a_port_that_may_not_be_opened(code, text, monkeypatch):
    def refuse(*_, **__):
        raise serial.SerialException(code, "could not open port")

    monkeypatch.setattr(serial, "Serial", refuse)
    assert fault("/dev/ttyUSB0") == text


def test_a_port_that_is_open_already():
    async def again(_) -> str:
        with pytest.raises(DeeplockError) as raised:
            async with open_board(port, BAUD):
                pass
        return str(raised.value)

    with pseudo_terminal(FakeBoard()) as port:
        assert use(port, again) == f"{port}: another program uses it"


@pytest.mark.parametrize("name", ["/dev/null", "/tmp", "file"])
def test_what_is_no_serial_port(name, tmp_path):
    (tmp_path / "file").touch()
    assert fault(str(tmp_path / name)) == "not a serial port with 1000000 baud"


def test_a_device_that_is_silent():
    with pseudo_terminal(lambda data: b"") as port:
        assert fault(port) == "nothing answers; is the board powered, programmed and on this port?"


@pytest.mark.parametrize("kind", ["echo", "chatter", "modem"])
def test_another_device(kind, dice):
    answers = {"echo": bytes, "chatter": lambda data: dice.randbytes(400), "modem": lambda data: b"ERROR\r\n"}
    with pseudo_terminal(answers[kind]) as port:
        assert fault(port) == "what answers is no Deep-Lock board, or has another baud rate"


def test_another_board_and_another_version():
    with pseudo_terminal(FakeBoard()) as port:
        assert fault(port, board="ulx3s-85f") == "the board is icebreaker, not ulx3s-85f"
    with pseudo_terminal(FakeBoard(Info(VERSION + 1, 1, "icebreaker"))) as port:
        assert fault(port) == f"the board speaks version {VERSION + 1} of the link, not {VERSION}: program it anew"


def test_a_flash_that_does_not_answer():
    board = FakeBoard()
    board.flash = False
    with pseudo_terminal(board) as port:
        assert fault(port, lambda client: client.stream_loadable(0, 4)) == "the board's flash does not answer"


def test_a_board_that_falls_silent_or_is_unplugged():
    board, fate = FakeBoard(), b""

    def device(data: bytes) -> bytes | None:
        return fate if board.written else board(data)

    async def work(client: LinkClient) -> None:
        await client.write("COUNT", 1)
        await client.read("GEOMETRY")

    with pseudo_terminal(device) as port:
        assert fault(port, work) == "the board does not answer any more"
    board.written.clear()
    fate = None
    with pseudo_terminal(device) as port:
        assert fault(port, work) == "the port does not work any more"


def test_no_message_holds_a_key(caplog):
    """Neither a log nor an error, whatever goes wrong."""
    key, board = 0x9C31F7E5, FakeBoard()

    def device(data: bytes) -> bytes | None:
        return b"" if board.written else board(data)

    async def work(client: LinkClient) -> None:
        await client.write("KEY0", key)

    with caplog.at_level(logging.DEBUG), pseudo_terminal(device) as port:
        use(port, work)
        text = fault(port, work)
    text += caplog.text
    assert not any(form in text.lower() for form in (f"{key:x}", str(key), "e5f7319c", repr(key.to_bytes(4, "little"))))
