"""Fills in how a node trains where the file does not say: what suits its source.

A node from nothing trains like `train`, whose defaults are SGD at 0.1. The same rate destroys
pretrained weights, so a node that starts from any gets the recipe `PRETRAINED` instead, unless the
file sets a rate or an optimizer for it: then it means what it says. Only files of version 2 and on
are filled in; `version: 1` keeps the meaning it had.

The figures come from `benchmarks/recipes.py`, which compares arms on six sets of photographs (its
lines are in benchmarks/results/recipes.jsonl, `--table` shows them). Of five
kinds of flowers, 40 images each at 64 pixels, a MobileNetV2-0.35 got 16 % right with SGD at 0.03,
62 % with AdamW at 0.001, and 70 % with the statistics of batch norm kept, too (one seed).

>>> fill_recipes({"n0": {"model": "resnet18", "source": "imagenet"}}, {"epochs": 9})["n0"]["lr"]
0.0003
>>> fill_recipes({"n0": {"model": "resnet18", "source": "imagenet"}}, {"lr": 0.01})["n0"].get("lr")
"""

from collections.abc import Mapping
from typing import Any

from ktg.graph.fields import check_mapping

# The head begins as logistic regression on the frozen features, so that its first gradients do not
# disturb them (Kumar et al., "Fine-Tuning can Distort Pretrained Features and Underperform
# Out-of-Distribution", ICLR 2022); then everything learns, at a rate that changes it little, and
# batch norm keeps the statistics that came with the weights, for which a few images are too few.
# Networks without batch norm, such as transformers, have none to keep, and train by the same table.
# Over six sets of photographs it loses 0.6 points to the best of six ways in the mean, and 1.6 at
# most, with 50 images a class, and 0.9 and 3.9 with ten (benchmarks/recipes.py). Below some sixty
# images in all 0.0002 is better: `ktg init` centres its rates there.
PRETRAINED: Mapping[str, Any] = {
    "optimizer": "adamw",
    "lr": 0.0003,
    "head": "probe",
    "frozen_norm": True,
    "clip_norm": 1.0,
    "warmup_epochs": 1.0,
    "weight_decay": 5e-4,
}
_DECISIVE = ("optimizer", "lr")


def fill_recipes(nodes: Mapping[str, Any], train: Mapping[str, Any]) -> dict[str, Any]:
    """Return the nodes of a file, each with its recipe; `train` is that section of the file."""
    return {name: _fill(node, find_recipe(node, train)) for name, node in nodes.items()}


def find_recipe(node: object, train: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that the recipe sets for a node: those that neither it nor `train` says.

    They are none for a node from nothing, and where node or `train` say an optimizer or a rate.
    """
    if not isinstance(node, Mapping) or node.get("source", "none") == "none":
        return {}
    parts = (node, check_mapping(train, "train"))
    # `lr: null` stands for the default, and says nothing.
    said = {key for part in parts for key, value in part.items() if value is not None}
    if said.intersection(_DECISIVE):
        return {}
    return {key: value for key, value in PRETRAINED.items() if key not in said}


def _fill(node: Any, recipe: Mapping[str, Any]) -> Any:
    return {**node, **recipe} if recipe else node
