"""The loadable format for C: deeplock_format.h, made from the same layouts as docs/loadable-format.md."""

from dataclasses import replace

from deeplock.pymodel.lock.suites import names, suite
from deeplock.pymodel.spec import header, licence
from deeplock.pymodel.spec.descriptor import Descriptor
from deeplock.pymodel.spec.entry import ENTRY
from deeplock.pymodel.spec.record import WORDS

__all__ = ["format_header"]

_ABOUT = """\
/* The parts of a Deeplock loadable, as docs/loadable-format.md explains them. Each is an array of 32-bit words, little-endian
   in the stream. A function such as deeplock_header_rows() reads a field of one. C99. Made from pymodel/spec. */
"""


def format_header() -> str:
    """deeplock_format.h, C99: numbers of formats and suites, and a function for each field of header, terms, descriptor and
    entry."""
    layouts = (header.Header.layout, licence.Terms.layout, Descriptor.layout, ENTRY)
    numbers = {
        "MAGIC": f"{header.MAGIC:#x}u",
        "FORMAT_VERSION": str(header.VERSION),
        "LICENCE_MAGIC": f"{licence.MAGIC:#x}u",
        "LICENCE_VERSION": str(licence.VERSION),
        "RECORD_WORDS": f"{WORDS}  /* of header, terms, descriptor */",
        "ENTRY_WORDS": str(ENTRY.words),
        **{f"SUITE_{name.replace('-', '_').upper()}": str(suite(name).id) for name in names()},
    }
    defines = "".join(f"#define DEEPLOCK_{name} {value}\n" for name, value in numbers.items())
    guard = "#ifndef DEEPLOCK_FORMAT_H\n#define DEEPLOCK_FORMAT_H\n\n#include <stdint.h>\n"
    functions = "\n".join(replace(layout, name=f"deeplock_{layout.name}").c_functions() for layout in layouts)
    return "\n".join([_ABOUT + guard, defines, functions, "#endif\n"])
