"""Published known answers of Ascon-AEAD128."""

__all__ = ["KEY", "KNOWN_ANSWERS", "NONCE", "VECTORS", "associated", "plain"]

KEY, NONCE = bytes(range(0x00, 0x10)), bytes(range(0x10, 0x20))


def plain(size: int) -> bytes:
    return bytes(range(0x20, 0x20 + size))


def associated(size: int) -> bytes:
    return bytes(range(0x30, 0x30 + size))


# Known answers of Ascon-AEAD128, as the designers publish them with their reference (ascon-c, crypto_aead/asconaead128,
# LWC_AEAD_KAT_128_128.txt): the bytes of associated data, those of the message, ciphertext and tag.
VECTORS = [
    (0, 0, "4f9c278211bec9316bf68f46ee8b2ec6"),
    (1, 0, "cccb674fe18a09a285d6ab11b35675c0"),
    (2, 0, "f65b191550c4df9cfdd4460ebbcca782"),
    (8, 0, "865c594093a9edee2c1d6384ccb4939e"),
    (9, 0, "24f13284a0f90f906b18c7e4061c0896"),
    (15, 0, "759102a6953861627aae1836d003a294"),
    (16, 0, "e4230cdb8330ee9dc0cfd7c7b346e6dc"),
    (17, 0, "bd8851cd3af9847844839a791dd70e8c"),
    (0, 1, "e8 dd576aba1cd3e6fc704de02aedb79588"),
    (1, 1, "96 2b8016836c75a7d86866588ca245d886"),
    (0, 8, "e8c3deee246cc5ea e455ef6b33b782a3dd91ed6695373c27"),
    (0, 9, "e8c3deee246cc5eae3 329bc950ae101b9247f3605ebedcbf6c"),
    (0, 15, "e8c3deee246cc5eae3e872313897a2 83aecc1da0834a52940ec4bfcddb6404"),
    (0, 16, "e8c3deee246cc5eae3e872313897a2bb 9eaa915c9dd3245d77048f24d46d27a7"),
    (0, 17, "e8c3deee246cc5eae3e872313897a2bb60 301002539d456275dd0b0ceab3b23844"),
    (0, 32, "e8c3deee246cc5eae3e872313897a2bb6089aa3e15e80307970f2d1f006654c2 aaa5fa172cb9f07d07463cefc7440bc1"),
    (25, 30, "16cb13e5853541e2f36b38240366acee48e0b21d8a3424739fcd62ac2dde b2d36a792ba208d4158cdf4e968fa99f"),
    (32, 32, "cb34d04660a66dbfbe9c856601f5b8aa51a499b55ac8f7fbefbc331a613ee9cd fd191750a47f211c0a15ed28173d7caa"),
]

KNOWN_ANSWERS = "bbbc34692fe05e5fda0a3b025585622ab3e3747495e5e3655b29aae8c2a4bd33"
"""SHA-256 of the whole file of known answers, as projects that keep a copy of it publish it."""
