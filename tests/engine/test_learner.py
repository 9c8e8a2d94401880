"""Optimizers, groups and averages against torch's own."""

from typing import get_args

import pytest
import torch
from torch import nn

from ktg.engine.learner import OPTIMIZERS, Average, Learner, keep_backbone_still, parameter_groups
from ktg.models.network import Network, build
from ktg.spec import Node, Train
from ktg.spec.graph import OptimizerName


@pytest.fixture
def network() -> Network:
    node = Node(model="resnet8")
    return build(node, {}, classes=4, image_size=8, mean=[0.5], std=[0.5], seed=0)


def give_gradients(network: nn.Module, seed: int = 0) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def test_every_optimizer_name_has_a_function_and_no_other():
    assert set(OPTIMIZERS) == set(get_args(OptimizerName))


@pytest.mark.parametrize(
    ("train", "reference"),
    [
        (
            Train(optimizer="sgd", lr=0.1, momentum=0.8, weight_decay=0.01),
            lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.8, nesterov=True, weight_decay=0.01),
        ),
        (Train(optimizer="sgd", lr=0.1, momentum=0, weight_decay=0), lambda p: torch.optim.SGD(p, lr=0.1)),
        (
            Train(optimizer="adamw", lr=0.01, weight_decay=0.1),
            lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1),
        ),
        (Train(optimizer="adam", lr=0.01, weight_decay=0.1), lambda p: torch.optim.Adam(p, lr=0.01, weight_decay=0.1)),
    ],
)
def test_steps_equal_those_of_torch(network, train, reference):
    other = build(Node(model="resnet8"), {}, classes=4, image_size=8, mean=[0.5], std=[0.5], seed=0)
    learner = Learner(network, Node(model="resnet8"), Train(**{**vars(train), "schedule": "constant"}))
    optimizer = reference(other.parameters())
    for seed in range(3):
        give_gradients(network, seed)
        give_gradients(other, seed)
        learner.step(where=0.5)
        optimizer.step()
    for mine, theirs in zip(network.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)


def test_a_node_overrides_what_train_says(network):
    node = Node(model="resnet8", optimizer="adamw", lr=0.02, weight_decay=0.0, schedule="constant")
    learner = Learner(network, node, Train(optimizer="sgd", lr=0.5, weight_decay=0.3, schedule="cosine"))
    give_gradients(network)
    learner.step(where=0.9)
    assert isinstance(learner.optimizer, torch.optim.AdamW)
    assert learner.lr == 0.02
    assert {group["weight_decay"] for group in learner.optimizer.param_groups} == {0.0}


def test_decay_can_spare_norms_and_biases(network):
    groups = parameter_groups(network, 0.1, decay_norm_and_bias=False)
    decayed = [p for group in groups if group["weight_decay"] for p in group["params"]]
    spared = [p for group in groups if not group["weight_decay"] for p in group["params"]]
    assert all(p.ndim > 1 for p in decayed)
    assert all(p.ndim == 1 for p in spared)
    assert len(decayed) + len(spared) == len(list(network.parameters()))
    everything = parameter_groups(network, 0.1, decay_norm_and_bias=True)
    assert {group["weight_decay"] for group in everything} == {0.1}


def test_the_average_follows_the_weights_and_copies_the_statistics(network):
    average = Average(network, decay=0.75)
    before = network.body.conv1.weight.detach().clone()
    with torch.no_grad():
        network.body.conv1.weight += 4
        network.body.bn1.running_mean += 2
    average.update(network)
    torch.testing.assert_close(average.network.body.conv1.weight, before + 1)
    assert torch.equal(average.network.body.bn1.running_mean, network.body.bn1.running_mean)
    assert not average.network.body.conv1.weight.requires_grad


def test_a_still_backbone_leaves_only_the_head_and_what_holds_it_in_training_mode(network):
    network.train()
    keep_backbone_still(network)
    training = {name for name, module in network.body.named_modules() if module.training}
    assert training == {"", "linear"}
