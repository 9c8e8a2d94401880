"""The closed vocabulary of scores, what each needs, and results where data are degenerate."""

import math
from typing import get_args

import numpy as np
import pytest

import ktg.affinity
from ktg.affinity import SCORES, NotApplicableError, score
from ktg.affinity.scores import _MISSING, Need
from ktg.errors import SpecError, UserError
from ktg.graph.holes import SMALLER_IS_BETTER, Direction, ScoreName

GIVEN = {"source_probs", "class_distance", "source_means"}


def test_every_name_has_its_record_and_every_record_is_complete():
    assert set(SCORES) == set(get_args(ScoreName))
    assert set(_MISSING) == set(get_args(Need))
    assert {
        name for name, record in SCORES.items() if record.better == "smaller"
    } == SMALLER_IS_BETTER
    for name, record in SCORES.items():
        assert record.better in get_args(Direction)
        assert set(record.needs) <= set(_MISSING)
        assert record.reference, name
        assert record.trap, name
        assert record.function.__doc__, name


def test_the_package_offers_what_it_says():
    assert all(hasattr(ktg.affinity, name) for name in ktg.affinity.__all__)
    with pytest.raises(AttributeError):
        ktg.affinity.nothing  # noqa: B018


def test_an_unknown_name_is_told_the_nearest():
    with pytest.raises(SpecError, match="Did you mean 'logme'"):
        score("logm", np.ones((4, 2)), [0, 0, 1, 1])


@pytest.mark.parametrize(
    "name", [name for name, record in SCORES.items() if GIVEN & set(record.needs)]
)
def test_what_features_alone_cannot_tell_is_not_applicable(name):
    assert issubclass(NotApplicableError, UserError)
    with pytest.raises(NotApplicableError, match=f"{name}: needs"):
        score(name, np.ones((4, 2)), [0, 0, 1, 1])


@pytest.mark.parametrize(
    "name", [name for name, record in SCORES.items() if "two classes" in record.needs]
)
def test_one_class_is_not_applicable_where_classes_are_compared(name):
    with pytest.raises(NotApplicableError, match="two classes"):
        score(name, np.random.default_rng(0).normal(size=(5, 3)), [0] * 5)


def test_vectors_have_no_positions():
    with pytest.raises(NotApplicableError, match="position"):
        score("s3", np.random.default_rng(0).normal(size=(5, 3)), [0, 1, 0, 1, 0])


DEGENERATE = {
    "more dimensions than images": (
        np.random.default_rng(0).normal(size=(6, 20, 2, 2)),
        [0, 1, 0, 1, 2, 2],
    ),
    "one image in each class": (np.random.default_rng(1).normal(size=(5, 4, 2, 2)), list("abcde")),
    "one image in one class": (
        np.random.default_rng(2).normal(size=(7, 3, 2, 2)),
        [0, 0, 0, 1, 1, 1, 2],
    ),
    "constant channels": (
        np.random.default_rng(3).normal(size=(8, 4, 2, 2)) * [[[[0]], [[1]], [[0]], [[1]]]],
        [0, 1] * 4,
    ),
    "constant features": (np.full((8, 3, 2, 2), 0.1), [0, 1] * 4),
    "zero features": (np.zeros((8, 3, 2, 2)), [0, 1] * 4),
    "equal images in a class": (
        np.repeat(np.random.default_rng(4).normal(size=(2, 3, 2, 2)), 4, axis=0),
        [0] * 4 + [1] * 4,
    ),
    "two images": (np.random.default_rng(5).normal(size=(2, 3, 2, 2)), ["x", "y"]),
}


@pytest.mark.parametrize("case", DEGENERATE)
@pytest.mark.parametrize("name", SCORES)
def test_degenerate_data_give_a_number_or_not_applicable(name, case):
    features, labels = DEGENERATE[case]
    given = {
        "source_probs": np.full((len(labels), 3), 1 / 3),
        "class_distance": np.ones((3, len(set(labels)))),
        "source_means": np.ones((2, features.shape[1])),
    }
    try:
        assert math.isfinite(score(name, features, labels, **given))
    except NotApplicableError as reason:
        assert str(reason).startswith(f"{name}: ")


@pytest.mark.parametrize(
    "name",
    sorted(
        set(SCORES) - {"s5", "s5_rms", "s1", "s4", "s1_rms", "s3", "s4_rms", "emd", "emd_features"}
    ),
)
def test_the_better_direction_is_that_of_separated_classes(name):
    """Scores that look at labels prefer features that tell the classes apart."""
    random = np.random.default_rng(0)
    labels = np.arange(60) % 3
    noise = random.normal(size=(60, 8, 2, 2))
    signal = noise + 4 * np.eye(3, 8)[labels][:, :, None, None]
    probs = {"good": np.eye(3)[labels] * 0.7 + 0.1, "bad": np.full((60, 3), 1 / 3)}
    good = score(name, signal, labels, source_probs=probs["good"])
    bad = score(name, noise, labels, source_probs=probs["bad"])
    assert (good > bad) == (SCORES[name].better == "larger")
