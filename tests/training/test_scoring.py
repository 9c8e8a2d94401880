"""Scores against sums by hand, whatever the size of the batches."""

import dataclasses
import math
from pathlib import Path

import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, f1_score, roc_auc_score
from torch import nn
from torch.nn import functional

from ktg.data import open_data
from ktg.graph import Data
from ktg.training.scoring import ENSEMBLE, Evaluation, Split, evaluate, measure_classes


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


def draw(classes: int, images: int = 60, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Return logits (N, C) that know a little, and labels (N,), the later classes rarer."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.multinomial(
        1 / torch.arange(1.0, classes + 1), images, True, generator=generator
    )
    logits = torch.randn(images, classes, generator=generator)
    return logits + torch.nn.functional.one_hot(labels, classes), labels


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
@pytest.mark.parametrize("classes", [2, 5])
def test_scores_of_classes_are_those_of_scikit_learn(classes):
    logits, labels = draw(classes)
    found = measure_classes(Evaluation(0.5, 1.0), logits, labels)
    probabilities, guesses = logits.double().softmax(1).numpy(), logits.argmax(1).numpy()
    assert found.balanced_accuracy == pytest.approx(balanced_accuracy_score(labels, guesses))
    assert found.macro_f1 == pytest.approx(f1_score(labels, guesses, average="macro"))
    binary = probabilities[:, 1] if classes == 2 else probabilities
    expected = roc_auc_score(labels, binary, multi_class="ovr")
    assert found.auroc == pytest.approx(expected)
    assert (found.accuracy, found.loss, found.collapsed) == (0.5, 1.0, False)


def test_classes_without_images_are_left_out():
    logits, labels = draw(5)
    labels[labels == 3] = 1
    found = measure_classes(Evaluation(0.5, 1.0), logits, labels)
    present, own = labels.unique(), logits.double().softmax(1)
    areas = [roc_auc_score(labels == label, own[:, label]) for label in present]
    assert found.auroc == pytest.approx(sum(areas) / len(areas))
    recalls = [(logits.argmax(1)[labels == label] == label).float().mean() for label in present]
    assert found.balanced_accuracy == pytest.approx(float(sum(recalls) / len(recalls)))


def test_one_class_has_no_curve_and_cannot_collapse():
    logits = torch.tensor([[3.0, 0.0]]).expand(4, 2)
    found = measure_classes(Evaluation(1.0, 0.05), logits, torch.zeros(4, dtype=torch.int64))
    assert (found.auroc, found.balanced_accuracy, found.collapsed) == (None, 1.0, False)


def test_logits_that_overflow_have_no_curve():
    logits, labels = draw(3)
    logits[0, 0] = math.nan
    assert measure_classes(Evaluation(0.5, math.nan), logits, labels).auroc is None


@pytest.mark.parametrize(
    ("loss", "constant", "collapsed"),
    [(1.0, False, False), (1.0, True, True), (math.log(3) + 5e-4, False, True)],
)
def test_saying_one_class_or_guessing_is_named_a_collapse(loss, constant, collapsed):
    logits, labels = draw(3)
    logits = Fixed(0.0, 1.0, 0.0)(logits) if constant else 0.01 * logits
    assert measure_classes(Evaluation(0.4, loss), logits, labels).collapsed is collapsed


def test_who_is_sure_and_often_wrong_has_the_loss_of_guessing_and_is_no_collapse():
    labels = torch.arange(20) % 2
    guesses = torch.where(torch.arange(20) < 3, 1 - labels, labels)  # 17 of 20 are right
    confidence = 4.62  # at which the three that are wrong cost log(2) in the mean over all
    logits = confidence * functional.one_hot(guesses, 2).float()
    loss = float(functional.cross_entropy(logits, labels))
    assert abs(loss - math.log(2)) < 0.02
    assert measure_classes(Evaluation(0.85, math.log(2)), logits, labels).collapsed is False


def test_all_scores_are_those_of_the_networks_asked_for(tiny: Path):
    split = Split(open_data(Data(path=str(tiny))).val, torch.device("cpu"), 7)
    networks = {"a": Brightest(), "b": Fixed(1.0, 0.0, 0.0, 0.0)}
    plain = evaluate(networks, split, torch.float32)
    found = evaluate(networks, split, torch.float32, in_full=("a", ENSEMBLE))
    assert found["b"] == plain["b"]
    assert plain["a"].macro_f1 is None
    assert plain["a"] == dataclasses.replace(
        found["a"], balanced_accuracy=None, macro_f1=None, auroc=None, collapsed=None
    )
    alone = evaluate({"a": networks["a"]}, split, torch.float32, in_full=("a", ENSEMBLE))
    assert found["a"] == alone["a"] == alone[ENSEMBLE] != found[ENSEMBLE]
