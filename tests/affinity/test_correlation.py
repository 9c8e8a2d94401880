"""ScoreCorrelation on the two published tables, and what they are by definition."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from ktg.affinity.correlation import (
    ScoreCorrelation,
    correlate,
    count_beaten,
    orient,
    regret,
    weighted_tau,
)
from ktg.affinity.table import Table, read_table

TABLES = Path(__file__).parent / "tables"
NATURAL = (
    "sun397",
    "aircraft",
    "caltech101",
    "oxfordpets",
    "flowers102",
    "dtd",
    "stanfordcars",
    "voc2007",
)


@pytest.fixture(scope="module")
def benchmark():
    return correlate(read_table(TABLES / "tmlr_benchmark.csv", group="dataset"))


def table(scores, accuracy, models=None, groups=None):
    models = models or tuple(map(str, range(len(accuracy))))
    columns = {name: np.array(values, float) for name, values in scores.items()}
    return Table("accuracy", np.array(accuracy, float), columns, models, groups)


def test_caltech101_as_published():
    found = correlate(read_table(TABLES / "caltech101.csv"))
    rounded = {name: round(figures.spearman, 3) for name, figures in found.items()}
    assert rounded == {"s1": 0.863, "s2": 0.819, "s3": -0.565, "s4": 0.878, "s5": 0.929}
    assert all(
        figures.interval[0] < figures.spearman < figures.interval[1] for figures in found.values()
    )


@pytest.mark.parametrize(
    ("name", "mean"),
    [
        ("imagenet", 0.823),
        ("logme", 0.583),
        ("leep", 0.605),
        ("gbc", 0.742),
        ("parc", 0.736),
        ("hscore", 0.191),
    ],
)
def test_the_public_benchmark_as_published(benchmark, name, mean):
    assert np.mean([benchmark[name].groups[group].spearman for group in NATURAL]) == pytest.approx(
        mean, abs=5e-4
    )


def test_imagenet_accuracy_beats_most_scores_on_natural_images():
    whole = read_table(TABLES / "tmlr_benchmark.csv", group="dataset")
    rows = np.flatnonzero(np.isin(whole.groups, NATURAL))
    models, groups = (
        tuple(np.array(names)[rows].tolist()) for names in (whole.models, whole.groups)
    )
    natural = Table(
        "acc", whole.accuracy[rows], {n: v[rows] for n, v in whole.scores.items()}, models, groups
    )
    assert count_beaten(correlate(natural), "imagenet", ["imagenet"]) == (12, 13)


def test_means_are_over_groups(benchmark):
    figures = benchmark["gbc"]
    for name in ("spearman", "weighted_tau", "kendall", "pearson", "regret"):
        assert getattr(figures, name) == pytest.approx(
            np.mean([vars(each)[name] for each in figures.groups.values()])
        )


def test_figures_are_those_of_scipy():
    score, accuracy = [3.0, 1, 4, 1, 5, 9], [0.2, 0.1, 0.3, 0.2, 0.9, 0.6]
    found = correlate(table({"s": score}, accuracy))["s"]
    assert found.spearman == pytest.approx(stats.spearmanr(score, accuracy).statistic)
    assert found.kendall == pytest.approx(stats.kendalltau(score, accuracy).statistic)
    assert found.pearson == pytest.approx(stats.pearsonr(score, accuracy).statistic)
    assert found.regret == pytest.approx(0.3)


def test_the_convention_of_the_weighted_tau_matters():
    """The score confuses the two most accurate models, which it does not itself put first."""
    score, accuracy = np.array([5.0, 1, 2, 3, 4]), np.array([1.0, 4, 5, 3, 2])
    by = {rank: weighted_tau(score, accuracy, rank) for rank in ("score", "accuracy", "none")}
    assert len({round(value, 6) for value in by.values()}) == 3
    assert by["none"] == pytest.approx((by["score"] + by["accuracy"]) / 2, abs=0.1)
    assert weighted_tau(accuracy, score, "accuracy") == pytest.approx(by["score"])
    for rank in by:
        assert weighted_tau(score, score, rank) == pytest.approx(1)
        assert weighted_tau(score, -score, rank) == pytest.approx(-1)


def test_the_weighted_tau_of_a_score_to_be_small_weighs_what_it_puts_first():
    score, accuracy = [5.0, 1, 2, 3, 4], [1.0, 4, 5, 3, 2]
    for rank in ("score", "accuracy", "none"):
        small = correlate(table({"s3": score}, accuracy), rank)["s3"].weighted_tau
        large = correlate(table({"s1": [-one for one in score]}, accuracy), rank)["s1"].weighted_tau
        assert small == pytest.approx(-large)


def test_regret_follows_the_direction_and_shares_ties():
    accuracy = np.array([0.5, 0.9, 0.7])
    assert regret(np.array([1.0, 2, 3]), accuracy, "larger") == pytest.approx(0.2)
    assert regret(np.array([1.0, 2, 3]), accuracy, "smaller") == pytest.approx(0.4)
    assert regret(np.array([3.0, 3, 1]), accuracy, "larger") == pytest.approx(0.2)


def test_a_known_score_has_its_direction():
    found = correlate(table({"S3": [3, 2, 1, 0], "mine": [3, 2, 1, 0]}, [1, 2, 3, 4]))
    assert found["S3"].regret == 0
    assert found["mine"].regret == 3
    assert orient("S3", found["S3"]) == pytest.approx(1)
    assert orient("mine", found["mine"]) == pytest.approx(-1)


def test_a_constant_score_is_undefined_in_its_group_and_does_not_enter_the_mean():
    scores = {"flat": [1] * 6, "half": [1, 1, 1, 1, 2, 3]}
    found = correlate(table(scores, [1, 2, 3, 1, 2, 3], groups=("x",) * 3 + ("y",) * 3))
    assert found["flat"].spearman is None
    assert found["flat"].interval is None
    assert found["half"].groups["x"] == ScoreCorrelation()
    assert found["half"].spearman == pytest.approx(1)


def test_intervals_narrow_with_more_models_and_depend_on_the_seed_alone():
    random = np.random.default_rng(0)
    widths = []
    for models in (8, 200):
        accuracy = random.normal(size=models)
        data = table({"s": accuracy + random.normal(size=models)}, accuracy)
        low, high = correlate(data, seed=1)["s"].interval
        assert correlate(data, seed=1)["s"].interval == (low, high)
        widths.append(high - low)
    assert widths[1] < widths[0] / 3


def test_the_same_models_are_resampled_in_every_group():
    """Two groups that agree exactly tell no more of the models than one does."""
    random = np.random.default_rng(2)
    accuracy, noise = random.normal(size=9), random.normal(size=9)
    one = correlate(table({"s": accuracy + noise}, accuracy))["s"]
    order = random.permutation(9)
    names = tuple("abcdefghi")
    twice = table(
        {"s": np.r_[accuracy + noise, (accuracy + noise)[order]]},
        np.r_[accuracy, accuracy[order]],
        names + tuple(names[place] for place in order),
        ("x",) * 9 + ("y",) * 9,
    )
    assert correlate(twice)["s"].interval == pytest.approx(one.interval)


def test_figures_as_plain_data(benchmark):
    plain = benchmark["logme"].to_json()
    assert set(plain) == {
        "spearman",
        "weighted_tau",
        "kendall",
        "pearson",
        "regret",
        "interval",
        "groups",
    }
    assert set(plain["groups"]["dtd"]) == set(plain) - {"groups"}
