"""Fills in how a node trains where the file does not say: what suits its source.

A rate that suits a network from nothing destroys pretrained weights, and one that keeps these is
too small for a network that has seen nothing but pictures by formula. So each family of sources has
a recipe, unless the file sets a rate or an optimizer: then it means what it says. Files of older
versions keep the meaning they had: `version: 2` has a recipe for pretrained weights alone, whatever
they are from, `version: 1` has none.

The figures come from `benchmarks/recipes.py`, which compares arms on sets of photographs and of
other images (its lines are in benchmarks/results/recipes.jsonl, `--table` shows them). Of five
kinds of flowers, 40 images each at 64 pixels, a MobileNetV2-0.35 got 16 % right with SGD at 0.03,
62 % with AdamW at 0.001, and 70 % with the statistics of batch norm kept, too (one seed).

>>> fill_recipes({"n0": {"model": "resnet18", "source": "imagenet"}}, {"epochs": 9})["n0"]["lr"]
0.0003
>>> fill_recipes({"n0": {"model": "resnet18"}}, {})["n0"]["lr"]
0.003
>>> fill_recipes({"n0": {"model": "resnet18", "source": "imagenet"}}, {"lr": 0.01})["n0"].get("lr")
"""

from collections.abc import Mapping
from typing import Any

from ktg.graph.fields import check_mapping, from_plain, to_plain
from ktg.graph.spec import Node
from ktg.graph.vocabulary import FORMULAS

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
# A rate at which everything changes. Ten images a class, 40 epochs, ResNet20 at 32 pixels, five
# seeds: chosen on digits, CIFAR-10 and flowers, and the best of five ways there and on spoken
# digits, aerial pictures and blood cells (benchmarks/recipes.py). Over SGD at 0.1 as `train`
# has it +13.5 points (+1.2 to +25.8, six sets): without clipping and warm-up some of its trainings
# collapse. At 0.01 a MobileNetV2-0.35 would learn faster in so few steps, a transformer worse.
FROM_NOTHING: Mapping[str, Any] = {
    "optimizer": "adamw",
    "lr": 0.003,
    "clip_norm": 1.0,
    "warmup_epochs": 1.0,
}
# What formula-generated pictures teach is soon left behind: kept statistics and the rate for
# photographs lose 14.5 points (+3.3 to +25.8) to this one, on the same six sets.
FROM_FORMULA: Mapping[str, Any] = {**FROM_NOTHING, "head": "probe"}
# Of ViT-tiny at 64 pixels on flowers, aerial pictures and CIFAR-10, two seeds: 36.9 % in the mean,
# at 0.001 35.6, at 0.003 29.8.
TRANSFORMER_LR = 0.0003
RECIPE_FIELDS = tuple({**PRETRAINED, **FROM_NOTHING, **FROM_FORMULA})
# A file says no more of weights than their name; that of an entry that the user made is free.
FORMULA_SOURCES = ("fractaldb", "zoo/fractals", *(f"zoo/{name}" for name in FORMULAS))
WITHOUT_RECIPES, FOR_WEIGHTS_ONLY = 1, 2  # versions of the format
# What the names of plain vision transformers begin with in timm and torchvision; those with stages
# of convolutions (maxvit, levit ...) are not among them.
_TRANSFORMERS = (
    *("vit_", "deit", "beit", "eva", "cait", "xcit", "swin", "convit", "crossvit"),
    *("flexivit", "naflexvit", "pit_", "tnt_", "twins", "volo"),
)
_DECISIVE = ("optimizer", "lr")


def fill_recipes(
    nodes: Mapping[str, Any], train: Mapping[str, Any], version: int | None = None
) -> dict[str, Any]:
    """Return the nodes of a file, each with its recipe; `train` is that section of the file.

    version: of the file's format; default: the newest.
    """
    return {name: _fill(node, find_recipe(node, train, version)) for name, node in nodes.items()}


def find_recipe(
    node: object, train: Mapping[str, Any], version: int | None = None
) -> dict[str, Any]:
    """Return the fields that the recipe sets for a node: those that neither it nor `train` says.

    They are none where node or `train` say an optimizer or a rate. version: as of `fill_recipes`.
    """
    if not isinstance(node, Mapping):
        return {}
    recipe = _choose_recipe(node, version)
    parts = (node, check_mapping(train, "train"))
    # `lr: null` stands for the default, and says nothing.
    said = {key for part in parts for key, value in part.items() if value is not None}
    if said.intersection(_DECISIVE):
        return {}
    return {key: value for key, value in recipe.items() if key not in said}


def has_seen_photographs(source: object) -> bool:
    """Return whether weights have, as far as the name of their source tells."""
    return source != "none" and source not in FORMULA_SOURCES


def _choose_recipe(node: Mapping[str, Any], version: int | None) -> Mapping[str, Any]:
    source = node.get("source", "none")
    if version == WITHOUT_RECIPES:
        return {}
    if version == FOR_WEIGHTS_ONLY:
        return {} if source == "none" else PRETRAINED
    if has_seen_photographs(source):
        return PRETRAINED
    recipe = FROM_NOTHING if source == "none" else FROM_FORMULA
    return {**recipe, "lr": TRANSFORMER_LR} if _is_transformer(node.get("model")) else recipe


def _is_transformer(model: object) -> bool:
    """Return whether a network is a vision transformer, by its name: `timm/deit3_small_...`."""
    return str(model).rpartition("/")[2].startswith(_TRANSFORMERS)


def drop_recipe(node: dict[str, Any]) -> None:
    """Remove from a node in plain data what the recipe of its model and source has set, if it has.

    So parsing gives it that of another model or source, once it has one. The warm-up goes with it,
    whatever it is: a change of the epochs has changed it.

    >>> node = {"model": "resnet18", "optimizer": "adamw", "lr": 0.003, "clip_norm": 5.0}
    >>> drop_recipe(node)
    >>> node
    {'model': 'resnet18', 'clip_norm': 5.0}
    """
    if _drop_unchanged(node, _find_own_recipe(node)):
        node.pop("warmup_epochs", None)


def with_weights(node: Node, model: str, source: str) -> Node:
    """Return a node with another model and source, and their recipe where it had its own's.

    What of that the node or `train` said otherwise stays.
    """
    plain = to_plain(node)
    own = _find_own_recipe(plain)
    dropped = _drop_unchanged(plain, own)
    plain |= {"model": model, "source": source}
    if dropped:
        said = own.keys() - dropped  # what the node lacks of its recipe was said in `train`
        recipe = find_recipe(plain, {})
        plain |= {key: value for key, value in recipe.items() if key not in said}
    return from_plain(Node, plain, "node")


def _find_own_recipe(node: Mapping[str, Any]) -> dict[str, Any]:
    return find_recipe({key: node[key] for key in ("model", "source") if key in node}, {})


def _drop_unchanged(node: dict[str, Any], recipe: Mapping[str, Any]) -> set[str]:
    """Remove from a node what is as in its recipe, and return that: nothing if it trains by none.

    It trains by its recipe where it has its optimizer and rate.
    """
    as_in_recipe = {key for key, value in recipe.items() if node.get(key) == value}
    if not as_in_recipe.issuperset(_DECISIVE):
        return set()
    for key in as_in_recipe:
        del node[key]
    return as_in_recipe


def _fill(node: Any, recipe: Mapping[str, Any]) -> Any:
    return {**node, **recipe} if recipe else node
