import pytest

from deeplock.hw.lock.ciphers.ascon import Ascon
from tests.hw.lock.ciphers.cipher_tools import Message
from tests.hw.lock.ciphers.test_ciphers import run
from tests.hw.stream_tools import simulate
from tests.pymodel.lock.ciphers import ascon_vectors as published


@pytest.mark.parametrize("size, vectors", [(4, 5), (8, 5), (16, 3)])
def test_published_vectors_of_whole_words(size, vectors):
    """With associated data alone or a message alone."""
    dut = Ascon(size)

    async def testbench(ctx):
        count = 0
        for ad_size, plain_size, sealed in published.VECTORS:
            if bool(ad_size) == bool(plain_size) or (ad_size + plain_size) % size:
                continue
            data = bytes.fromhex(sealed)
            given = published.associated(ad_size) or published.plain(plain_size)
            taken = published.associated(ad_size) or data[:plain_size]
            tag = data[plain_size:]
            message = Message.of(size, published.KEY, published.NONCE, int(ad_size > 0), taken, given, tag)
            assert await run(ctx, dut, message) == message.given
            count += 1
        assert count == vectors

    simulate(dut, testbench)
