import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ktg.graph.drawing.geometry import Box, Curve, arrowhead, bend_line

shares = st.floats(0.01, 0.99)


@given(st.tuples(shares, shares).map(sorted), st.floats(0, 1))
def test_a_part_runs_along_the_whole(ends, t):
    begin, end = ends
    if begin == end:
        return
    whole = Curve((0, 0), (3, 5), (10, -1))
    assert whole.part(begin, end).at(t) == pytest.approx(whole.at(begin + (end - begin) * t))


@given(st.floats(0, 2 * math.pi), st.sampled_from([0.0, 0.13]), st.floats(150, 400))
def test_between_ends_at_both_borders(angle, bend, distance):
    source, target = (
        Box(0, 0, 100, 50),
        Box(distance * math.cos(angle), distance * math.sin(angle), 60, 20),
    )
    curve = bend_line(source.centre, target.centre, bend).between(source, target)
    for box, end in ((source, curve.start), (target, curve.end)):
        assert box.grow(1e-3).holds(end)
        assert not box.grow(-1e-3).holds(end)


def test_between_copes_with_a_box_wider_than_the_way():
    """The middle of the way from a small box to a wide one lies inside the wide one."""
    curve = bend_line((130, 0), (0, 0), 0).between(Box(130, 0, 20, 10), Box(0, 0, 200, 50))
    assert (curve.start[0], curve.end[0]) == pytest.approx((120, 100))


def test_opposite_curves_bend_apart():
    there, back = bend_line((0, 0), (10, 0), 0.2), bend_line((10, 0), (0, 0), 0.2)
    assert there.at(0.5) == pytest.approx((5, 1))
    assert back.at(0.5) == pytest.approx((5, -1))


def test_an_arrowhead_points_along_the_curve():
    tip, left, right = arrowhead(bend_line((0, 0), (20, 0), 0), 8, 6)
    assert tip == (20, 0)
    assert left == pytest.approx((12, 3))
    assert right == pytest.approx((12, -3))


def test_boxes_that_only_touch_do_not_overlap():
    assert not Box(0, 0, 2, 2).overlaps(Box(2, 0, 2, 2))
    assert Box(0, 0, 2, 2).overlaps(Box(1.9, 0, 2, 2))
