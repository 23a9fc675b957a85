"""The self-checking testbench: deeplock_tb.v with its constants, and the hex files of one inference of network `digits`."""

import secrets
from dataclasses import dataclass
from pathlib import Path

from deeplock.pymodel.compiler.compiler import compile_network
from deeplock.pymodel.compiler.licensed import expected_ofmaps
from deeplock.pymodel.lock.suites import suite
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.licence import Licence, allowed
from deeplock.pymodel.spec.loadable import Loadable
from deeplock.pymodel.spec.registers import ID, Command, Interrupt, address
from deeplock.pymodel.zoo import datasets, trained
from deeplock.pymodel.zoo.preprocess import quantise_input

__all__ = ["Case", "FILES", "testbench", "throw_away_case"]

NETWORK = "digits"
_TEMPLATE = Path(__file__).with_name("deeplock_tb.v")
_REGISTERS = ("ID", "CONTROL", "STATUS", "COUNT", "KEY_SIZE", "KEY0", "INTERRUPT", "CYCLES")
_PATIENCE = 20
"""The testbench gives up after this many times the cycles that loading, erasing and the inference are expected to take."""

FILES = ("deeplock_tb.v", "loadable.hex", "key.hex", "ifmap.hex", "ofmap.hex")
"""What the testbench is made of. A suite that does not lock has an empty key.hex."""


@dataclass(frozen=True, eq=False)
class Case:
    """One inference, and what must come of it.

    key      what goes into the key register; b"" if the suite does not lock
    stream   the loadable, behind its licence if the accelerator takes licences
    ifmap    whole beats
    ofmap    int8 bytes in the order in which they leave
    cycles   within which the ofmap comes
    """

    key: bytes
    stream: bytes
    ifmap: bytes
    ofmap: bytes
    cycles: int


def _sealed(loadable: Loadable, config: Config) -> tuple[Loadable, bytes]:
    """The loadable locked with the accelerator's suite and a new key, and what goes into the key register."""
    chosen = suite(config.suite)
    if not chosen.locks:
        return loadable, b""
    key = secrets.token_bytes(config.key_sizes[0])
    loadable = loadable.locked(config.suite, key)
    if not config.licences:
        return loadable, key
    device_key = secrets.token_bytes(config.key_sizes[0])
    return loadable.under(Licence.issued(allowed((), loadable.header, 1), key, device_key)), device_key


def throw_away_case(config: Config) -> Case:
    """The first test image through `digits`, compiled for this accelerator and locked with a key drawn for it.

    Raises DeeplockError, naming the layer or the memory, if the accelerator cannot run that network.
    """
    network = trained.load(NETWORK)
    loadable, key = _sealed(compile_network(network, config), config)
    loadable.check_fits(config)
    image = datasets.load(network.dataset, None).test_images[:1]
    ifmaps = quantise_input(network, image)
    ofmap = expected_ofmaps(loadable, config, key, ifmaps)
    beats = len(loadable.stream) // config.bytes_per_beat
    cycles = _PATIENCE * (beats + config.activation_words + loadable.interface.lower_bound)
    return Case(key, loadable.stream, loadable.pack_ifmap(ifmaps[0]), ofmap.tobytes(), cycles)


def _hex(about: str, data: bytes, size: int) -> str:
    """A file for $readmemh: `size` bytes a line, the first of them on the right."""
    beats = (data[at : at + size][::-1].hex() for at in range(0, len(data), size))
    return "\n".join([f"// {about}", *beats, ""])


def _constants(case: Case, config: Config) -> str:
    numbers = {
        "LOADABLE_BYTES": config.bytes_per_beat,
        "LOADABLE_BEATS": len(case.stream) // config.bytes_per_beat,
        "IFMAP_BYTES": config.rows,
        "IFMAP_BEATS": len(case.ifmap) // config.rows,
        "OFMAP_BYTES": config.lanes,
        "OFMAP_SIZE": len(case.ofmap),
        "KEY_WORDS": len(case.key) // 4,
        "TIMEOUT": case.cycles,
    }
    words = {f"REG_{name}": (12, address(name)) for name in _REGISTERS}
    words |= {"ID_VALUE": (32, ID)}
    words |= {f"CONTROL_{each.name}": (32, each.value) for each in (Command.LOAD, Command.START)}
    words |= {f"INTERRUPT_{each.name}": (32, each.value) for each in Interrupt}
    lines = [f"    localparam {name} = {value};" for name, value in numbers.items()]
    lines += [f"    localparam [{bits - 1}:0] {name} = {bits}'h{value:x};" for name, (bits, value) in words.items()]
    return "\n".join(lines)


def testbench(case: Case, config: Config, module: str) -> dict[str, str]:
    """The texts of `FILES` by their names, around an accelerator that is called `module`."""
    text = _TEMPLATE.read_text().replace("@PARAMETERS@", _constants(case, config)).replace("@MODULE@", module)
    key = "a throw-away key, drawn for this testbench: 32 bits a line, the first word first"
    hexes = (
        _hex(f"loadable of {NETWORK}, a beat a line, its first byte on the right", case.stream, config.bytes_per_beat),
        _hex(key if case.key else "no key: the suite does not lock", case.key, 4),
        _hex("the first test image of scikit-learn's digits, a beat a line, its first byte on the right",
             case.ifmap, config.rows),
        _hex("what must come: a byte a line, int8", case.ofmap, 1),
    )  # fmt: skip
    return dict(zip(FILES, (text, *hexes), strict=True))
