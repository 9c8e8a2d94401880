"""What fits into a budget, by what was measured."""

from dataclasses import replace

import pytest

from ktg.graph import parse
from ktg.searching.budget import Reserve, estimate_seconds
from ktg.searching.trial import Trial


def graph(epochs: int, networks: int = 1):
    return parse(
        {
            "data": {"name": "digits"},
            "train": {"epochs": epochs},
            "nodes": {f"n{i}": {"model": "resnet8"} for i in range(networks)},
            "edges": {"label -> any": {}, "any -> n0": {}},
        }
    )


def trial(seconds: float, epochs: int = 1, networks: int = 1) -> Trial:
    return Trial(1, graph(9, networks), "key", epoch=epochs, train_s=seconds)


def test_nothing_is_known_before_an_epoch_is_over():
    assert estimate_seconds(graph(4), []) is None
    assert estimate_seconds(graph(4), [replace(trial(0.0), epoch=0)]) is None


def test_the_median_of_seconds_per_epoch_counts():
    known = [trial(2.0), trial(30.0, epochs=10), trial(100.0)]
    assert estimate_seconds(graph(4), known) == 12.0


def test_graphs_with_as_many_networks_count_before_others():
    known = [trial(1.0), trial(7.0, networks=3)]
    assert estimate_seconds(graph(2, 3), known) == 14.0
    assert estimate_seconds(graph(2, 2), known) == 8.0  # of all, where none is alike


@pytest.mark.parametrize(
    ("reserve", "left"), [(Reserve(), 0), (Reserve(1.5), 30), (Reserve(1.5, 5.0), 35)]
)
def test_a_reserve_is_counted_in_trainings_of_the_best_graph(reserve, left):
    assert reserve.needed_s(20.0) == left
