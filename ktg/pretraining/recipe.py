"""Builds the graph of one node that pretrains a model on a data set by a preset."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from ktg.errors import SpecError, UserError, not_one_of
from ktg.graph import FORMULAS, LABEL, Data, Graph, dump, edge_key, parse
from ktg.graph.fields import to_plain
from ktg.graph.length import with_epochs
from ktg.graph.recipes import drop_recipe
from ktg.models.names import locate_model
from ktg.pretraining.presets import PRESETS, SMALL_SIZE, USUAL_SIZE, PresetName

# Side of the pictures for that of the squares that are cut out of them: see
# `ktg.data.augment.crop`.
CROPPED_FROM = 362 / 224
_OF_DATA = frozenset(field.name for field in fields(Data))


def build_recipe(
    data: Data,
    model: str,
    preset: PresetName | None = None,
    *,
    size: int | None = None,
    source: str = "none",
    formula: Mapping[str, Any] | None = None,
    **given: Any,
) -> Graph:
    """Return the graph of one node that pretrains `model` on `data`.

    preset: by default fractaldb1k for data by formula, zoo for images. What else is given takes the
    place of its fields: `size`, the side in pixels of what the network sees; `formula`, fields of
    `ktg.graph.Formula`; and fields of `data` and `train` by their names. With other epochs, the
    milestones keep their place in training.
    Raises SpecError for what a graph may not say, UserError for an option that the data do not
    have.
    """
    drawn = data.name in FORMULAS
    preset = preset or ("fractaldb1k" if drawn else "zoo")
    if preset not in PRESETS:
        raise not_one_of("preset", preset, "a preset", PRESETS)
    plain = {"data": dict(PRESETS[preset]["data"]), "train": dict(PRESETS[preset]["train"])}
    pictures = {
        **plain["data"].pop("formula", {}),
        **to_plain(data).get("formula", {}),
        **(formula or {}),
    }
    plain["data"] |= to_plain(data)
    for name, value in given.items():
        plain["data" if name in _OF_DATA else "train"][name] = value
    if drawn:
        plain["data"]["formula"] = _fit_formula(pictures, data.name, formula or {})
    elif formula:
        raise UserError(
            f"--{next(iter(formula))}: is an option of pictures drawn by a formula, "
            "not of other images"
        )
    _move_milestones(plain["train"], PRESETS[preset]["train"]["epochs"])
    node: dict[str, Any] = {"model": model, "source": source}
    small = (locate_model(model) or ("",))[0] == "ktg"
    seen = size or plain["data"].get("size") or (SMALL_SIZE if small else USUAL_SIZE[preset])
    plain["data"]["size"] = seen
    if plain["data"].get("augment") == "crop":
        plain["data"]["size"], node["input_size"] = round(seen * CROPPED_FROM), seen
    return parse({**plain, "nodes": {"n0": node}, "edges": {edge_key(LABEL, "n0"): {}}})


def change_recipe(
    graph: Graph,
    *,
    model: str | None = None,
    size: int | None = None,
    source: str | None = None,
    formula: Mapping[str, Any] | None = None,
    **given: Any,
) -> Graph:
    """Return a graph of one node with other values of its fields: see `build_recipe`.

    With other epochs each part of the training keeps its place. `size` is what the network sees;
    images that it sees shrunk, or squares of, keep their proportion to that.
    """
    check_one_node(graph)
    if given.get("epochs"):
        graph = with_epochs(graph, given["epochs"])
    plain = dump(graph)
    node = plain["nodes"][graph.target]
    drop_recipe(node)
    node |= {
        name: value for name, value in (("model", model), ("source", source)) if value is not None
    }
    if size is not None:
        plain["data"] |= _size_images(graph, size)
        node |= {"input_size": size} if "input_size" in node else {}
    for name, value in given.items():
        plain["data" if name in _OF_DATA else "train"][name] = value
        node.pop(name, None)  # of its own the node would still have the other one
    if formula:
        plain["data"]["formula"] = plain["data"].get("formula", {}) | formula
    return parse(plain)


def _size_images(graph: Graph, size: int) -> dict[str, int]:
    """Return the size of the images of which a network then sees `size` pixels; none if as stored.

    Images of 362 pixels for a network that sees 224 -> 181 for one that sees 112.
    """
    seen, stored = graph.nodes[graph.target].input_size, graph.data.size
    if seen is None:
        return {"size": size}
    return {} if stored is None else {"size": round(size * stored / seen)}


def check_one_node(graph: Graph) -> None:
    """Raise SpecError for a graph of several nodes."""
    if len(graph.nodes) > 1:
        raise SpecError(
            "nodes", f"pretraining trains one network, and this graph has {len(graph.nodes)} nodes"
        )


def _fit_formula(
    pictures: dict[str, Any], name: str | None, asked: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the formula's fields, without a preset's `instances` for one picture a class."""
    if name in ("ofdb", "onep") and "instances" not in asked:
        pictures.pop("instances", None)
    return pictures


def _move_milestones(train: dict[str, Any], usual: int) -> None:
    epochs = train["epochs"]
    if epochs != usual and "milestones" in train:
        moved = {round(epoch * epochs / usual) for epoch in train["milestones"]}
        train["milestones"] = sorted(epoch for epoch in moved if 0 < epoch < epochs)
