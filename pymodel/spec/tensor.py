"""What is said of a tensor outside the network too: its shape, and which real numbers its bytes stand for."""

from dataclasses import dataclass

__all__ = ["Pixels", "Quantisation", "Shape"]

Shape = tuple[int, int, int]
"""(height, width, channels)"""


@dataclass(frozen=True)
class Quantisation:
    """Real value = scale * (q - zero_point), q int8."""

    scale: float
    zero_point: int


@dataclass(frozen=True)
class Pixels:
    """What raw pixels 0..255 mean: real value = (pixel - zero) / one; one number for all channels, or one for each."""

    zero: tuple[float, ...] = (0.0,)
    one: tuple[float, ...] = (255.0,)

    @staticmethod
    def of(fields: "dict[str, list[float]] | None") -> "Pixels | None":
        """From what JSON makes of one, or of none."""
        return Pixels(**{name: tuple(map(float, values)) for name, values in fields.items()}) if fields else None
