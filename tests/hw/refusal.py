"""Asserting that a component refuses its arguments."""

import gc
import re
import warnings
from collections.abc import Callable

import pytest
from amaranth.hdl import UnusedElaboratable

__all__ = ["assert_refused"]


def assert_refused(message: str, construct: Callable[[], object]) -> None:
    """`construct` raises a ValueError of exactly this message.

    Amaranth warns of every component that is never elaborated, also of one whose constructor failed, and does so when
    it is garbage: so it is made garbage here.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UnusedElaboratable)
        with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
            construct()
        gc.collect()
