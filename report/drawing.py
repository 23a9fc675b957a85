"""What the drawn figures of docs share: letters, rectangles, and the SVG around them."""

from collections.abc import Sequence
from xml.sax.saxutils import escape

__all__ = ["FONT", "picture", "rectangle", "text"]

FONT = 14
"""Height of letters in pixels. On a page that shrinks a drawing from 1040 pixels to 820, it is still 11."""


def text(x: float, y: float, words: str, *, middle: bool = False, bold: bool = False) -> str:
    style = (' text-anchor="middle"' if middle else "") + (' font-weight="bold"' if bold else "")
    return f'<text x="{x:g}" y="{y:g}"{style}>{escape(words)}</text>'


def rectangle(x: float, y: float, width: float, height: float, look: str) -> str:
    return f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" {look}/>'


def picture(title: str, width: int, height: int, parts: Sequence[str], definitions: str = "") -> str:
    """The drawing as SVG. It has its own light background, so that it can be read on a dark page too."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-family="Helvetica, Arial, sans-serif" font-size="{FONT}" fill="#111827">\n'
        f"<title>{escape(title)}</title>\n" + (f"<defs>{definitions}</defs>\n" if definitions else "")
    )
    ground = rectangle(1, 1, width - 2, height - 2, 'rx="10" fill="white" stroke="#9ca3af"')
    return head + "\n".join([ground, *parts]) + "\n</svg>\n"
