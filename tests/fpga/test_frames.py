from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deeplock.fpga.frames import (
    ANSWER_SYNC,
    CRC,
    REQUEST_SYNC,
    Command,
    Frame,
    Info,
    State,
    markdown_tables,
    read_item,
    stream_item,
    write_item,
)

FRAMES = st.builds(Frame, st.integers(0, 15), st.integers(0, 15), st.binary(max_size=255))


def test_crc_is_mcrf4xx():
    assert CRC.compute(b"123456789") == 0x6F91  # the check value of the catalogue of parametrised CRC algorithms


@given(FRAMES)
def test_a_frame_is_sync_tag_length_payload_and_crc(frame):
    body = bytes([frame.sequence * 16 + frame.code, len(frame.payload)]) + frame.payload
    assert frame.encode(ANSWER_SYNC) == b"\x1d" + body + CRC.compute(body).to_bytes(2, "little")
    assert Frame.decode(frame.encode(REQUEST_SYNC), REQUEST_SYNC) == frame


def test_a_frame_by_hand():
    assert Frame(0, Command.INFO).encode(REQUEST_SYNC) == bytes.fromhex("d1 00 00") + CRC.compute(bytes(2)).to_bytes(
        2, "little"
    )
    assert Frame(9, Command.WRITE, write_item(0x2C, 3)).encode(REQUEST_SYNC)[:8] == bytes.fromhex(
        "d1 96 05 0b 03000000"
    )
    assert read_item(0xA4) == b"\x29"
    assert stream_item(0x123456, 0xABCDEF) == bytes.fromhex("563412 efcdab")


@given(FRAMES, st.data())
def test_damage_of_up_to_16_bits_in_a_row_shows(frame, data):
    sent = int.from_bytes(frame.encode(ANSWER_SYNC), "little")
    size = len(frame.encode(ANSWER_SYNC))
    burst = data.draw(st.integers(1, 0xFFFF)) << data.draw(st.integers(0, 8 * size - 1))
    damaged = (sent ^ burst) & (1 << 8 * size) - 1
    assert damaged == sent or Frame.decode(damaged.to_bytes(size, "little"), ANSWER_SYNC) is None


@given(FRAMES, st.data())
def test_a_part_of_a_frame_or_more_than_one_is_none(frame, data):
    sent = frame.encode(ANSWER_SYNC)
    assert Frame.decode(sent[: data.draw(st.integers(0, len(sent) - 1))], ANSWER_SYNC) is None
    assert Frame.decode(sent + bytes(data.draw(st.integers(1, 3))), ANSWER_SYNC) is None
    assert Frame.decode(sent, REQUEST_SYNC) is None


def test_info_comes_back():
    info = Info(1, 24_000_000, "icebreaker")
    assert info.encode() == b"\x01" + (24_000_000).to_bytes(4, "little") + b"icebreaker\0"
    assert Info.decode(info.encode()) == info
    assert Info.decode(info.encode()[:-1]) is None


def test_faults_of_arguments_are_named():
    with pytest.raises(ValueError, match="payload must be at most 255 bytes, not 256"):
        Frame(0, 0, bytes(256)).encode(REQUEST_SYNC)
    with pytest.raises(ValueError, match="board must be at most 11 characters, not colorlight-i5"):
        Info(1, 1, "colorlight-i5").encode()


def test_codes_fit_their_half_of_the_tag():
    assert max(Command) < 8 and sum(State) < 16


def test_docs_are_up_to_date():
    text = (Path(__file__).parents[2] / "docs" / "link.md").read_text()
    assert markdown_tables() in text, "docs/link.md: put the output of deeplock.fpga.frames.markdown_tables() in"
