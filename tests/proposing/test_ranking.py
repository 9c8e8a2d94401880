"""Weights ranked by a linear probe on a sample."""

import itertools
from dataclasses import replace

from ktg.data.open import open_data
from ktg.graph import Data
from ktg.local import cache_folder
from ktg.proposing.ranking import NO_TIME, limit_side, rank_weights
from ktg.proposing.weights_here import find_weights_here
from ktg.zoo import default_zoo


def ignore(_text: str) -> None:
    pass


def test_the_best_come_first_and_scores_are_shares(in_zoo, photos):
    in_zoo("one", seed=1)
    in_zoo("two", seed=2)
    in_zoo("large", "resnet14")
    here, _ = find_weights_here({}, 32)
    data = open_data(Data(path=str(photos), size=16))
    ranking = rank_weights(here, {}, data, seconds=60, status=ignore)
    values = list(ranking.scores.values())
    assert len(values) == 3
    assert values == sorted(values, reverse=True)
    assert all(0 <= value <= 1 for value in values)
    assert {one.source for one in ranking.of_model("resnet8")} == {"zoo/one", "zoo/two"}
    assert ranking.images == 20


def test_what_does_not_fit_the_time_is_left_out(in_zoo, photos):
    in_zoo("one", seed=1)
    in_zoo("two", seed=2)
    here, _ = find_weights_here({}, 32)
    data = open_data(Data(path=str(photos), size=16))
    seconds = itertools.count(0, 10)
    ranking = rank_weights(here, {}, data, seconds=5, status=ignore, clock=lambda: next(seconds))
    assert len(ranking.scores) == 1
    assert ranking.left_out == {"resnet8@zoo/two": "not measured, for want of time"}


def test_a_network_that_takes_far_longer_than_the_others_is_given_up(in_zoo, photos):
    in_zoo("one", seed=11)
    in_zoo("two", seed=12)
    here, _ = find_weights_here({}, 32)
    data = open_data(Data(path=str(photos), size=16))
    # The first takes 1 s; the second has looked at its first batch after 100.
    seconds = iter([0, 0, 1, 100])
    ranking = rank_weights(here, {}, data, seconds=10, status=ignore, clock=lambda: next(seconds))
    assert [one.source for one in ranking.scores] == ["zoo/one"]
    assert ranking.left_out == {"resnet8@zoo/two": "not measured, for want of time"}


def test_of_each_group_one_is_measured_whatever_time_it_takes(in_zoo, photos):
    for seed, model in enumerate(("resnet8", "resnet8", "resnet14", "resnet14"), 21):
        in_zoo(f"of{seed}", model, seed)
    here, _ = find_weights_here({}, 32)
    groups = [[one for one in here if one.model == model] for model in ("resnet8", "resnet14")]
    data = open_data(Data(path=str(photos), size=16))
    seconds = itertools.count(0, 10)
    ranking = rank_weights(
        here, {}, data, seconds=5, status=ignore, one_of=groups, clock=lambda: next(seconds)
    )
    assert sorted(one.model for one in ranking.scores) == ["resnet14", "resnet8"]
    assert [*ranking.left_out.values()] == [NO_TIME, NO_TIME]


def test_time_counts_from_the_first_that_can_be_measured(in_zoo, photos):
    in_zoo("gone", seed=31)
    in_zoo("there", seed=32)
    here, _ = find_weights_here({}, 32)
    default_zoo().weights_file("gone/resnet8").unlink()
    here = sorted(here, key=lambda one: one.source)
    data = open_data(Data(path=str(photos), size=16))
    seconds = itertools.count(0, 10)
    ranking = rank_weights(here, {}, data, seconds=5, status=ignore, clock=lambda: next(seconds))
    assert [one.source for one in ranking.scores] == ["zoo/there"]
    assert "is missing" in ranking.left_out["resnet8@zoo/gone"]


def test_networks_for_tiny_images_are_ranked_at_a_side_that_suits_them(in_zoo, photos):
    in_zoo("one", seed=1)
    (one,), _ = find_weights_here({}, 32)
    data = open_data(Data(path=str(photos), size=96))

    def count_measured(weights):
        rank_weights([weights], {}, data, seconds=60, status=ignore)
        return len([*(cache_folder() / "affinity").iterdir()])  # results by what was seen

    first = count_measured(limit_side(one, 96))
    assert count_measured(replace(one, side=64)) == first
    assert count_measured(replace(one, side=96)) == first + 1
