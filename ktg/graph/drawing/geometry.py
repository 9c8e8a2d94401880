"""Computes boxes and quadratic curves in the plane, for the layout of a graph, in points."""

import math
from collections.abc import Callable
from dataclasses import dataclass

Point = tuple[float, float]


@dataclass(frozen=True)
class Box:
    """A rectangle by its centre, width and height."""

    x: float
    y: float
    width: float
    height: float

    @property
    def centre(self) -> Point:
        """The middle of the box."""
        return self.x, self.y

    def grow(self, by: float) -> "Box":
        """Return the box with `by` more on every side."""
        return Box(self.x, self.y, self.width + 2 * by, self.height + 2 * by)

    def holds(self, point: Point) -> bool:
        """Return whether a point lies inside."""
        across, up = abs(point[0] - self.x), abs(point[1] - self.y)
        return across <= self.width / 2 and up <= self.height / 2

    def overlaps(self, other: "Box") -> bool:
        """Return whether two boxes share more than a border."""
        across = abs(self.x - other.x) < (self.width + other.width) / 2
        return across and abs(self.y - other.y) < (self.height + other.height) / 2


@dataclass(frozen=True)
class Curve:
    """A quadratic Bezier curve from `start` to `end`, drawn towards `control`."""

    start: Point
    control: Point
    end: Point

    def at(self, t: float) -> Point:
        """Return the point at t in [0, 1]."""
        return _mix(_mix(self.start, self.control, t), _mix(self.control, self.end, t), t)

    def points(self, count: int) -> list[Point]:
        """Return `count` points from start to end."""
        return [self.at(i / (count - 1)) for i in range(count)]

    def part(self, begin: float, end: float) -> "Curve":
        """Return the piece between two values of t (de Casteljau)."""
        head = Curve(self.start, _mix(self.start, self.control, end), self.at(end))
        t = begin / end
        return Curve(head.at(t), _mix(head.control, head.end, t), head.end)

    def between(self, source: Box, target: Box) -> "Curve":
        """Return the piece that lies outside two boxes that hold the ends."""
        begin = _boundary(lambda t: source.holds(self.at(t)))
        end = 1 - _boundary(lambda t: target.holds(self.at(1 - t)))
        return self.part(begin, end)

    def without_end(self, length: float) -> "Curve":
        """Return the curve cut by about `length` at its end, to make room for an arrowhead."""
        return self.part(0.0, max(1 - length / math.dist(self.start, self.end), 0.01))


def bend_line(start: Point, end: Point, bend: float) -> Curve:
    """Return the curve whose control point lies left of the straight line, by `bend` of its length.

    So two edges between the same nodes in opposite directions bend apart.
    """
    (x0, y0), (x1, y1) = start, end
    middle = ((x0 + x1) / 2 - bend * (y1 - y0), (y0 + y1) / 2 + bend * (x1 - x0))
    return Curve(start, middle, end)


def arrowhead(curve: Curve, length: float, width: float) -> list[Point]:
    """Return the triangle at the end of a curve, tip first."""
    (x, y), (bx, by) = curve.end, curve.without_end(length).end
    size = math.dist(curve.end, (bx, by)) or 1.0
    ux, uy = (x - bx) / size, (y - by) / size
    base = (x - length * ux, y - length * uy)
    dx, dy = -uy * width / 2, ux * width / 2
    return [curve.end, (base[0] + dx, base[1] + dy), (base[0] - dx, base[1] - dy)]


def _mix(a: Point, b: Point, t: float) -> Point:
    return a[0] + (b[0] - a[0]) * t, a[1] + (b[1] - a[1]) * t


def _boundary(inside: Callable[[float], bool]) -> float:
    """Return, by bisection, where `inside` turns from true at 0 to false at 1."""
    low, high = 0.0, 1.0
    for _ in range(30):
        middle = (low + high) / 2
        low, high = (middle, high) if inside(middle) else (low, middle)
    return high
