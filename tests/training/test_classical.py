"""Classical heads against scikit-learn's own, and the command's words against the table."""

from typing import get_args

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from ktg.cli.train import train
from ktg.training.classical import HEADS, HeadName, score_head


def clouds(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Two clouds of points in eight dimensions, one dimension of a thousand times the scale."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 2
    points = torch.randn(count, 2, 2, 2, generator=generator) + labels[:, None, None, None]
    points[:, 0, 0, 0] *= 1000
    return points, labels


def test_names_are_the_table_and_the_option():
    (option,) = [option for option in train.params if option.name == "head"]
    assert tuple(HEADS) == get_args(HeadName) == tuple(option.type.choices)


@pytest.mark.parametrize("head", HEADS)
def test_every_head_tells_two_clouds_apart(head):
    assert score_head(head, clouds(200, 0), clouds(100, 1), 0) > 0.85


def test_logistic_regression_sees_standardised_features():
    (x, y), (x_test, y_test) = clouds(60, 0), clouds(100, 1)
    scaler = StandardScaler().fit(x.flatten(1))
    model = LogisticRegression(max_iter=10_000).fit(scaler.transform(x.flatten(1)), y)
    expected = model.score(scaler.transform(x_test.flatten(1)), y_test)
    assert score_head("logistic", (x, y), (x_test, y_test), 0) == pytest.approx(expected)


@pytest.mark.slow
def test_chance_has_a_part_in_trees_only_and_is_seeded():
    for head in HEADS:
        accuracies = [
            score_head(head, clouds(24, 0), clouds(400, 1), seed) for seed in (0, 0, 1, 2)
        ]
        assert accuracies[0] == accuracies[1]
        assert (len(set(accuracies)) > 1) == (head == "trees")
