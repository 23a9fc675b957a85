"""The self-checking testbench: deeplock_tb.v with its constants, what moves its data, and the hex files of one inference of
network `digits`."""

import secrets
from dataclasses import dataclass
from pathlib import Path

from deeplock.pymodel.compiler.compiler import compile_network
from deeplock.pymodel.compiler.licensed import expected_ofmaps
from deeplock.pymodel.lock.suites import suite
from deeplock.pymodel.spec import memory
from deeplock.pymodel.spec.config import Config
from deeplock.pymodel.spec.licence import Licence, allowed
from deeplock.pymodel.spec.loadable import Loadable
from deeplock.pymodel.spec.registers import ID, Command, Interrupt, address
from deeplock.pymodel.zoo import datasets, trained
from deeplock.pymodel.zoo.preprocess import quantise_input

__all__ = ["Case", "files_of_testbench", "testbench", "throw_away_case"]

NETWORK = "digits"
_TEMPLATE = Path(__file__).with_name("deeplock_tb.v")
_MEMORY_REGISTERS = ("CONTROL", "STATUS", "ADDRESS", "BYTES", "PACKETS", "INTERRUPT")
_REGISTERS = ("ID", "CONTROL", "STATUS", "COUNT", "KEY_SIZE", "KEY0", "INTERRUPT", "CYCLES")
_PATIENCE = 20
"""The testbench gives up after this many times the cycles that loading, erasing and the inference are expected to take."""
_LATENCY = 20
"""Of the memory behind a memory master, in cycles."""


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


def files_of_testbench(with_memory: bool) -> list[str]:
    """What the testbench is made of. A suite that does not lock has an empty key.hex."""
    inputs = ["memory.hex"] if with_memory else ["loadable.hex", "ifmap.hex"]
    return ["deeplock_tb.v", *inputs, "key.hex", "ofmap.hex"]


def _registers(buses: dict[str, int]) -> str:
    """The ports of AXI4-Lite buses. buses: beginning of their names, and which bit 12 of an address selects them."""
    lines = []
    for name, number in buses.items():
        here, two, word = f"bus == {number}", f"[{2 * number}+:2]", f"[{32 * number}+:32]"
        nets = {
            "awaddr": "address[11:0]", "awprot": "3'd0", "awvalid": f"awvalid && {here}", "awready": f"awready[{number}]",
            "wdata": "value", "wstrb": "4'hf", "wvalid": f"wvalid && {here}", "wready": f"wready[{number}]",
            "bresp": f"bresp{two}", "bvalid": f"bvalid[{number}]", "bready": "1'b1",
            "araddr": "address[11:0]", "arprot": "3'd0", "arvalid": f"arvalid && {here}", "arready": f"arready[{number}]",
            "rdata": f"rdata{word}", "rresp": f"rresp{two}", "rvalid": f"rvalid[{number}]", "rready": "1'b1",
        }  # fmt: skip
        lines += [f"        .{name}_{port}({net})," for port, net in nets.items()]
    return "\n".join(lines)


def _places(case: Case, config: Config) -> tuple[int, int]:
    """Where ifmap and ofmap lie in the memory, behind the loadable: at multiples of a beat."""
    beat = config.bytes_per_beat
    return len(case.stream), len(case.stream) + -(-len(case.ifmap) // beat) * beat


def _constants(case: Case, config: Config, with_memory: bool) -> str:
    numbers = {"OFMAP_SIZE": len(case.ofmap), "KEY_WORDS": len(case.key) // 4, "TIMEOUT": case.cycles}
    words = {f"REG_{name}": (13, address(name)) for name in _REGISTERS}
    words |= {"ID_VALUE": (32, ID)}
    words |= {f"CONTROL_{each.name}": (32, each.value) for each in (Command.LOAD, Command.START)}
    words |= {f"INTERRUPT_{each.name}": (32, each.value) for each in Interrupt}
    beat = config.bytes_per_beat
    if with_memory:
        ifmap_at, ofmap_at = _places(case, config)
        numbers |= {
            "BUSES": 2,
            "BEAT_BYTES": beat,
            "LATENCY": _LATENCY,
            "LOADABLE_BYTES": len(case.stream),
            "IFMAP_AT": ifmap_at,
            "IFMAP_BYTES": len(case.ifmap),
            "OFMAP_AT": ofmap_at,
            "MEMORY_BEATS": ofmap_at // beat + -(-len(case.ofmap) // beat),
        }
        words |= {f"REG_MEMORY_{name}": (13, 1 << 12 | memory.address(name)) for name in _MEMORY_REGISTERS}
        words |= {f"MEMORY_{each.name}": (32, each.value) for each in memory.Command if each != memory.Command.STOP}
        words |= {"MEMORY_INTERRUPT_ERROR": (32, memory.Interrupt.ERROR), "MEMORY_STATUS_IDLE": (8, memory.Status.IDLE)}
    else:
        numbers |= {
            "BUSES": 1,
            "LOADABLE_BYTES": beat,
            "LOADABLE_BEATS": len(case.stream) // beat,
            "IFMAP_BYTES": config.rows,
            "IFMAP_BEATS": len(case.ifmap) // config.rows,
            "OFMAP_BYTES": config.lanes,
        }
    lines = [f"    localparam {name} = {value};" for name, value in numbers.items()]
    lines += [f"    localparam [{bits - 1}:0] {name} = {bits}'h{value:x};" for name, (bits, value) in words.items()]
    return "\n".join(lines)


def _inputs(case: Case, config: Config, with_memory: bool) -> list[str]:
    beat = config.bytes_per_beat
    if with_memory:
        _, end = _places(case, config)
        about = f"loadable of {NETWORK}, then the first test image of scikit-learn's digits; a line's first byte on the right"
        return [_hex(about, (case.stream + case.ifmap).ljust(end, b"\0"), beat)]
    return [
        _hex(f"loadable of {NETWORK}, a beat a line, its first byte on the right", case.stream, beat),
        _hex("the first test image of scikit-learn's digits, a beat a line, its first byte on the right",
             case.ifmap, config.rows),
    ]  # fmt: skip


def testbench(case: Case, config: Config, module: str, with_memory: bool) -> dict[str, str]:
    """The texts of `files_of_testbench` by their names, around an accelerator that is called `module`; with_memory: one with a
    memory master."""
    transfers, buses = ("memory", {"s_axil": 0, "s_axil_memory": 1}) if with_memory else ("streams", {"s_axil": 0})
    text = _TEMPLATE.read_text()
    for mark, inserted in (
        ("TRANSFERS", _TEMPLATE.with_name(f"deeplock_tb_{transfers}.v").read_text()),
        ("PARAMETERS", _constants(case, config, with_memory)),
        ("REGISTERS", _registers(buses)),
        ("MODULE", module),
    ):
        text = text.replace(f"@{mark}@", inserted)
    key = "a throw-away key, drawn for this testbench: 32 bits a line, the first word first"
    hexes = (
        *_inputs(case, config, with_memory),
        _hex(key if case.key else "no key: the suite does not lock", case.key, 4),
        _hex("what must come: a byte a line, int8", case.ofmap, 1),
    )
    return dict(zip(files_of_testbench(with_memory), (text, *hexes), strict=True))
