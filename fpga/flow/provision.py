"""Device keys in bitstreams: replaces the contents of the key memory, without a new place and route."""

from pathlib import Path

from deeplock.fpga.flow.bitstream import pack
from deeplock.fpga.flow.families import find_family
from deeplock.fpga.flow.toolchain import run_program
from deeplock.pymodel.errors import DeeplockError
from deeplock.pymodel.scratch import scratch
from deeplock.pymodel.spec.provisioning import key_rows

__all__ = ["with_device_key"]


def _words(rows: list[bytes], count: int) -> str:
    width = 2 * len(rows[0])
    values = [int.from_bytes(row, "little") for row in rows] + [0] * (count - len(rows))
    return "".join(f"{value:0{width}x}\n" for value in values)


def with_device_key(bitstream: bytes, family: str, device_key: bytes) -> bytes:
    """A bitstream of a design that takes licences, with the device's key (the suite's: lock.keys.suite_key) in its key memory.

    The key is in it in clear. Files with the key are in a folder for this user alone, which does not stay.

    Raises DeeplockError if the family has no such programs or one is missing, the bitstream has no empty key memory or is none,
    RuntimeError if a program fails.
    """
    found = find_family(family)
    if not found.fill:
        raise DeeplockError(
            f"no program puts a key into a bitstream for {family}: leave --device-key out, the host sends it"
        )
    with scratch() as folder:
        paths = {
            "bitstream": folder / f"packed{found.bitstream}",
            "configuration": folder / "configuration",
            "filled": folder / "filled",
            "before": folder / "before.hex",
            "after": folder / "after.hex",
        }
        names = {what: path.name for what, path in paths.items()}

        def run(command: tuple[str, ...], filters: Path | None = None) -> str:
            program, *arguments = (part.format(**names) for part in command)
            return run_program(program, arguments, folder, filters)

        paths["bitstream"].write_bytes(bitstream)
        run(found.unpack)
        if found.preamble not in bitstream or not paths["configuration"].exists():
            raise DeeplockError(f"not a whole bitstream for {family}")
        paths["before"].write_text(_words(key_rows(None), found.bram_words))
        paths["after"].write_text(_words(key_rows(device_key), found.bram_words))
        is_filter = not any("{configuration}" in part for part in found.fill)
        printed = run(found.fill, paths["configuration"] if is_filter else None)
        if is_filter:
            paths["filled"].write_text(printed)
        filled = paths["filled"].read_bytes() if paths["filled"].exists() else b""
        if filled in (b"", paths["configuration"].read_bytes()):
            raise DeeplockError(
                "no empty key memory in the bitstream: it must be of a board that takes licences, and without a device key"
            )
        paths["bitstream"].unlink()
        pack(paths["filled"], found, paths["bitstream"])
        return paths["bitstream"].read_bytes()
