"""Finds out by labelled images which normalisation and padding a file of weights was trained with.

Files rarely say it. A head that came with the weights does: with a wrong normalisation it gets
fewer images right.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ktg.errors import SpecError
from ktg.graph import Node
from ktg.models.architectures import HALF, IMAGENET, Statistics, build_body, build_on_meta
from ktg.models.network import Network
from ktg.models.state_dicts import load

_BATCH = 32


@dataclass(frozen=True)
class InputTrial:
    """What a network was given, and the share of images that it then gets right."""

    mean: tuple[float, ...]
    std: tuple[float, ...]
    model_args: Mapping[str, Any]
    accuracy: float


def try_inputs(
    node: Node,
    state: Mapping[str, Tensor],
    statistics: Statistics,
    images: Tensor,
    labels: Tensor,
    *,
    normalisations: bool = True,
) -> list[InputTrial]:
    """Return what came of each normalisation and padding, the best first.

    state: weights whose head tells as many classes apart as `statistics`' network was trained on.
    images: floats in [0, 1], (N, 3, side, side), square, as large as the network wants them.
    labels: (N,), places in the head. normalisations: whether others than `statistics` are tried.

    Paddings are tried where the network takes `pad_type` and the node does not say it. Of equals
    the first stays ahead: `statistics`, and the network's own padding.
    """
    others = [x for x in (IMAGENET, HALF) if x != statistics] if normalisations else []
    trials = []
    for padded, body in _build_paddings(node, state, images.shape[-1]):
        for mean, std in (statistics, *others):
            network = Network(body, size=images.shape[-1], mean=mean, std=std, head=frozenset())
            accuracy = _measure(network.eval(), images, labels)
            trials.append(InputTrial(mean, std, padded.model_args, accuracy))
    return sorted(trials, key=lambda trial: -trial.accuracy)


def _build_paddings(
    node: Node, state: Mapping[str, Tensor], size: int
) -> Iterator[tuple[Node, torch.nn.Module]]:
    """Yield the node and its network with its own padding, and with TensorFlow's if it has both."""
    nodes = [node]
    if "pad_type" not in node.model_args:
        nodes.append(replace(node, model_args={**node.model_args, "pad_type": "same"}))
    for each in nodes:
        try:
            plan = build_on_meta(each, classes=2, image_size=size)
            classes = plan.count_classes(state)
            plan = build_on_meta(each, classes=classes, image_size=size)
        except SpecError:
            if each is node:
                raise
            continue  # it knows no such argument
        with torch.random.fork_rng(devices=[]):
            body = build_body(each, classes=classes, size=size)
        load(body, state, plan.head, node.model)
        yield each, body


@torch.inference_mode()
def _measure(network: Network, images: Tensor, labels: Tensor) -> float:
    batches = torch.split(images, _BATCH), torch.split(labels, _BATCH)
    right = [
        int((network(some).argmax(1) == wanted).sum())
        for some, wanted in zip(*batches, strict=True)
    ]
    return sum(right) / len(labels)
