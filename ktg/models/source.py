"""Where a node's initial weights come from, resolved: the file, what it expects of its input, and its hash."""

import functools
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from ktg.errors import SpecError
from ktg.models.architecture import own_statistics, sketch
from ktg.models.imagenet import check_available, published, published_state
from ktg.models.names import check_model, check_source, locate_file
from ktg.models.weights import fit, read_state
from ktg.spec import Node, SourceFile


@dataclass(frozen=True)
class Source:
    """A node's source of weights. `file` is None for `none`, and for `imagenet` unless the user names a file for it.

    `mean` and `std` per channel are what the weights expect of pixels in [0, 1]; None where the data decide (`none`).
    """

    name: str
    file: Path | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None


def resolve(node: Node, sources: Mapping[str, SourceFile], base: Path | None = None, where: str = "node") -> Source:
    """Return the source of a node's weights: none, imagenet, a name of `sources`, or a path relative to `base`.

    Raises SpecError, below the dotted place `where` of the node, for anything else, for a file that is not there, and
    for an unknown model.
    """
    check_model(node.model, f"{where}.model")
    check_source(node.source, sources, f"{where}.source", base, node.model)
    if node.source == "none":
        return Source("none")
    mean, std = own_statistics(node.model)
    named = sources.get(node.source)
    if named is not None:
        mean = _per_channel(named.mean, f"sources.{node.source}.mean") or mean
        std = _per_channel(named.std, f"sources.{node.source}.std") or std
    return Source(node.source, locate_file(node.source, sources, f"{where}.source", base), mean, std)


def initial_state(node: Node, source: Source, size: int, where: str = "node") -> dict[str, Tensor] | None:
    """Return the weights that the node begins with, by name, or None for `none`. Raises WeightsError."""
    if source.file is not None:
        return read_state(source.file)
    return published_state(node, size, f"{where}.source") if source.name == "imagenet" else None


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

    Nothing is built or downloaded: shapes are compared, and for `imagenet` the cache, then the host, is asked.
    """
    source = resolve(node, sources, base, where)
    plan = sketch(node, classes=classes, image_size=image_size, where=where)
    if source.file is not None:
        fit(plan.body, read_state(source.file), plan.head, f"{where}: {source.file} for {node.model}")
    elif source.name == "imagenet":
        check_available(published(node.model, f"{where}.source"), f"{where}.source")


def content_hash(node: Node, sources: Mapping[str, SourceFile], base: Path | None = None) -> str:
    """Return what identifies the node's initial weights: `none`, the published name, or the SHA-256 of the file.

    For `imagenet` it is the name and not the file, so that it does not change when the file is downloaded.
    """
    file = locate_file(node.source, sources, "source", base)
    if file is None:
        return "none" if node.source == "none" else f"imagenet:{published(node.model).name}"
    stat = file.stat()
    return _sha256(str(file.resolve()), stat.st_size, stat.st_mtime_ns)


@functools.lru_cache(maxsize=256)
def _sha256(path: str, size: int, mtime_ns: int) -> str:
    """Hash a file; size and time are arguments so that a changed file is read again."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _per_channel(values: Sequence[float] | None, path: str) -> tuple[float, ...]:
    if values is not None and len(values) not in (1, 3):
        raise SpecError(path, f"expected one number, or three (red, green, blue), got {len(values)}")
    return tuple(values or ())
