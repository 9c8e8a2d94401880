"""Where a node's initial weights come from, resolved: the file, what it expects of its input, and its hash."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from ktg.errors import SpecError
from ktg.graph import IMAGENET, Node, SourceFile
from ktg.local import file_sha256, file_stamp
from ktg.models.build import own_statistics, sketch
from ktg.models.imagenet import check_available, published, published_state, stand_in_state
from ktg.models.names import check_model, check_source, locate_file, zoo_card
from ktg.models.weights import WEIGHTS_CACHE, fit, read_state, stated_statistics
from ktg.zoo import Card, default_zoo


@dataclass(frozen=True)
class Source:
    """A node's source of weights. `file` is None for `none`, and for `imagenet` unless the user names a file for it.

    `mean` and `std` per channel are what the weights expect of pixels in [0, 1]: as `sources` says,
    else as a model file of ktg says of itself, else the usual ones of the model; None where the
    data decide (`none`). `card` is that of the entry when the weights come from the zoo.
    """

    name: str
    file: Path | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    card: Card | None = None


def resolve(
    node: Node, sources: Mapping[str, SourceFile], base: Path | None = None, where: str = "node"
) -> Source:
    """Return the source of a node's weights: none, imagenet, of the zoo, of `sources`, or a path relative to `base`.

    Raises SpecError, below the dotted place `where` of the node, for anything else, for a file that
    is not there, for an unknown model, and for an entry of the zoo that was made with other
    `model_args`.
    """
    check_model(node.model, f"{where}.model")
    check_source(node.source, sources, f"{where}.source", base, node.model)
    if node.source == "none":
        return Source("none")
    file = locate_file(node.source, sources, f"{where}.source", base)
    mean, std = (file and stated_statistics(file)) or own_statistics(node.model)
    named = sources.get(node.source)
    if named is not None:
        mean = _per_channel(named.mean, f"sources.{node.source}.mean") or mean
        std = _per_channel(named.std, f"sources.{node.source}.std") or std
    card = zoo_card(node.source, sources, f"{where}.source", node.model)
    if card is not None:
        _check_args(node, card, f"{where}.model_args")
        return Source(node.source, default_zoo().weights_file(card.key), card.mean, card.std, card)
    return Source(node.source, file, mean, std)


def initial_state(
    node: Node, source: Source, size: int, where: str = "node"
) -> dict[str, Tensor] | None:
    """Return the weights that the node begins with, by name, or None for `none`. Raises WeightsError."""
    file, card = source.file, source.card
    if source.name != IMAGENET:
        return None if file is None else WEIGHTS_CACHE.get(file_stamp(file), lambda: _read(file, card))
    name, place = (node.model, tuple(sorted(node.model_args.items())), size), f"{where}.source"
    if file is None:
        return WEIGHTS_CACHE.get(name, lambda: published_state(node, size, place))
    return WEIGHTS_CACHE.get((*name, file_stamp(file)), lambda: stand_in_state(node, file, size, place))


def check_weights(
    node: Node,
    sources: Mapping[str, SourceFile],
    *,
    classes: int,
    image_size: int,
    base: Path | None = None,
    where: str = "node",
) -> None:
    """Raise SpecError or WeightsError unless the node's model takes the images and its source supplies its weights.

    Nothing is downloaded, and only shapes are compared; for `imagenet` without a file the cache,
    then the host is asked.
    """
    source = resolve(node, sources, base, where)
    plan = sketch(node, classes=classes, image_size=image_size, where=where)
    if source.file is not None:
        state = initial_state(node, source, plan.size, where) or {}
        fit(plan.body, state, plan.head, f"{where}: {source.file} for {node.model}")
    elif source.name == IMAGENET:
        check_available(published(node.model, f"{where}.source"), f"{where}.source")


def content_hash(node: Node, sources: Mapping[str, SourceFile], base: Path | None = None) -> str:
    """Return what identifies the node's initial weights: `none`, the published name, or the SHA-256 of the file.

    For `imagenet` it is the name and not the file, so that it does not change when the file is
    downloaded. Of an entry of the zoo it is read from the card.
    """
    card = zoo_card(node.source, sources, "source", node.model)
    if card is not None:
        return card.sha256
    file = locate_file(node.source, sources, "source", base)
    if file is None:
        return "none" if node.source == "none" else f"imagenet:{published(node.model).name}"
    return file_sha256(file)


def _read(file: Path, card: Card | None) -> dict[str, Tensor]:
    """Read a file of weights; one of the zoo only if its hash is that of its card."""
    return read_state(default_zoo().weights(card.name, card.model) if card else file)


def _check_args(node: Node, card: Card, path: str) -> None:
    if dict(node.model_args) != dict(card.model_args):
        given, made = (dict(args) or "none" for args in (node.model_args, card.model_args))
        raise SpecError(
            path,
            f"{node.source} was made for {card.model} with model_args {made}, this node has {given}",
        )


def _per_channel(values: Sequence[float] | None, path: str) -> tuple[float, ...]:
    if values is not None and len(values) not in (1, 3):
        raise SpecError(
            path, f"expected one number, or three (red, green, blue), got {len(values)}"
        )
    return tuple(values or ())
