"""C that is compiled and run on this machine."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np

__all__ = ["read_in_c"]


def read_in_c(functions: str, values: Sequence[str], records: np.ndarray, folder: Path) -> np.ndarray:
    """int64 [n, values]: what the C expressions `values` make of `record`, for each of records uint32 [n, words]."""
    words = records.shape[1]
    prints = "".join(f'printf("%lld ", (long long)({value}));' for value in values)
    loop = f"uint32_t record[{words}]; while (fread(record, 4, {words}, stdin) == {words}) {{ {prints} }}"
    source, program = folder / "reader.c", folder / "reader"
    source.write_text(f"#include <stdint.h>\n#include <stdio.h>\n{functions}\nint main(void) {{ {loop} return 0; }}\n")
    subprocess.run(["gcc", "-Wall", "-Wextra", "-Werror", "-O2", "-o", program, source], check=True)
    data = records.astype("<u4").tobytes()
    output = subprocess.run([program], input=data, capture_output=True, check=True).stdout
    return np.array(output.split(), np.int64).reshape(len(records), len(values))
