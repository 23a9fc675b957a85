"""Key files: one line of 32, 48 or 64 hex digits, readable by their owner only. A word in front may say whose key it is.

No error message contains a digit of a key.
"""

import os
import secrets
import stat
from pathlib import Path

from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.lock.key_schedule import KEY_SIZES, check_key_size
from deeplock.pymodel.scratch import scratch

__all__ = ["ROLES", "generate_key", "read_key", "write_key"]

ROLES = ("device", "model")
"""Whose key it may be. A key without a role serves as either."""

_HEX_DIGITS = b"0123456789abcdefABCDEF"
_MOST_BYTES = 256
"""More than any key file has; enough of another file to say why it is none."""


def generate_key(size: int) -> bytes:
    """A random key of 16, 24 or 32 bytes from the operating system's generator."""
    check_key_size(size)
    return secrets.token_bytes(size)


def read_key(path: str | os.PathLike[str], role: str = "") -> bytes:
    """The key in a file of 32, 48 or 64 hex digits and at most one line end. DeeplockError if it has another role.

    As with ssh, a file of this user's that others can read or write is refused. So is a key of zeros.

    Suites that do not seal take keys without a role only: theirs can be found, and with it all that is derived from it.
    """
    try:
        with open(path, "rb") as file:
            found = os.fstat(file.fileno())
            text = file.read(_MOST_BYTES)  # /dev/zero has no end
    except OSError as error:
        raise DeeplockError(f"key file {path}: {error.strerror}") from None
    digits = text.removesuffix(b"\n").removesuffix(b"\r")
    for other in ROLES:
        if digits.startswith(other.encode() + b" "):
            digits = digits[len(other) + 1 :]
            if other != role:
                needs = f"a {role} key" if role else "a key without a role, of its own"
                raise DeeplockError(f"key file {path}: holds a {other} key, this needs {needs}")
    for position, digit in enumerate(digits, 1):
        if digit not in _HEX_DIGITS:
            raise DeeplockError(f"key file {path}: needs hex digits only, character {position} is none")
    if len(digits) not in [2 * size for size in KEY_SIZES]:
        more = " or more" if len(text) == _MOST_BYTES else ""
        raise DeeplockError(f"key file {path}: needs 32, 48 or 64 hex digits, has {len(digits)}{more}")
    rights = stat.S_IMODE(found.st_mode)
    if stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid() and rights & 0o077:
        raise DeeplockError(f"key file {path}: is open to others (mode {rights:04o}): run `chmod 600 {path}`")
    key = bytes.fromhex(digits.decode())
    if not any(key):
        raise DeeplockError(f"key file {path}: is all zeros, which anyone guesses: make one with `deeplock keygen`")
    return key


def write_key(path: str | os.PathLike[str], key: bytes, role: str = "") -> None:
    """Write a key file of mode 0600 atomically; DeeplockError if the file exists already."""
    check_key_size(len(key))
    path = Path(path)
    try:
        with scratch(path.parent) as folder:
            temporary = folder / "key"
            temporary.touch(0o600)
            with temporary.open("w") as file:
                file.write(f"{role} {key.hex()}\n".lstrip())
                file.flush()
                os.fsync(file.fileno())
            os.link(temporary, path)  # unlike a rename, fails if the file exists
    except FileExistsError:
        raise DeeplockError(f"key file {path}: exists already, and is kept") from None
    except OSError as error:
        raise DeeplockError(f"key file {path}: {error.strerror}") from None
