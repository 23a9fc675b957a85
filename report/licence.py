"""What a licence says, for users."""

from typing import Any

from deeplock.pymodel.spec.licence import ALL_CLASSES, CLASSES, Licence

__all__ = ["facts"]


def _ranges(mask: int) -> str:
    """The bits that are set: 0-3,7."""
    edges = [
        place for place in range(CLASSES + 1) if (mask << 1 ^ mask) >> place & 1
    ]  # where a range begins or has ended
    pairs = zip(edges[::2], edges[1::2], strict=True)
    return ",".join(f"{first}-{end - 1}" if end - 1 > first else str(first) for first, end in pairs)


def facts(licence: Licence) -> dict[str, Any]:
    """The terms, as figures; `classes` are the outputs that show, such as 0-3,7. The last one stands for all behind it."""
    terms = licence.terms
    return {
        "suite": licence.suite,
        "bytes_per_beat": terms.bytes_per_beat,
        "device": terms.device,
        "model": terms.model,
        "least_version": terms.least_version,
        "most_version": terms.most_version,
        "inferences": terms.inferences or "any number",
        "classes": "all" if terms.classes == ALL_CLASSES else _ranges(terms.classes),
    }
