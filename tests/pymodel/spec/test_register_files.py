"""The C header and the SystemRDL of the registers, read by a C compiler and by systemrdl-compiler."""

import re
import subprocess

import pytest
from systemrdl import RDLCompiler
from systemrdl.node import AddrmapNode, RegNode

from deeplock.hw.control.registers import constants
from deeplock.pymodel.lock.suites import suite
from deeplock.pymodel.spec.config import EXTRAS, FEATURES, Config
from deeplock.pymodel.spec.register_files import c_header, fields_of, system_rdl
from deeplock.pymodel.spec.registers import ID, REGISTERS, Access, Command, Error, Interrupt, Register, Status

BY_NAME = {register.name: register for register in REGISTERS}


@pytest.fixture(scope="module")
def rdl(tmp_path_factory) -> AddrmapNode:
    path = tmp_path_factory.mktemp("rdl") / "deeplock.rdl"
    path.write_text(system_rdl())
    compiler = RDLCompiler()
    compiler.compile_file(str(path))
    return compiler.elaborate().top


def fields(register: Register, value: int) -> dict[str, int]:
    return {each.name: value >> each.low & (1 << each.high - each.low + 1) - 1 for each in fields_of(register)}


def test_fields_are_where_the_hardware_has_them():
    config = Config(rows=4, cols=16, bytes_per_beat=8, suite="acorn", padding=False, licences=True)
    values = constants(config)
    expected = {"ROWS": 4, "COLS": 16, "BYTES_PER_BEAT": 8, "SUITE": suite("acorn").id}
    assert fields(BY_NAME["GEOMETRY"], values["GEOMETRY"]) == expected
    found = fields(BY_NAME["FEATURES"], values["FEATURES"])
    assert found == {name.upper(): getattr(config, name) for name in (*FEATURES, *EXTRAS)}
    status = Status.LOADED | Status.KEYED | Error.BAD_TAG << 8
    found = {name for name, value in fields(BY_NAME["STATUS"], status).items() if value}
    assert found == {"LOADED", "KEYED", "ERROR_CODE"} and fields(BY_NAME["STATUS"], status)["ERROR_CODE"] == 12


def test_c_sees_the_values_of_the_model(tmp_path):
    values = {"ID_VALUE": ID} | {f"REG_{register.name}": register.address for register in REGISTERS}
    for register, bits in (("CONTROL", Command), ("STATUS", Status), ("INTERRUPT", Interrupt)):
        values |= {f"{register}_{bit.name}": bit.value for bit in bits}
    values |= {f"ERROR_{error.name}": error.value for error in Error}
    values |= {"STATUS_ERROR_CODE": 0xFF00, "STATUS_ERROR_CODE_SHIFT": 8, "GEOMETRY_SUITE": 0xFF00_0000}
    (tmp_path / "deeplock_regs.h").write_text(c_header())
    checks = "".join(f'if (DEEPLOCK_{name} != {value}u) puts("{name}");\n' for name, value in values.items())
    source = tmp_path / "check.c"
    source.write_text(f'#include <stdio.h>\n#include "deeplock_regs.h"\nint main(void) {{\n{checks}return 0;\n}}\n')
    strict = ["-std=c89", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
    subprocess.run(["gcc", *strict, "-o", tmp_path / "check", source], check=True)
    assert subprocess.run([tmp_path / "check"], capture_output=True, check=True).stdout == b""


def test_names_of_the_header_differ():
    names = re.findall(r"^#define (\w+)", c_header(), re.MULTILINE)
    assert len(names) == len(set(names)) > len(REGISTERS)


def test_system_rdl_has_every_register_and_field_at_its_place(rdl):
    found = {node.inst_name: node for node in rdl.children()}
    assert list(found) == list(BY_NAME)
    for name, node in found.items():
        register = BY_NAME[name]
        assert isinstance(node, RegNode) and node.address_offset == register.address
        assert node.get_property("desc") == register.meaning
        bits = {(field.inst_name, field.high, field.low) for field in node.fields()}
        assert bits == {(each.name, each.high, each.low) for each in fields_of(register)}
        for field in node.fields():
            assert field.is_sw_readable == (register.access != Access.WRITE)
            assert field.is_sw_writable == (register.access != Access.READ)


def test_system_rdl_names_the_error_codes(rdl):
    (field,) = (field for field in rdl.get_child_by_name("STATUS").fields() if field.inst_name == "ERROR_CODE")
    codes = {member.name: member.value for member in field.get_property("encode")}
    assert codes == {error.name: error.value for error in Error}
