"""Scores against sums by hand, whatever the size of the batches."""

from pathlib import Path

import pytest
import torch
from torch import nn

from ktg.data import open_data
from ktg.graph import Data
from ktg.training.scoring import ENSEMBLE, Split, evaluate


class Brightest(nn.Module):
    """Classifies by the mean of each channel."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        means = images.mean(dim=(2, 3))
        return torch.cat([means, torch.full_like(means[:, :1], 0.3)], dim=1) * 10


@pytest.mark.parametrize("batch_size", [1, 7, 1000])
def test_accuracy_and_loss_are_means_over_all_images(tiny: Path, batch_size: int):
    val = open_data(Data(path=str(tiny))).val
    split = Split(val, torch.device("cpu"), batch_size)
    network = Brightest().train()
    score = evaluate({"a": network, "b": network}, split, torch.float32)["b"]
    images = torch.from_numpy(val.read(range(len(val)))).permute(0, 3, 1, 2) / 255
    labels = torch.from_numpy(val.labels)
    logits = network(images)
    assert score.accuracy == pytest.approx((logits.argmax(1) == labels).float().mean().item())
    assert score.loss == pytest.approx(nn.functional.cross_entropy(logits, labels).item(), rel=1e-5)
    assert not network.training


class Fixed(nn.Module):
    """Says the same of every image."""

    def __init__(self, *logits: float) -> None:
        super().__init__()
        self.logits = torch.tensor(logits)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.logits.expand(len(images), -1)


def test_the_ensemble_is_scored_by_the_mean_of_all_probabilities(tiny: Path):
    split = Split(open_data(Data(path=str(tiny))).val, torch.device("cpu"), 7)
    sure, unsure = Fixed(9.0, 0.0, 0.0, 0.0), Fixed(0.0, 0.0, 1.0, 1.1)
    scores = evaluate({"a": sure, "b": unsure, "c": unsure}, split, torch.float32)
    mean = (sure.logits.softmax(0) + 2 * unsure.logits.softmax(0)) / 3
    assert mean.argmax() == 0  # of the logits' mean it would be the same, of the votes not
    assert scores[ENSEMBLE].accuracy == (split.labels == 0).float().mean().item()
    assert scores[ENSEMBLE].loss == pytest.approx(-mean.log()[split.labels].mean().item(), rel=1e-6)
    alone = evaluate({"a": sure}, split, torch.float32)
    assert alone[ENSEMBLE] == alone["a"] == scores["a"]
