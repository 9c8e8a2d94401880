"""What trials are compared by: one metric of many, of which higher is better."""

import math
from typing import get_args

import pytest

from ktg.graph.space import MetricName
from ktg.searching.score import (
    KEYS,
    WORDS,
    format_difference,
    format_score,
    read_score,
    worst_score,
)


def test_every_metric_has_a_key_and_a_word():
    assert KEYS.keys() == WORDS.keys() == {*get_args(MetricName)}


@pytest.mark.parametrize("metric", [name for name in KEYS if name != "loss"])
def test_a_share_is_its_own_score(metric):
    assert read_score(metric, {KEYS[metric]: 0.25, "other": 1.0}) == 0.25
    assert format_score(metric, 0.25) == "25.00 %"
    assert format_difference(metric, -0.0125) == "-1.25"


def test_of_losses_the_lower_is_better_and_is_shown_as_it_is():
    good, poor = (read_score("loss", {"val_loss": loss}) for loss in (0.25, 0.5))
    assert good > poor
    assert (format_score("loss", good), format_difference("loss", good - poor)) == (
        "0.2500",
        "+0.2500",
    )


@pytest.mark.parametrize("metric", KEYS)
def test_nothing_is_worse_than_what_was_not_measured(metric):
    worst = worst_score(metric)
    assert read_score(metric, {}) == read_score(metric, {KEYS[metric]: math.nan}) == worst
    assert read_score(metric, {KEYS[metric]: 0.001}) > worst
    if metric == "loss":
        assert read_score(metric, {"val_loss": 1e9}) == worst  # or one outlier blinds a sampler
