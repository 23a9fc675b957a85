import pytest

from deeplock.hw.lock.ciphers.tinyjambu import TinyJambu
from tests.hw.lock.ciphers.cipher_tools import Message, WholeNonce
from tests.hw.lock.ciphers.test_ciphers import run
from tests.hw.refusal import assert_refused
from tests.hw.stream_tools import simulate
from tests.pymodel.lock.ciphers.tinyjambu_vectors import KEY, NONCE, SIZE, TEXT, sealed


@pytest.mark.parametrize("steps", [128, *(pytest.param(steps, marks=pytest.mark.slow) for steps in (32, 64))])
def test_published_vectors_of_whole_words(steps):
    """Those that have either associated data or a plain text: 4 to 32 bytes."""
    dut = WholeNonce(TinyJambu(4, steps), len(NONCE))

    async def testbench(ctx):
        for size in range(4, SIZE + 1, 4):
            text = TEXT[:size]
            for message in (
                Message.of(4, KEY, NONCE, 0, sealed(size, 0)[0], text, sealed(size, 0)[1]),
                Message.of(4, KEY, NONCE, 1, text, text, sealed(0, size)[1]),
            ):
                assert await run(ctx, dut, message) == message.given

    simulate(dut, testbench)


def test_another_number_of_steps_is_refused():
    assert_refused("steps must be 32, 64 or 128, not 256", lambda: TinyJambu(4, 256))
