import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ktg.errors import SpecError
from ktg.space import HOLE_WORDS, Choice, Int, Log, Uniform
from ktg.space.holes import hole_inside, read_hole


@pytest.mark.parametrize(
    ("raw", "hole"),
    [
        ({"choice": ["a", None, [1, 2], {"model": "b"}]}, Choice(("a", None, [1, 2], {"model": "b"}))),
        ({"choice": [1, True, "1"]}, Choice((1, True, "1"))),
        ({"log": [0.001, 1]}, Log(0.001, 1.0)),
        ({"uniform": [-1, 1]}, Uniform(-1.0, 1.0)),
        ({"int": [0, 4]}, Int(0, 4)),
    ],
)
def test_holes_are_read(raw, hole):
    assert read_hole(raw, "x") == hole
    assert hole.word in HOLE_WORDS


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"choice": []}, "x.choice: at least one option is needed, got an empty list"),
        ({"choice": "abc"}, "x.choice: expected a list of options, got 'abc'"),
        ({"choice": [1, 2, 1.0]}, "x.choice[2]: 1.0 is given twice, first as option [0]"),
        ({"choice": [{"a": 1, "b": [2]}, {"b": [2], "a": 1}]}, "x.choice[1]: {'a': 1, 'b': [2]} is given twice"),
        ({"choice": [1, {"log": [1, 2]}]}, "x.choice[1]: a hole inside an option of another hole is not allowed"),
        ({"choice": [{"model": {"choice": ["a"]}}]}, "x.choice[0].model: a hole inside an option"),
        ({"log": [2, 1]}, "x.log: lo <= hi must hold, but got (lo=2.0, hi=1.0)"),
        ({"int": [1, 1]}, "x.int: lo < hi must hold, but got (lo=1, hi=1); write the value itself"),
        ({"log": [0, 1]}, "x.log: lo > 0 must hold for a logarithm, but got [0, 1]"),
        ({"log": [-1, 1]}, "x.log: lo > 0 must hold"),
        ({"int": [1, 2.5]}, "x.int[1]: expected a whole number, got 2.5"),
        ({"int": [False, 2]}, "x.int[0]: expected a whole number, got False"),
        ({"uniform": [0, True]}, "x.uniform[1]: expected a finite number, got True"),
        ({"uniform": [0, math.inf]}, "x.uniform[1]: expected a finite number, got inf"),
        ({"uniform": [math.nan, 1]}, "x.uniform[0]: expected a finite number, got nan"),
        ({"uniform": [0, "1"]}, "x.uniform[1]: expected a finite number, got '1'"),
        ({"uniform": [0, 10**400]}, "x.uniform[1]: expected a finite number, got 1000"),
        ({"uniform": [0]}, "x.uniform: expected two numbers [lo, hi], got [0]"),
        ({"log": {"low": 1}}, "x.log: expected two numbers [lo, hi], got {'low': 1}"),
        ({"choice": [1], "default": 1}, "x: a hole has one key only"),
        ({"affinity": {"among": ["none"]}}, "x.affinity: affinity holes are not available yet"),
    ],
)
def test_mistakes_are_explained(raw, message):
    with pytest.raises(SpecError) as caught:
        read_hole(raw, "x")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("hole", "inside", "outside"),
    [
        (Choice((1, "a", [1, 2])), [1, 1.0, "a", [1, 2], (1, 2)], [True, "b", [2, 1], None]),
        (Choice((True, None)), [True, None], [1, False, 0]),
        (Log(0.1, 1.0), [0.1, 0.5, 1, 1.0], [0.09, 1.1, True, "0.5", math.nan, None]),
        (Int(0, 3), [0, 3], [-1, 4, 1.0, True, "1"]),
    ],
)
def test_contains(hole, inside, outside):
    assert all(hole.contains(value) for value in inside)
    assert not any(hole.contains(value) for value in outside)


def test_sizes():
    assert [hole.size() for hole in (Choice((1, 2)), Int(0, 3), Log(0.1, 1.0), Uniform(0.1, 1.0))] == [2, 4, None, None]


@given(st.floats(1e-9, 1e9), st.floats(1e-9, 1e9))
def test_defaults_lie_in_the_middle(a, b):
    low, high = sorted((a, b))
    for hole in (Log(low, high), Uniform(low, high)):
        assert hole.contains(hole.default())
    assert Log(low, high).default() == pytest.approx(min(max(math.sqrt(low * high), low), high), rel=1e-5)
    assert Uniform(low, high).default() == pytest.approx((low + high) / 2, rel=1e-5)


@given(st.integers(), st.integers(1, 100))
def test_default_of_int(low, width):
    hole = Int(low, low + width)
    assert hole.contains(hole.default())
    assert 0 <= (hole.high - hole.default()) - (hole.default() - hole.low) <= 1


def test_defaults_read_well():
    assert Log(1e-3, 1e-1).default() == 0.01
    assert Choice(("b", "a")).default() == "b"


def test_hole_inside_finds_the_first_path():
    assert hole_inside({"a": [1, {"b": {"log": [1, 2]}}]}, "x") == "x.a[1].b"
    assert hole_inside({"a": [1, "choice"]}, "x") is None
