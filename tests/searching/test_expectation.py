"""What to expect of a graph: between what was seen and what its kind is worth."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ktg.proposing.kinds import LEADS, Lead
from ktg.searching.expectation import (
    SEED_STD,
    WITHIN_KIND,
    Seen,
    count_judges,
    expect_scores,
    measure_image_std,
    measure_noise,
)

KINDS = st.sampled_from(list(LEADS))
SCORE = st.floats(0.2, 0.9)
TRAININGS = st.sampled_from([1, 2, 3, 10, math.inf])
GRAPHS = st.lists(st.tuples(KINDS, SCORE, TRAININGS), min_size=1, max_size=8)


def make(graphs, images) -> list[Seen]:
    return [Seen(kind, score, trainings, images) for kind, score, trainings in graphs]


@given(GRAPHS)
def test_with_images_and_trainings_without_end_it_is_what_was_seen(graphs):
    seen = [Seen(kind, score, 1e12, 1e12) for kind, score, _ in graphs]
    assert expect_scores(seen) == pytest.approx([one.score for one in seen], abs=1e-6)


@given(GRAPHS, st.integers(5, 5000))
def test_where_nothing_is_known_of_kinds_and_settings_it_is_what_was_seen(graphs, images):
    blind = {kind: Lead(lead.mean, 1e3, lead.sets) for kind, lead in LEADS.items()}
    seen = make(graphs, images)
    expected = expect_scores(seen, leads=blind, settings=1e3)
    assert expected == pytest.approx([one.score for one in seen], abs=1e-5)


@given(GRAPHS, st.integers(5, 5000))
def test_kinds_without_a_spread_and_settings_are_worth_what_they_are(graphs, images):
    sure = {kind: Lead(lead.mean, 0.0, lead.sets) for kind, lead in LEADS.items()}
    # Scores that are far from failing, as what failed is its own kind.
    seen = [Seen(kind, 0.6 + 0.01 * score, n, images) for kind, score, n in graphs]
    pairs = zip(expect_scores(seen, leads=sure, settings=1e-4), graphs, strict=True)
    alone = [one - LEADS[kind].mean for one, (kind, _, _) in pairs]
    assert max(alone) - min(alone) < 1e-3


@given(GRAPHS, st.integers(5, 5000), st.floats(-0.1, 0.05))
def test_all_scores_moved_move_the_expectations_as_far(graphs, images, by):
    seen = make(graphs, images)
    moved = [Seen(one.kind, one.score + by, one.trainings, images) for one in seen]
    usual = min(0.5, abs(by))  # but for the noise, which depends on how accurate graphs are
    for plain, other in zip(expect_scores(seen), expect_scores(moved), strict=True):
        assert other - plain == pytest.approx(by, abs=0.3 * usual + 0.02)


@given(st.lists(SCORE, min_size=2, max_size=6), KINDS, st.integers(5, 5000))
def test_graphs_of_one_kind_keep_the_order_of_their_scores(scores, kind, images):
    expected = expect_scores([Seen(kind, score, 3, images) for score in scores])
    ranked = sorted(range(len(scores)), key=lambda place: scores[place])
    assert [expected[place] for place in ranked] == pytest.approx(sorted(expected))


@given(SCORE, st.integers(5, 5000), st.integers(1, 20))
def test_noise_falls_with_images_and_with_trainings(level, images, trainings):
    one = Seen("alone", level, trainings, images)
    noise = measure_noise(one, level, None, 0)
    assert noise > measure_noise(Seen("alone", level, trainings + 1, images), level, None, 0)
    assert noise > measure_noise(Seen("alone", level, trainings, 2 * images), level, None, 0)
    by_image = (1 - WITHIN_KIND) * level * (1 - level) / images
    first = measure_noise(Seen("alone", level, 1, images), level, None, 0)
    assert first == pytest.approx(by_image + SEED_STD**2)
    assert measure_noise(Seen("probe", level, math.inf, images), level, None, 0) == pytest.approx(
        by_image
    )


def test_the_spread_that_a_race_has_found_counts_by_its_trainings():
    one = Seen("alone", 0.7, 1, 100)
    usual, wide = (measure_noise(one, 0.7, spread, 2) for spread in (None, 0.2))
    assert usual < wide < measure_noise(one, 0.7, 0.2, 1000) < 1.1 * 0.2**2


def test_a_graph_that_has_failed_does_not_pull_its_kind_down():
    graphs = [Seen("alone", 0.7, 1, 50), Seen("taught", 0.72, 1, 50), Seen("mutual", 0.7, 1, 50)]
    plain = expect_scores(graphs)
    with_failed = expect_scores([*graphs, Seen("taught", 0.05, 1, 50)])
    assert with_failed[:3] == pytest.approx(plain, abs=0.01)
    assert with_failed[3] < 0.1


def test_graphs_of_one_kind_tell_of_each_other():
    good, poor = (
        expect_scores([Seen("alone", 0.6, 3, 100), *(Seen("taught", score, 3, 100),) * 4])[1]
        for score in (0.64, 0.54)
    )
    alone = expect_scores([Seen("alone", 0.6, 3, 100), Seen("taught", 0.54, 3, 100)])[1]
    assert poor < alone < good


def test_an_imbalanced_mean_over_classes_counts_as_fewer_images():
    labels, none = np.repeat([0, 1], [10, 90]), np.zeros(0, dtype=np.int64)
    assert count_judges("accuracy", labels, none, None) == 100
    assert count_judges("balanced_accuracy", labels, none, None) == 36
    assert count_judges("balanced_accuracy", np.repeat([0, 1], 50), none, None) == 100
    assert count_judges("accuracy", labels, np.zeros(300, dtype=np.int64), 5) == 80


@pytest.mark.parametrize("metric", ["loss", "auroc", "macro_f1"])
def test_no_images_judge_by_a_score_that_is_no_accuracy(metric):
    labels = np.repeat([0, 1], 50)
    assert count_judges(metric, labels, labels, None) is None
    assert count_judges(metric, labels, labels, 5) is None


def test_the_images_share_of_a_difference_falls_with_the_root_of_their_number():
    assert measure_image_std(0.6, 80) == pytest.approx(measure_image_std(0.6, 20) / 2)
