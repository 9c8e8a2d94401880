"""What a sample accepts: arrays and tensors, labels of any kind; one sentence for the rest."""

import contextlib

import numpy as np
import pytest
import torch

from ktg.affinity import SCORES, NotApplicableError, score
from ktg.affinity.sample import Sample, order_classes
from ktg.errors import DataError

MAPS = np.random.default_rng(0).normal(size=(6, 3, 2, 2)).astype(np.float32)
GIVEN = {"source_probs", "class_distance", "source_means"}
LABELS = np.array([0, 1, 0, 1, 2, 2])


@pytest.mark.parametrize(
    "labels",
    [
        LABELS,
        torch.from_numpy(LABELS),
        list(torch.from_numpy(LABELS)),
        LABELS + 70,
        np.array(["a", "b", "c"])[LABELS],
        [("x", int(label)) for label in LABELS],
        [(None, "b", 3.5)[label] for label in LABELS],
        [frozenset({int(label)}) for label in LABELS],
    ],
    ids=["ints", "tensor", "tensors", "shifted", "names", "tuples", "mixed", "sets"],
)
def test_labels_may_be_any_hashable_values(labels):
    for name in ("s2", "s5", "logme", "knn", "linear_probe", "gbc"):
        assert score(name, MAPS, labels) == pytest.approx(score(name, MAPS, LABELS)), name


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_features_of_any_precision_are_taken_as_they_are(dtype):
    maps = torch.from_numpy(MAPS).to(dtype)
    assert Sample.of(maps, LABELS).maps.data_ptr() == maps.data_ptr()
    for name in ("s1", "s3", "s4", "hscore_shrunk"):
        assert score(name, maps, LABELS) == score(name, maps.double(), LABELS)


def test_gradients_are_not_followed():
    features = torch.from_numpy(MAPS).requires_grad_()
    assert score("s1", features, LABELS) == score("s1", MAPS, LABELS)


def test_vectors_average_over_positions():
    np.testing.assert_allclose(Sample.of(MAPS, LABELS).vectors, MAPS.mean(axis=(2, 3)), rtol=1e-5)
    assert torch.equal(
        Sample.of(MAPS[:, :, 0, 0], LABELS).vectors, torch.from_numpy(MAPS[:, :, 0, 0])
    )


def test_values_that_cannot_be_compared_keep_the_order_of_their_first_occurrence():
    assert order_classes([3, 1, 2, 1]) == (1, 2, 3)
    assert order_classes(["b", 1, "b", None]) == ("b", 1, None)


@pytest.mark.parametrize(
    ("features", "labels", "given", "problem"),
    [
        (MAPS[0], LABELS, {}, "features: shape"),
        (MAPS, LABELS[:4], {}, "4 of them for 6 images"),
        (MAPS[:1], LABELS[:1], {}, "two or more images"),
        (MAPS[:, :0], LABELS, {}, "none of them 0"),
        (MAPS > 0, LABELS, {}, "expected real numbers"),
        (np.where(MAPS > 1, np.nan, MAPS), LABELS, {}, "not finite"),
        (MAPS, [[0], [1], [0], [1], [2], [2]], {}, "cannot be a label"),
        (MAPS, [0, 1, 0, 1, 2, float("nan")], {}, "cannot be a label"),
        (MAPS, LABELS, {"source_probs": np.ones((6, 2))}, "probabilities"),
        (MAPS, LABELS, {"source_probs": np.ones((5, 1))}, "source_probs: shape"),
        (
            MAPS,
            LABELS,
            {"source_probs": np.ones((6, 1)), "class_distance": np.ones((2, 3))},
            "2 rows for 1 source",
        ),
        (MAPS, LABELS, {"class_distance": np.ones((2, 2))}, "one column for each class"),
    ],
)
def test_what_does_not_fit_is_said_in_one_sentence(features, labels, given, problem):
    with pytest.raises(DataError, match=problem):
        Sample.of(features, labels, **given)


@pytest.mark.parametrize(
    "name", [name for name, record in SCORES.items() if not GIVEN & set(record.needs)]
)
def test_no_score_changes_the_features_it_is_given(name):
    for maps in (MAPS.astype(np.float64), np.full((6, 3, 2, 2), 0.1)):
        before = maps.copy()
        with contextlib.suppress(NotApplicableError):
            score(name, maps, LABELS)
        np.testing.assert_array_equal(maps, before)
