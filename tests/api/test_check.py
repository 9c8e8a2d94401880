"""What a search would cost."""

import pytest

from ktg.api.check import expected_epochs, unequal_classes
from ktg.graph import parse_space


@pytest.mark.parametrize(
    ("scheduler", "epochs"), [("none", 8), ("asha", 1 + 1 / 2 + 2 / 4 + 4 / 8)]
)
def test_expected_epochs_counts_what_asha_stops(scheduler, epochs):
    space = parse_space(
        {
            "data": {"name": "digits"},
            "train": {"lr": {"log": [0.1, 1]}},
            "nodes": {"n0": {"model": "resnet8"}},
            "edges": {"label -> n0": {}},
            "search": {"scheduler": scheduler, "grace_epochs": 1, "reduction_factor": 2},
        }
    )
    assert expected_epochs(space, 8) == epochs


def test_an_imbalance_is_named_with_its_figures():
    (said,) = unequal_classes(("free", "crack"), (90, 10))
    assert "free 90.0 %, crack 10.0 %" in said
    assert "balanced_accuracy" in said
    assert list(unequal_classes(("a", "b", "c"), (29, 10, 12))) == []
