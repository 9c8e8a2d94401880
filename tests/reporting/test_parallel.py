"""Parallel coordinates: a line for every trained trial, an axis for each of the first holes."""

import re

import pytest
from records import VALUES
from webpage import read

from ktg.graph import Choice, Int, Log
from ktg.reporting.parallel import MOST_AXES, draw_parallel

HOLES = {
    "train.lr": Log(0.01, 0.1),
    "nodes.n1.model": Choice(("resnet8", "resnet14")),
    "edges.n1.n0.gate": Choice(("through",)),
    "nodes.n2.frozen_epochs": Int(0, 5),
}


def trial(number, state="finished", accuracies=(0.5, 0.6), **values):
    own = {path: VALUES.get(path, 3) for path in HOLES} | values
    return {
        "trial": f"t{number}",
        "state": state,
        "baseline": None,
        "val_accuracy": list(accuracies),
        "values_by_epoch": list(accuracies),
        "values": own,
    }


def lines(svg):
    """Return the number of polylines with more than two points: trials, not axes."""
    return sum(
        path.count("L") > 1
        for path in re.findall(r'<path d="([^"]*)" clip-path', svg.replace("\n", ""))
    )


@pytest.mark.usefixtures("closed_figures")
def test_every_trained_trial_is_a_line():
    trials = [
        trial(1),
        trial(2, "stopped", (0.1,)),
        trial(3, accuracies=(0.9, 0.7)),
        trial(4, "failed", ()),
    ]
    trials.append(trial(5) | {"values": None, "baseline": "mutual learning"})  # not of this space
    svg = draw_parallel(trials, HOLES, list(HOLES), "t3")
    assert lines(svg) == 3
    text = read(svg).text
    for word in (
        "lr",
        "n1.model",
        "n1.n0.gate",
        "accuracy",
        "60.00 %",
        "70.00 %",
        "stopped",
        "0.01",
        "resnet14",
        "5",
    ):
        assert word in text


def test_of_a_loss_the_lowest_is_at_the_top():
    svg = draw_parallel(
        [trial(1), trial(2, accuracies=(0.9, 0.2))], HOLES, list(HOLES), "t2", "loss"
    )
    text = read(svg).text
    assert "loss" in text
    assert text.index("0.2000") < text.index("0.6000")  # ticks are written from the best on


def test_no_more_axes_than_fit():
    holes = {f"nodes.n{n}.frozen_epochs": Int(0, 5) for n in range(12)}
    trials = [trial(1) | {"values": dict.fromkeys(holes, 1)}]
    text = read(draw_parallel(trials, holes, list(holes)[::-1], "t1")).text
    assert "n11.fro" in text
    assert text.count("epochs") == MOST_AXES


@pytest.mark.parametrize(
    "trials", [[], [trial(1)], [trial(1, "running", (0.1,))]], ids=["none", "one", "running"]
)
def test_few_trials_are_drawn_too(trials):
    assert "accuracy" in read(draw_parallel(trials, HOLES, list(HOLES), "t1")).text
