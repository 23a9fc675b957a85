import pytest

from deeplock.hw.lock.ciphers.tinyjambu import TinyJambu
from tests.hw.lock.ciphers.cipher_tools import Message, begin, until_done, words
from tests.hw.refusal import assert_refused
from tests.hw.stream_tools import receive, send, simulate
from tests.pymodel.lock.ciphers.tinyjambu_vectors import KEY, NONCE, SIZE, TEXT, sealed


@pytest.mark.parametrize("steps", [32, 64, 128])
def test_published_vectors_of_whole_words(steps):
    """Those that have either associated data or a plain text: 4 to 32 bytes."""
    dut = TinyJambu(steps)
    messages = []
    for size in range(4, SIZE + 1, 4):
        ciphertext, tag = sealed(size, 0)
        messages.append(Message(KEY, NONCE, 0, words(ciphertext, 4), words(TEXT[:size], 4), tag))
        _, tag = sealed(0, size)
        messages.append(Message(KEY, NONCE, 1, words(TEXT[:size], 4), words(TEXT[:size], 4), tag))

    async def write(ctx):
        for message in messages:
            await begin(ctx, dut, message)
            await send(ctx, dut.inlet, message.beats)
            assert await until_done(ctx, dut) == message.tag

    async def read(ctx):
        for message in messages:
            beats = await receive(ctx, dut.outlet, len(message.given))
            assert [(beat.data, beat.last) for beat in beats] == message.given

    simulate(dut, write, read)


def test_another_number_of_steps_is_refused():
    assert_refused("steps must be 32, 64 or 128, not 256", lambda: TinyJambu(256))
