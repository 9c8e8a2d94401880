"""The best of several epochs: which it is, and that its weights come back."""

import math

import pytest
import torch
from torch import nn

from ktg.training.best_weights import BestWeights
from ktg.training.scoring import Evaluation


def offered(best: BestWeights, *evaluations: Evaluation) -> nn.Linear:
    """Return a network whose weights are the number of the last epoch offered."""
    network = nn.Linear(1, 1)
    for epoch, evaluation in enumerate(evaluations, start=1):
        nn.init.constant_(network.weight, epoch)
        best.offer(evaluation, epoch, {"n0": network})
    return network


@pytest.mark.parametrize(
    ("metric", "epoch"), [("accuracy", 2), ("loss", 3), ("macro_f1", 1), ("auroc", 4)]
)
def test_the_first_of_the_best_epochs_is_kept(metric, epoch):
    best = BestWeights(metric)
    network = offered(
        best,
        Evaluation(0.5, 1.0, macro_f1=0.9),
        Evaluation(0.7, math.nan, macro_f1=0.2),
        Evaluation(0.7, 0.4, macro_f1=0.9),
        Evaluation(0.6, 0.4, auroc=0.1),
    )
    assert best.epoch == epoch
    best.restore({"n0": network})
    assert network.weight.item() == epoch


def test_without_an_epoch_nothing_is_restored():
    network = nn.Linear(1, 1)
    before = network.weight.item()
    BestWeights().restore({"n0": network})
    assert network.weight.item() == before


def test_a_copy_by_its_state_goes_on_alike():
    best, again = BestWeights(), BestWeights()
    network = offered(best, Evaluation(0.5, 1.0), Evaluation(0.4, 1.0))
    again.load_state_dict(best.state_dict())
    again.offer(Evaluation(0.5, 1.0), 3, {"n0": network})
    again.restore({"n0": network})
    assert (again.epoch, network.weight.item()) == (1, 1)
    assert not torch.equal(best.state_dict()["states"]["n0"]["weight"], torch.tensor([[2.0]]))
