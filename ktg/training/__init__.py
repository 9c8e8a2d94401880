"""Trains one graph, and knows nothing of searching or tracking: start reading at `loop.py`."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch

from ktg.data import Dataset
from ktg.data.open import open_data
from ktg.graph import Graph
from ktg.training.edge_losses import node_losses
from ktg.training.loop import Training
from ktg.training.metrics import EpochMetrics

__all__ = ["EpochMetrics", "Training", "node_losses", "train"]


def train(
    graph: Graph,
    dataset: Dataset | None = None,
    *,
    device: torch.device | str | None = None,
    state: Mapping[str, Any] | None = None,
) -> Iterator[EpochMetrics]:
    """Train a graph and yield the metrics of every epoch.

    dataset: what `ktg.data.open.open_data(graph.data)` returns; opened here when not given.
    state: a `Training.state_dict()` to continue from.
    """
    training = Training(graph, dataset or open_data(graph.data), device=device)
    if state is not None:
        training.load_state_dict(state)
    yield from training
