"""The network to train, by what it is worth at the sides for which it has time."""

import pytest

from ktg.proposing import target
from ktg.proposing.networks import choose_targets
from ktg.proposing.target import TRAINED, Candidate, choose_candidate
from ktg.proposing.weights_here import WeightsHere


@pytest.fixture
def scored(monkeypatch):
    """Let probes have these scores, by model and side in pixels."""

    def let(**scores: dict[int, float]) -> None:
        def probe(best, sides, *_):
            own = scores[best.model]
            return {side: own.get(side, 0.5) for side in sides}

        monkeypatch.setattr(target, "_probe_sides", probe)

    return let


def test_a_training_is_worth_a_little_more_than_its_probe_and_a_larger_probe_may_be_more():
    probes = {96: 0.80, 128: 0.81, 160: 0.9}
    for default, worth in ((96, 0.9), (160, 0.9 + TRAINED)):
        assert Candidate("resnet8", (), (default, 160), probes).worth == pytest.approx(worth)
    assert Candidate("resnet8", (), (64,), {}).worth == pytest.approx(TRAINED)


@pytest.mark.parametrize("best", ["resnet8", "resnet14"])
def test_of_networks_within_chance_the_one_is_taken_that_is_worth_most_where_it_has_time(
    plan, large_photos, in_zoo, scored, best
):
    in_zoo("small")
    in_zoo("large", "resnet14")
    scored(**{model: {64: 0.5 + 0.4 * (model == best)} for model in ("resnet8", "resnet14")})
    found = plan(large_photos)
    offered = {one.model for one in choose_targets(found.ranking)}
    assert found.model == (best if best in offered else offered.pop())
    assert found.sources[0].model == found.model
    assert found.length.side == found.sides[0]


def test_the_smallest_is_taken_of_those_that_are_hardly_worse():
    def offer(model: str, parameters: int, score: float) -> Candidate:
        return Candidate(model, (WeightsHere(model, "imagenet", parameters),), (64,), {64: score})

    large, small = offer("resnet56", 900, 0.88), offer("resnet20", 300, 0.865)
    assert choose_candidate([large, small], images=200) == small  # the error is 2.1 points
    assert choose_candidate([large, small], images=2000) == large  # 0.7 points
    assert choose_candidate([large, offer("resnet8", 100, 0.80)], images=200) == large
    assert choose_candidate([Candidate("resnet20", (), (32,), {})], images=0).model == "resnet20"


def test_what_the_user_names_is_taken_whatever_it_is_worth(plan, large_photos, in_zoo, scored):
    in_zoo("small")
    in_zoo("large", "resnet14")
    scored(resnet8={64: 0.9}, resnet14={64: 0.6})
    assert plan(large_photos, target="resnet14").model == "resnet14"
    assert plan(large_photos, target="resnet14", size=20).sides == (20,)


def test_who_has_no_time_for_large_images_sees_small_ones_and_keeps_larger_for_the_probe(
    plan, large_photos, in_zoo, scored, monkeypatch
):
    in_zoo("small")
    monkeypatch.setattr(target, "training_seconds", lambda *_: 0.0)
    found = plan(large_photos, target="resnet8")
    assert found.sides == (32,)
    monkeypatch.setattr(target, "choose_sides", lambda *_, **__: (32, 48, 64))
    scored(resnet8={32: 0.6, 48: 0.7, 64: 0.5})
    assert plan(large_photos, target="resnet8").sides == (32, 48)
