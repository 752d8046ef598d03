"""A drawing of lines, dots and text, written as SVG: for charts of which a page has many.

Matplotlib takes a quarter of a second for a chart with four axes; this takes a few milliseconds,
and writes the same bytes on every machine. Lengths are in points, from the upper left corner.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

import numpy as np

from bench.analysis.intervals import Floats
from bench.report.elements.chart import FONT, SIZE


@dataclass(frozen=True, slots=True)
class Scale:
    """Places values on an axis between two points of a drawing."""

    low: float
    high: float
    start: float  # where low lies
    end: float
    log: bool = False

    def at(self, values: Floats | float) -> Floats:
        """Return where values lie; what is beyond an end lies at it."""
        clipped = np.clip(np.asarray(values, np.float64), self.low, self.high)
        ends = np.array([self.low, self.high])
        if self.log:
            clipped, ends = np.log(clipped), np.log(ends)
        width = ends[1] - ends[0] or 1.0
        return np.asarray(self.start + (clipped - ends[0]) / width * (self.end - self.start))


def circle(radius: float) -> str:
    """Return the form of a circle around a place."""
    half = f"a{radius:g} {radius:g} 0 1 0"
    return f"m{-radius:g} 0{half} {2 * radius:g} 0{half} {-2 * radius:g} 0"


class Drawing:
    """Collects what is drawn, the first below the others."""

    def __init__(self, width: float, height: float) -> None:
        self.size = width, height
        self._parts: list[str] = []

    def line(self, x: Iterable[float], y: Iterable[float], style: str) -> None:
        """Draw a line from point to point."""
        points = " ".join(f"{a:.2f} {b:.2f}" for a, b in zip(x, y, strict=True))
        self._path(f"M{points}", f"fill: none; {style}")

    def segments(self, ends: Iterable[tuple[float, float, float, float]], style: str) -> None:
        """Draw lines that do not touch: from x, y to x, y each."""
        path = "".join(f"M{a:.2f} {b:.2f}L{c:.2f} {d:.2f}" for a, b, c, d in ends)
        self._path(path, f"fill: none; {style}")

    def marks(self, x: Iterable[float], y: Iterable[float], form: str, style: str) -> None:
        """Draw a form at each place: a path relative to it, such as `h0` for a dot."""
        places = zip(x, y, strict=True)
        self._path("".join(f"M{a:.1f} {b:.1f}{form}" for a, b in places), style)

    def text(
        self, x: float, y: float, text: str, *, anchor: str = "middle", size: float = SIZE,
        turned: bool = False,
    ) -> None:  # fmt: skip
        """Write a text whose baseline is at a place; turned, it reads upwards."""
        turn = f' transform="rotate(-90 {x:.2f} {y:.2f})"' if turned else ""
        self._parts.append(
            f'<text x="{x:.2f}" y="{y:.2f}"{turn} style="font-size: {size:g}px; font-family: '
            f'{FONT}; text-anchor: {anchor}; fill: currentColor">{escape(text, quote=False)}</text>'
        )

    def svg(self) -> str:
        """Write it."""
        width, height = (f"{length:g}" for length in self.size)
        head = (
            '<svg xmlns="http://www.w3.org/2000/svg" version="1.1" '
            f'width="{width}pt" height="{height}pt" viewBox="0 0 {width} {height}">'
        )
        return "\n".join([head, *self._parts, "</svg>", ""])

    def _path(self, path: str, style: str) -> None:
        if len(path) > 1:
            self._parts.append(f'<path d="{path}" style="{style}"/>')
