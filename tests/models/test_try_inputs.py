"""Labelled images tell with which normalisation and padding a head was trained."""

from dataclasses import replace

import pytest
import torch

from ktg.graph import Node
from ktg.models.architectures import HALF, IMAGENET, build_body
from ktg.models.network import Network
from ktg.models.try_inputs import try_inputs

PLAIN = Node(model="mobilenetv2_035")
SAME = replace(PLAIN, model_args={"pad_type": "same"})
SIDE = 64


@pytest.fixture(scope="module")
def images() -> torch.Tensor:
    """Pictures of coarse patterns, whose brightness and contrast differ."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(40, 3, 8, 8, generator=generator)
    light = torch.rand(40, 1, 1, 1, generator=generator)
    return torch.nn.functional.interpolate(coarse * light, (SIDE, SIDE), mode="bicubic").clamp(0, 1)


def teach(node: Node, images: torch.Tensor, statistics) -> tuple[dict, torch.Tensor]:
    """Return a network's weights, and labels that it gets right with its own input alone."""
    torch.manual_seed(0)
    body = build_body(node, classes=2, size=SIDE).eval()
    mean, std = statistics
    network = Network(body, size=SIDE, mean=mean, std=std, head=frozenset()).eval()
    with torch.no_grad():
        logits = network(images)
        body.classifier.bias[0] -= (logits[:, 0] - logits[:, 1]).median()
        return body.state_dict(), network(images).argmax(1)


@pytest.mark.parametrize("node", [PLAIN, SAME])
@pytest.mark.parametrize("statistics", [IMAGENET, HALF])
def test_the_input_of_the_training_is_found(images, node, statistics):
    state, labels = teach(node, images, statistics)
    trials = try_inputs(PLAIN, state, IMAGENET, images, labels)
    assert len(trials) == 4
    best = trials[0]
    assert (best.mean, best.std, best.model_args) == (*statistics, node.model_args)
    # An image between the classes may fall to the other side in another batch.
    assert best.accuracy > max(0.9, trials[1].accuracy)
    assert [trial.accuracy for trial in trials] == sorted(
        (trial.accuracy for trial in trials), reverse=True
    )


def test_what_is_said_is_not_tried_and_other_networks_have_one_padding(images):
    state, labels = teach(SAME, images, HALF)
    (only,) = try_inputs(SAME, state, HALF, images, labels, normalisations=False)
    assert only.accuracy > 0.9
    body = build_body(Node(model="resnet8"), classes=2, size=SIDE)
    node = Node(model="resnet8")
    trials = try_inputs(node, body.state_dict(), HALF, images, labels)
    assert [dict(trial.model_args) for trial in trials] == [{}, {}]
