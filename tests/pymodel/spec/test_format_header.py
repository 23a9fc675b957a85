"""deeplock_format.h: C reads what Python writes."""

import re
import subprocess

import numpy as np
import pytest

from deeplock.pymodel.lock.suites import names, suite
from deeplock.pymodel.spec.descriptor import Descriptor
from deeplock.pymodel.spec.entry import ENTRY
from deeplock.pymodel.spec.format_header import format_header
from deeplock.pymodel.spec.header import Header
from deeplock.pymodel.spec.licence import Terms
from tests.pymodel.spec.c_tools import read_in_c


@pytest.mark.parametrize(
    "layout", [Header.layout, Terms.layout, Descriptor.layout, ENTRY], ids=lambda layout: layout.name
)
def test_c_reads_every_field(layout, tmp_path):
    """Random bits: all values of a field, and any neighbours."""
    words = np.random.default_rng(2).integers(0, 1 << 32, (200, layout.words), np.uint32)
    values = [f"deeplock_{layout.name}_{name}(record)" for name in layout.fields]
    found = read_in_c(format_header(), values, words, tmp_path)
    assert np.array_equal(found, np.stack(list(layout.extract(words).values()), axis=1))


def test_the_header_is_strict_c99_and_has_the_numbers_of_the_model(tmp_path):
    text = format_header()
    (tmp_path / "deeplock_format.h").write_text(text)
    (tmp_path / "use.c").write_text('#include "deeplock_format.h"\n#include "deeplock_format.h"\n')
    strict = ["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror", "-fsyntax-only"]
    subprocess.run(["gcc", *strict, tmp_path / "use.c"], check=True)
    found = dict(re.findall(r"^#define DEEPLOCK_SUITE_(\w+) (\d+)$", text, re.MULTILINE))
    assert found == {name.upper().replace("-", "_"): str(suite(name).id) for name in names()}
    magic = re.findall(r"^#define DEEPLOCK_(?:LICENCE_)?MAGIC (\w+)u$", text, re.MULTILINE)
    assert [int(each, 16).to_bytes(4, "little") for each in magic] == [b"NNLK", b"NNLL"]
