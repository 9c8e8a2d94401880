"""Writes boxes, arrows and text as SVG, with the standard library, in less than a millisecond.

A search draws every graph it tries. matplotlib took 30 ms for that, most of what a trial cost the
driver, and is made for axes, of which a drawing has none (docs/decisions.md).
"""

import re
from collections.abc import Sequence
from xml.etree import ElementTree

from ktg.graph.drawing.geometry import Box, Curve, Point, arrowhead

_HEAD_LENGTH, _HEAD_WIDTH = 7.5, 7.0
_FONTS = "'Helvetica Neue', Helvetica, Arial, 'DejaVu Sans', sans-serif"
_ANCHORS = {"center": "middle", "left": "start"}
_NOT_IN_XML = re.compile(r"[^\x20-\x7e\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]+")


class Canvas:
    """A white sheet measured in points, y upwards; what is drawn later lies above."""

    def __init__(self, sheet: Box) -> None:
        self._left, self._top = sheet.x - sheet.width / 2, sheet.y + sheet.height / 2
        width, height = _number(sheet.width), _number(sheet.height)
        view = {"viewBox": f"0 0 {width} {height}", "width": f"{width}pt", "height": f"{height}pt"}
        self._root = ElementTree.Element(
            "svg", {"xmlns": "http://www.w3.org/2000/svg", "version": "1.1", **view}
        )
        ElementTree.SubElement(
            self._root, "rect", {"width": width, "height": height, "fill": "#ffffff"}
        )
        self._drawn = ElementTree.SubElement(self._root, "g", {"font-family": _FONTS})

    def box(
        self,
        box: Box,
        radius: float,
        *,
        fill: str,
        line: str = "none",
        width: float = 1.0,
        dashes: Sequence[float] = (),
        opacity: float = 1.0,
        gid: str | None = None,
    ) -> None:
        """Draw a box with round corners."""
        x, y = self._place((box.x - box.width / 2, box.y + box.height / 2))
        size = {"width": _number(box.width), "height": _number(box.height), "rx": _number(radius)}
        stroke = _stroke(line, width, dashes, opacity)
        self._add("rect", gid, {"x": x, "y": y, **size, "fill": fill, **stroke})

    def arrow(
        self,
        curve: Curve,
        colour: str,
        dashes: Sequence[float],
        width: float = 1.6,
        opacity: float = 1.0,
        gid: str | None = None,
    ) -> None:
        """Draw a curve with a solid head at its end; `dashes` of the shaft are in line widths."""
        # The shaft ends inside the head: its butt end would show beside the tip.
        shaft = curve.without_end(_HEAD_LENGTH - 0.5)
        points = (shaft.start, shaft.control, shaft.end)
        start, control, end = (" ".join(self._place(point)) for point in points)
        stroke = _stroke(colour, width, dashes, opacity)
        self._add("path", gid, {"d": f"M {start} Q {control} {end}", "fill": "none", **stroke})
        corners = arrowhead(curve, _HEAD_LENGTH, _HEAD_WIDTH)
        head = " ".join(",".join(self._place(point)) for point in corners)
        stroke = _stroke("none", width, (), opacity)
        self._add("polygon", None, {"points": head, "fill": colour, **stroke})

    def text(
        self,
        at: Point,
        text: str,
        size: float,
        colour: str,
        bold: bool = False,
        align: str = "center",
        gid: str = "",
    ) -> None:
        """Write one line; `at` is the middle (or beginning, for `align` left) of its baseline."""
        x, y = self._place(at)
        style = {"font-size": _number(size), "fill": colour, "text-anchor": _ANCHORS[align]}
        weight = {"font-weight": "bold"} if bold else {}
        self._add("text", gid or None, {"x": x, "y": y, **style, **weight}).text = printable(text)

    def svg(self) -> str:
        """Return what was drawn as an SVG document: the same drawing gives the same text."""
        ElementTree.indent(self._root)
        text = ElementTree.tostring(self._root, "unicode")
        return f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n'

    def _add(self, kind: str, gid: str | None, attributes: dict[str, str]) -> ElementTree.Element:
        named = {"id": gid} if gid else {}
        return ElementTree.SubElement(self._drawn, kind, named | attributes)

    def _place(self, point: Point) -> tuple[str, str]:
        """Return a point as SVG counts it: from the upper left corner, y downwards."""
        return _number(point[0] - self._left), _number(self._top - point[1])


def _stroke(colour: str, width: float, dashes: Sequence[float], opacity: float) -> dict[str, str]:
    found = {"opacity": _number(opacity)} if opacity < 1 else {}
    if colour != "none":
        found |= {"stroke": colour, "stroke-width": _number(width)}
        if dashes:
            # Butt caps, SVG's own: round ones would close the gaps between the short dashes.
            found["stroke-dasharray"] = " ".join(_number(width * dash) for dash in dashes)
    return found


def _number(value: float) -> str:
    """Return a length to a hundredth of a point; never -0."""
    return f"{round(value, 2) + 0.0:g}"


def printable(text: str) -> str:
    """Return `text` on one line, without the control characters that XML cannot hold."""
    return _NOT_IN_XML.sub(" ", text).strip()
