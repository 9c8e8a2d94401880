"""Boxes, arrows and text as SVG, through matplotlib's object interface (no pyplot, no settings left changed)."""

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from ktg.drawing.geometry import Box, Curve, Point, arrowhead

_HEAD_LENGTH, _HEAD_WIDTH = 7.5, 7.0
_NOT_IN_XML = re.compile(r"[^\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]+")
_SETTINGS = {
    "svg.fonttype": "none",
    "svg.hashsalt": "ktg",
    "font.family": "sans-serif",
    "font.sans-serif": ["Helvetica Neue", "Helvetica", "Arial", "DejaVu Sans"],
}


@contextmanager
def settings() -> Iterator[None]:
    """Use matplotlib's defaults and text that stays text, whatever style the user has set, until the block ends."""
    import matplotlib

    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(_SETTINGS)
        yield


class Canvas:
    """A white sheet measured in points, y upwards; what is drawn later lies above. Use it inside `settings`."""

    def __init__(self, sheet: Box) -> None:
        from matplotlib.figure import Figure

        self._figure = Figure(figsize=(sheet.width / 72, sheet.height / 72), facecolor="white")
        self._axes = self._figure.add_axes((0, 0, 1, 1))
        self._axes.set_axis_off()
        self._axes.set_xlim(sheet.x - sheet.width / 2, sheet.x + sheet.width / 2)
        self._axes.set_ylim(sheet.y - sheet.height / 2, sheet.y + sheet.height / 2)
        self._order = 0

    def box(self, box: Box, radius: float, gid: str | None = None, **style: Any) -> None:
        """Draw a box with round corners."""
        from matplotlib.patches import FancyBboxPatch

        corner = (box.x - box.width / 2, box.y - box.height / 2)
        shape = f"round,pad=0,rounding_size={radius}"
        self._add(FancyBboxPatch(corner, box.width, box.height, boxstyle=shape, **style), gid)

    def arrow(
        self,
        curve: Curve,
        colour: str,
        dashes: Sequence[float],
        width: float = 1.6,
        opacity: float = 1.0,
        gid: str | None = None,
    ) -> None:
        """Draw a curve with a solid head at its end, whatever the dashes of its shaft."""
        from matplotlib.patches import PathPatch, Polygon
        from matplotlib.path import Path

        shaft = curve.without_end(_HEAD_LENGTH - 0.5)
        path = Path([shaft.start, shaft.control, shaft.end], [Path.MOVETO, Path.CURVE3, Path.CURVE3])
        style = (0, tuple(dashes)) if dashes else "solid"
        # Dashes are measured in line widths; round caps would close the gaps between the short ones.
        line = {"edgecolor": colour, "linewidth": width, "linestyle": style, "capstyle": "butt", "alpha": opacity}
        self._add(PathPatch(path, facecolor="none", **line), gid)
        head = Polygon(arrowhead(curve, _HEAD_LENGTH, _HEAD_WIDTH), facecolor=colour, edgecolor="none", alpha=opacity)
        self._add(head, None)

    def text(
        self, at: Point, text: str, size: float, colour: str, bold: bool = False, align: str = "center", gid: str = ""
    ) -> None:
        """Write one line; `at` is the middle (or beginning, for `align` left) of its baseline."""
        from matplotlib.text import Text

        weight = "bold" if bold else "normal"
        line = Text(*at, printable(text), color=colour, fontsize=size, fontweight=weight, ha=align, va="baseline")
        line.set_parse_math(False)
        self._add(line, gid or None)

    def svg(self) -> str:
        """Return what was drawn as an SVG document without date and version."""
        from matplotlib.backends.backend_svg import FigureCanvasSVG

        buffer = io.StringIO()
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        with warnings.catch_warnings():
            # Text stays text, so a viewer's fonts must have its letters, not the ones installed here.
            warnings.filterwarnings("ignore", "Glyph .* missing from font")
            FigureCanvasSVG(self._figure).print_svg(buffer, metadata=nothing)
        return buffer.getvalue()

    def _add(self, artist: Any, gid: str | None) -> None:
        self._order += 1
        artist.set(zorder=self._order, gid=gid, clip_on=False)
        self._axes.add_artist(artist)


def printable(text: str) -> str:
    """Return `text` on one line, without the control characters that XML cannot hold."""
    return _NOT_IN_XML.sub(" ", text).strip()
