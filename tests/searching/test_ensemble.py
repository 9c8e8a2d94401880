"""The greedy ensemble: identities, a brute-force reference, and scores that did not choose."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from ktg.searching.ensemble import (
    MOST_CHOICES,
    choose_members,
    cross_fit,
    mix,
    score_answers,
    split_in_half,
)

METRICS = ("accuracy", "balanced_accuracy", "macro_f1", "auroc", "loss")


def make(models: int, images: int, classes: int, seed: int = 0, skill: float = 1.5):
    """Return labels and probabilities of classifiers that are right more often than not."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, images)
    labels[:classes] = np.arange(classes)
    logits = random.normal(size=(models, images, classes))
    logits[:, np.arange(images), labels] += skill
    library = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
    return labels, library.astype(np.float32)


@pytest.mark.parametrize("classes", [2, 4])
def test_scores_are_those_of_scikit_learn(classes):
    labels, (answers,) = make(1, 60, classes)
    said = answers.argmax(axis=1)
    plain = answers[:, 1] if classes == 2 else answers
    expected = {
        "accuracy": metrics.accuracy_score(labels, said),
        "balanced_accuracy": metrics.balanced_accuracy_score(labels, said),
        "macro_f1": metrics.f1_score(labels, said, average="macro"),
        "auroc": metrics.roc_auc_score(
            labels,
            plain / (plain.sum(axis=1, keepdims=True) if classes > 2 else 1),
            multi_class="ovr",
        ),
        "loss": -metrics.log_loss(labels, answers),
    }
    for metric in METRICS:
        assert score_answers(metric, labels, answers) == pytest.approx(expected[metric], abs=1e-5)


@pytest.mark.parametrize("metric", METRICS)
def test_an_ensemble_is_never_worse_than_its_best_member_where_it_was_chosen(metric):
    labels, library = make(8, 40, 3, seed=1)
    chosen = choose_members(metric, labels, library)
    best = max(score_answers(metric, labels, answers) for answers in library)
    assert score_answers(metric, labels, mix(library, chosen)) >= best - 1e-6
    assert 1 <= len(chosen) <= MOST_CHOICES
    assert set(chosen) <= set(range(8))


def test_one_classifier_is_its_own_ensemble():
    labels, library = make(1, 20, 3)
    assert set(choose_members("accuracy", labels, library)) == {0}
    assert np.allclose(mix(library, choose_members("accuracy", labels, library)), library[0])
    both = cross_fit("accuracy", labels, library)
    assert np.allclose(both.pooled, library[0], atol=1e-6)
    assert np.array_equal(both.single, library[0])


def test_one_that_is_always_right_and_sure_stands_alone():
    labels, library = make(5, 30, 3)
    library[3] = np.eye(3, dtype=np.float32)[labels]
    assert set(choose_members("loss", labels, library)) == {3}


def test_repetitions_are_weights():
    _, library = make(3, 10, 4)
    assert np.allclose(mix(library, [0, 0, 2]), (2 * library[0] + library[2]) / 3, atol=1e-6)
    assert np.allclose(mix(library, [1, 0, 1, 0]), mix(library, [0, 1]), atol=1e-6)
    assert np.allclose(mix(library, [0, 1, 2]).sum(axis=1), 1, atol=1e-5)


def test_two_that_complement_each_other_are_found_as_by_trying_all_pairs():
    labels, library = make(6, 50, 3, seed=4, skill=0.8)
    chosen = choose_members("loss", labels, library)
    pairs = itertools.combinations_with_replacement(range(6), 2)
    best = max(score_answers("loss", labels, mix(library, list(pair))) for pair in pairs)
    assert score_answers("loss", labels, mix(library, chosen)) >= best - 1e-6


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.permutations(range(5)))
def test_the_order_of_the_library_changes_nothing_but_names(seed, order):
    labels, library = make(5, 24, 3, seed=seed)
    plain = mix(library, choose_members("loss", labels, library))
    moved = mix(library[order], choose_members("loss", labels, library[order]))
    assert np.allclose(plain, moved, atol=1e-5)


def test_halves_share_every_class_and_no_image():
    labels = np.repeat([0, 1, 2], [10, 5, 1])
    half = split_in_half(labels)
    assert [int(half[labels == label].sum()) for label in range(3)] == [5, 2, 0]


def test_what_did_not_choose_tells_of_luck():
    """Of classifiers that all guess, the chosen seem good, and are not on other images."""
    labels, library = make(60, 80, 2, seed=2, skill=0.0)
    chosen = choose_members("accuracy", labels, library)
    seen = score_answers("accuracy", labels, mix(library, chosen))
    honest = [
        score_answers("accuracy", labels, cross_fit("accuracy", labels, library).pooled)
        for labels, library in (make(60, 80, 2, seed=seed, skill=0.0) for seed in range(10))
    ]
    assert seen > 0.7
    assert 0.42 < np.mean(honest) < 0.58


def test_an_ensemble_of_independent_errors_is_better_where_it_did_not_choose():
    labels, library = make(20, 200, 3, seed=3, skill=0.7)
    both = cross_fit("accuracy", labels, library)
    pooled, single = (
        score_answers("accuracy", labels, each) for each in (both.pooled, both.single)
    )
    assert pooled > single + 0.1
