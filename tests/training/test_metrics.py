"""Figures come back as they went in, and the first bad one is found."""

import dataclasses
import math

import torch

from ktg.training.evaluate import Score
from ktg.training.metrics import EdgeFigures, Epoch, Meter, NodeFigures, first_bad


def test_rows_come_back_in_order():
    meter = Meter(2, ["a", "b"], torch.device("cpu"))
    meter.add(0, [torch.tensor(1.5), torch.tensor(2, dtype=torch.float64)])
    meter.add(1, [torch.tensor(3.0), torch.tensor(4.0)])
    assert meter.read() == [{"a": 1.5, "b": 2.0}, {"a": 3.0, "b": 4.0}]


def test_the_first_value_that_is_not_finite_is_found():
    assert first_bad([{"a": 1.0}, {"a": 2.0}]) is None
    assert first_bad(
        [{"a": 1.0, "b": 0.0}, {"a": 2.0, "b": math.inf}, {"a": math.nan, "b": 0.0}]
    ) == (1, "b")


def test_metrics_are_flat_dotted_and_leave_out_what_there_is_not():
    epoch = Epoch(
        number=3,
        target="n0",
        nodes={"n0": NodeFigures(0.5, 0.6, 1.0, 0.1), "n1": NodeFigures(0.9)},
        edges={("label", "n0"): EdgeFigures(1.2, 1.0)},
        seconds=2.0,
        images_per_s=100.0,
        peak_memory_bytes=2**20,
        ensemble=Score(0.7, 0.8),
    )
    metrics = epoch.metrics()
    assert metrics["val_accuracy"] == metrics["nodes.n0.val_accuracy"] == 0.6
    assert metrics["edges.label.n0.openness"] == 1.0
    assert metrics["peak_memory_mib"] == 1.0
    assert "nodes.n1.lr" not in metrics
    assert "nodes.n1.val_loss" not in metrics
    assert (metrics["ensemble.val_accuracy"], metrics["ensemble.val_loss"]) == (0.7, 0.8)
    together = dataclasses.replace(epoch, by_ensemble=True)
    assert together.val_accuracy == 0.7
    assert together.metrics() == metrics | {"val_accuracy": 0.7, "val_loss": 0.8}
