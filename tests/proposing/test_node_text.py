"""The nodes of a plan."""

import dataclasses

import pytest

from ktg.graph.parse_space import parse_space
from ktg.graph.recipes import FROM_NOTHING
from ktg.proposing.found_images import look_at_images
from ktg.proposing.node_text import FEW, FEW_RATES, find_rates, propose_nodes
from ktg.proposing.space_text import make_space
from ktg.searching.baselines import ALONE, FINE_TUNED, PROBE, baselines


def test_weights_that_only_guess_are_not_praised(taught):
    first = taught.sources[0]
    known = {score: {**taught.ranking.scores, first: score} for score in (0.1, 1.0)}
    told = [
        make_space(
            dataclasses.replace(
                taught, ranking=dataclasses.replace(taught.ranking, scores=scores, images=400)
            ),
            "pets",
            "5m",
        ).reasons["nodes.n0.source"]
        for scores in known.values()
    ]
    assert ["largest class, 80.0 %" in each for each in told] == [True, False]


def test_head_then_fine_tuning_is_what_alone_is(plan, photos, in_zoo):
    in_zoo("small")
    found = plan(photos, target="resnet8")
    few = look_at_images(photos)
    counts = {**few.counts, "train": (FEW, FEW)}
    many = dataclasses.replace(found, images=dataclasses.replace(few, counts=counts))
    first = baselines(parse_space(make_space(many, "pets", "5m").plain))
    assert {PROBE, ALONE} <= set(first)
    assert FINE_TUNED not in first


def test_the_teacher_is_named_with_what_its_probe_has(taught):
    nodes, reasons = propose_nodes(taught)
    assert list(nodes) == ["n0", "teacher"]
    assert nodes["n0"]["lr"] == {"log": FEW_RATES}  # 20 images
    told = reasons["nodes.teacher"]
    assert "0.2 M parameters, trained on pictures" in told
    assert "a larger network teaches" in told
    assert "the probe has 90.0 %" in told
    assert "trained once for 3 epochs" in told


def test_a_network_from_nothing_has_a_recipe_of_its_own(plan, photos):
    nodes, reasons = propose_nodes(plan(photos))
    low, high = find_rates(FROM_NOTHING["lr"])
    own = {**FROM_NOTHING, "lr": {"log": [low, high]}}
    assert nodes == {"n0": {"model": "resnet20", "source": "none", **own}}
    assert (low * high) ** 0.5 == pytest.approx(FROM_NOTHING["lr"])  # `alone` is the recipe
    assert "learn from nothing" in reasons["nodes.n0.model"]
    assert "has seen no photographs" in reasons["nodes.n0.optimizer"]
