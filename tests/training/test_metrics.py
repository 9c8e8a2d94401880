"""Metrics come back as they went in, and the first bad one is found."""

import dataclasses
import math
import resource
import sys

import pytest
import torch

from ktg.errors import TrainingError
from ktg.training.metrics import (
    EdgeMetrics,
    EpochMetrics,
    NodeMetrics,
    StepMetrics,
    StepTable,
    average_steps,
    check_finite,
    measure_peak_memory,
)
from ktg.training.scoring import Evaluation

A, B = ("label", "n0"), ("n1", "n0")


def step(*losses: float, learned: float = 1.0) -> StepMetrics:
    weights = dict.fromkeys((A, B), 0.5)
    loss = dict(zip((A, B), losses, strict=True))
    return StepMetrics(loss, weights, {"n0": 0.25, "n1": 0.75}, {B: learned})


def tensors(metrics: StepMetrics, dtype: torch.dtype) -> StepMetrics:
    groups = vars(metrics).values()
    return StepMetrics(
        *(
            {key: torch.tensor(value, dtype=dtype) for key, value in group.items()}
            for group in groups
        )
    )


def test_steps_come_back_as_they_went_in_and_are_averaged():
    table, steps = StepTable(2, torch.device("cpu")), [step(1.5, 2.0), step(3.0, 4.0, learned=2.0)]
    for number, dtype in enumerate((torch.float32, torch.float64)):
        table.add(number, tensors(steps[number], dtype))
    assert table.read() == steps
    assert average_steps(steps) == step(2.25, 3.0, learned=1.5)


def test_the_first_loss_that_is_not_finite_is_found_and_named_as_the_user_does():
    names, rates = {"n0": "mine", "n1": "other"}, {"n0": 0.1}
    check_finite([step(1.0, 2.0), step(2.0, 3.0)], 1, rates, names)
    bad = [step(1.0, 0.0), step(2.0, math.inf), step(math.nan, 0.0)]
    with pytest.raises(TrainingError) as caught:
        check_finite(bad, 4, rates, names)
    assert str(caught.value) == (
        "the loss of edge other -> mine became inf in epoch 4, step 2 of 3 "
        "(learning rates: mine 0.1); try a lower train.lr or set train.clip_norm"
    )


def test_metrics_are_flat_dotted_and_leave_out_what_there_is_not():
    epoch = EpochMetrics(
        number=3,
        target="n0",
        nodes={"n0": NodeMetrics(0.5, 0.6, 1.0, 0.1), "n1": NodeMetrics(0.9)},
        edges={("label", "n0"): EdgeMetrics(1.2, 1.0)},
        seconds=2.0,
        images_per_s=100.0,
        peak_memory_bytes=2**20,
        scored=Evaluation(0.6, 1.0, 0.55, 0.5, None, False),
        ensemble=Evaluation(0.7, 0.8),
    )
    metrics = epoch.metrics()
    assert metrics["val_accuracy"] == metrics["nodes.n0.val_accuracy"] == 0.6
    assert metrics["edges.label.n0.openness"] == 1.0
    assert metrics["peak_memory_mib"] == 1.0
    assert "nodes.n1.lr" not in metrics
    assert "nodes.n1.val_loss" not in metrics
    assert (metrics["ensemble.val_accuracy"], metrics["ensemble.val_loss"]) == (0.7, 0.8)
    assert (metrics["val_balanced_accuracy"], metrics["val_macro_f1"]) == (0.55, 0.5)
    assert "val_auroc" not in metrics  # undefined
    assert metrics["collapsed"] == 0.0
    together = dataclasses.replace(epoch, scored=epoch.ensemble)
    assert (together.val_accuracy, together.metrics()["val_loss"]) == (0.7, 0.8)
    begun = dataclasses.replace(epoch, number=0, nodes={"n0": NodeMetrics(None)})
    assert begun.collapsed is None
    assert "collapsed" not in begun.metrics()


@pytest.mark.parametrize(("platform", "unit"), [("linux", 1024), ("darwin", 1)])
def test_peak_memory_is_in_bytes_on_every_system(monkeypatch, platform, unit):
    monkeypatch.setattr(sys, "platform", platform)
    said = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert measure_peak_memory(torch.device("cpu")) == pytest.approx(said * unit, rel=0.01)
