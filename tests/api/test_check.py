"""What a search would cost."""

import pytest

from ktg.api.check import expected_epochs
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
