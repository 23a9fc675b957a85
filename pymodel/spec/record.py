"""Base class of header and descriptor: dataclasses whose annotations give each field's bits."""

from collections.abc import Mapping
from math import prod
from typing import Annotated, ClassVar, Self, get_origin, get_type_hints

from deeplock.pymodel.spec.layout import Layout

__all__ = ["WORDS", "Record"]

WORDS = 16
"""Words of every record."""


class Record:
    """Base of frozen dataclasses with fields `Annotated[int, Field(...)]`, from which `layout` is made.

    Raises:
        DeeplockError: a value does not fit its field.
    """

    __slots__ = ()
    layout: ClassVar[Layout]
    products: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """Products of fields that the accelerator checks, by name; the factors in the order in which it multiplies them. The first
    one may be the product before."""

    def __init_subclass__(cls) -> None:
        hints = get_type_hints(cls, include_extras=True)
        fields = {name: hint.__metadata__[0] for name, hint in hints.items() if get_origin(hint) is Annotated}
        cls.layout = Layout(cls.__name__.lower(), WORDS, fields)

    def __post_init__(self) -> None:
        self.layout.check({name: getattr(self, name) for name in self.layout.fields})

    def product(self, name: str) -> int:
        """One of `products`."""
        factors = self.products[name]
        return prod(self.product(each) if each in self.products else getattr(self, each) for each in factors)

    def pack(self) -> bytes:
        return self.layout.pack({name: getattr(self, name) for name in self.layout.fields})

    @classmethod
    def unpack(cls, data: bytes) -> Self:
        """The record that `data` begins with."""
        return cls(**cls.layout.unpack(data))
