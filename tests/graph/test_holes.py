import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ktg.errors import SpecError
from ktg.graph import HOLE_WORDS, Affinity, Choice, Int, Log, Uniform
from ktg.graph.holes import DEFAULT_SCORE, find_hole, read_hole


@pytest.mark.parametrize(
    ("raw", "hole"),
    [
        (
            {"choice": ["a", None, [1, 2], {"model": "b"}]},
            Choice(("a", None, [1, 2], {"model": "b"})),
        ),
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
        (
            {"choice": [{"a": 1, "b": [2]}, {"b": [2], "a": 1}]},
            "x.choice[1]: {'a': 1, 'b': [2]} is given twice",
        ),
        (
            {"choice": [1, {"log": [1, 2]}]},
            "x.choice[1]: a hole inside an option of another hole is not allowed",
        ),
        ({"choice": [{"model": {"choice": ["a"]}}]}, "x.choice[0].model: a hole inside an option"),
        ({"log": [2, 1]}, "x.log: the lower end comes first, got [2.0, 1.0]"),
        ({"int": [1, 1]}, "x.int: both ends are 1; write the value itself"),
        ({"log": [0, 1]}, "x.log: the lower end of a `log` must be above 0, got [0, 1]"),
        ({"log": [-1, 1]}, "x.log: the lower end of a `log` must be above 0"),
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
        (
            {"affinity": {"among": ["none"]}},
            "x.affinity: only the source of a node can be chosen by affinity",
        ),
    ],
)
def test_mistakes_are_explained(raw, message):
    with pytest.raises(SpecError) as caught:
        read_hole(raw, "x")
    assert message in str(caught.value)


SOURCE = "nodes.n0.source"


@pytest.mark.parametrize(
    ("content", "hole"),
    [
        (
            {"among": ["none", "a.pth"]},
            Affinity(("none", "a.pth"), keep=2, score=DEFAULT_SCORE, prior=False),
        ),
        (
            {"among": ["none"], "keep": 1, "score": "logme"},
            Affinity(("none",), keep=1, score="logme"),
        ),
        ({"among": ["none", "zoo/*"], "prior": True}, Affinity(("none", "zoo/*"), prior=True)),
    ],
)
def test_affinity_holes_are_read_and_written(content, hole):
    assert read_hole({"affinity": content}, SOURCE) == hole
    assert read_hole(hole.plain(), SOURCE) == hole


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (["none"], "affinity: expected a mapping"),
        ({}, "affinity.among: is missing; list the sources"),
        ({"among": []}, "affinity.among: at least one option is needed"),
        ({"among": ["none", "none"]}, "affinity.among[1]: 'none' is given twice"),
        (
            {"among": ["none", 3]},
            "affinity.among[1]: expected the name of a source or a file, got 3",
        ),
        (
            {"among": ["none"], "keep": 0},
            "affinity.keep: expected a whole number of at least 1, got 0",
        ),
        (
            {"among": ["none"], "keep": True},
            "affinity.keep: expected a whole number of at least 1, got True",
        ),
        (
            {"among": ["none"], "keep": 1, "prior": True},
            "affinity.keep: with `prior: true` every source is kept",
        ),
        ({"among": ["none"], "prior": 1}, "affinity.prior: expected true or false, got 1"),
        ({"among": ["none"], "score": "logm"}, "Did you mean 'logme'?"),
        (
            {"among": ["none"], "score": "emd"},
            "affinity.score: 'emd' is not a score that a search can measure",
        ),
        ({"among": ["none"], "score": ["parc"]}, "affinity.score: ['parc'] is not a score"),
        (
            {"amog": ["none"]},
            "affinity.amog: unknown key; allowed here: among, keep, score, prior. Did you mean",
        ),
    ],
)
def test_mistakes_in_affinity_holes_are_explained(content, message):
    with pytest.raises(SpecError) as caught:
        read_hole({"affinity": content}, SOURCE)
    assert str(caught.value).startswith(SOURCE)
    assert message in str(caught.value)


def test_a_prior_draws_the_better_more_often():
    assert Affinity(("a", "b", "c"), prior=True).probabilities() == pytest.approx(
        (6 / 11, 3 / 11, 2 / 11)
    )
    assert Affinity(("a", "b")).probabilities() == (0.5, 0.5)


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
    assert [
        hole.size() for hole in (Choice((1, 2)), Int(0, 3), Log(0.1, 1.0), Uniform(0.1, 1.0))
    ] == [2, 4, None, None]


@given(st.floats(1e-9, 1e9), st.floats(1e-9, 1e9))
def test_defaults_lie_in_the_middle(a, b):
    low, high = sorted((a, b))
    for hole in (Log(low, high), Uniform(low, high)):
        assert hole.contains(hole.default())
    assert Log(low, high).default() == pytest.approx(
        min(max(math.sqrt(low * high), low), high), rel=1e-5
    )
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
    assert find_hole({"a": [1, {"b": {"log": [1, 2]}}]}, "x") == "x.a[1].b"
    assert find_hole({"a": [1, "choice"]}, "x") is None


def test_many_options_are_compared_by_their_hash_and_not_each_with_each():
    compared = 0

    class Counted(str):
        __slots__ = ()

        def __eq__(self, other):
            nonlocal compared
            compared += 1
            return str.__eq__(self, other)

        __hash__ = str.__hash__

    options = [Counted(number) for number in range(20_000)]
    hole = read_hole({"choice": options}, "x")
    assert all(hole.contains(str(option)) for option in options)
    assert not hole.contains("20000")
    assert compared < 10 * len(options)
