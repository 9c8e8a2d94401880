"""Scores of the source's predictions and classes: references, empty classes, transport."""

import numpy as np
import ot
import pytest
import torch

from ktg.affinity import score
from ktg.errors import DataError


@pytest.mark.parametrize("case", range(5))
@pytest.mark.parametrize(("name", "key"), [("leep", "leep"), ("nce", "nce"), ("emd", "emd_onehot")])
def test_reference_numbers(shared, case, name, key):
    with np.load(shared / "reference" / "affinity" / "scores.npz", allow_pickle=False) as file:
        read = {
            part: file[f"{case:02d}/{part}"]
            for part in ("features", "labels", "source_probs", "class_distance", key)
        }
    given = {part: read[part] for part in ("source_probs", "class_distance")}
    found = score(name, read["features"], read["labels"], **given)
    assert found == pytest.approx(float(read[key]), rel=1e-12)


@pytest.fixture
def predicted():
    random = np.random.default_rng(0)
    return np.zeros((20, 1)), np.arange(20) % 3, random.dirichlet(np.ones(5), size=20)


@pytest.mark.parametrize("name", ["leep", "nce"])
def test_a_source_class_without_mass_says_nothing(predicted, name):
    features, labels, probs = predicted
    padded = np.insert(probs, 2, 0.0, axis=1)
    whole = score(name, features, labels, source_probs=probs)
    assert score(name, features, labels, source_probs=padded) == pytest.approx(whole)


def test_a_source_that_knows_the_labels_is_perfect_and_one_that_guesses_is_at_their_entropy(
    predicted,
):
    features, labels, _ = predicted
    entropy = -sum(p * np.log(p) for p in np.bincount(labels) / len(labels))
    for name in ("leep", "nce"):
        assert score(name, features, labels, source_probs=np.eye(3)[labels]) == pytest.approx(0)
        assert score(name, features, labels, source_probs=np.full((20, 4), 0.25)) == pytest.approx(
            -entropy
        )


def test_emd_equals_the_solver_with_all_mass_on_the_label(predicted):
    features, labels, probs = predicted
    distance = np.random.default_rng(1).uniform(size=(5, 3))
    solved = [
        ot.emd2(p, np.eye(3)[label], distance) for p, label in zip(probs, labels, strict=True)
    ]
    found = score("emd", features, labels, source_probs=probs, class_distance=distance)
    assert found == pytest.approx(np.mean(solved))


def test_columns_of_the_distances_follow_sorted_labels_or_are_numbered_by_them(predicted):
    features, labels, probs = predicted
    distance = np.random.default_rng(1).uniform(size=(5, 3))
    named = [("ant", "bee", "cat")[label] for label in labels]
    whole = score("emd", features, labels, source_probs=probs, class_distance=distance)
    assert score("emd", features, named, source_probs=probs, class_distance=distance) == whole
    some = labels != 1
    partial = score(
        "emd", features[some], labels[some], source_probs=probs[some], class_distance=distance
    )
    fewer = score(
        "emd",
        features[some],
        labels[some],
        source_probs=probs[some],
        class_distance=distance[:, [0, 2]],
    )
    assert partial == fewer
    with pytest.raises(DataError, match="one column for each class"):
        score(
            "emd",
            features[some],
            np.array(named)[some],
            source_probs=probs[some],
            class_distance=distance,
        )


def test_emd_features_of_a_data_set_with_itself_is_zero_and_of_a_shifted_one_the_shift():
    features, labels = np.random.default_rng(0).normal(size=(30, 4)), np.arange(30) % 3
    means = np.stack([features[labels == label].mean(axis=0) for label in range(3)])
    assert score("emd_features", features, labels, source_means=means) == pytest.approx(0, abs=1e-9)
    assert score(
        "emd_features", features, labels, source_means=means + np.array([0, 3, 0, 4])
    ) == pytest.approx(5)


def test_emd_features_weighs_classes_by_their_images():
    features, labels = np.array([[0.0], [0.0], [0.0], [1.0]]), [0, 0, 0, 1]
    means = np.array([[0.0], [1.0]])
    assert score(
        "emd_features", features, labels, source_means=means, source_sizes=[6, 2]
    ) == pytest.approx(0)
    assert score("emd_features", features, labels, source_means=means) == pytest.approx(0.25)


def test_a_transport_problem_without_a_solution_is_an_error_and_not_zero(monkeypatch):
    features, labels = np.random.default_rng(0).normal(size=(6, 2)), [0, 0, 0, 1, 1, 1]
    monkeypatch.setattr(
        torch, "cdist", lambda a, b: torch.full((len(a), len(b)), torch.nan, dtype=torch.float64)
    )
    with pytest.raises(DataError, match="not solved"):
        score("emd_features", features, labels, source_means=np.zeros((2, 2)))
