"""Importance: what decides gets it, what does nothing does not, and too few points are refused."""

import math

import numpy as np
import pytest

from ktg.graph import Choice, Log
from ktg.searching.importance import FEWEST, importance

HOLES = {
    "train.lr": Log(0.01, 1.0),
    "edges.n1.n0.gate": Choice(("through", "cutoff", ["a", "list"])),
}


def points(count, effect):
    random = np.random.default_rng(0)
    found = []
    for _ in range(count):
        lr, gate = (
            math.exp(random.uniform(math.log(0.01), 0)),
            HOLES["edges.n1.n0.gate"].options[random.integers(3)],
        )
        values = {"train.lr": lr, "edges.n1.n0.gate": gate}
        found.append((values, effect(values) + 0.001 * random.normal()))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("evaluator", ["fanova", "ped_anova"])
def test_what_decides_is_important(evaluator):
    by_rate = importance(
        HOLES, points(120, lambda v: -abs(math.log(v["train.lr"] / 0.1))), evaluator=evaluator
    )
    assert by_rate["train.lr"] > 0.8
    by_gate = importance(
        HOLES, points(120, lambda v: float(v["edges.n1.n0.gate"] == "cutoff")), evaluator=evaluator
    )
    assert by_gate["edges.n1.n0.gate"] > 0.8
    assert sum(by_gate.values()) == pytest.approx(1)
    assert list(by_gate) == list(HOLES)


def test_the_same_points_give_the_same_importance():
    some = points(30, lambda v: v["train.lr"])
    assert importance(HOLES, some, evaluator="fanova") == importance(
        HOLES, some, evaluator="fanova"
    )


@pytest.mark.parametrize("evaluator", ["fanova", "ped_anova"])
def test_too_few_or_equal_points_have_none(evaluator):
    some = points(FEWEST[evaluator], lambda v: v["train.lr"])
    assert importance(HOLES, some[1:], evaluator=evaluator) is None
    assert importance(HOLES, [(values, 0.5) for values, _ in some], evaluator=evaluator) is None
    assert importance(HOLES, [(some[0][0], math.nan), *some[1:]], evaluator=evaluator) is None
    assert importance(HOLES, some, evaluator=evaluator) is not None
    assert importance({}, some, evaluator=evaluator) is None
