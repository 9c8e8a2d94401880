"""Builds the network of a node with the weights of its source, and checks beforehand that they fit.

The way is a straight line: `ktg.models.resolve` resolves the node's source, the network is built on
the meta device to learn its shapes and then in memory, and its weights are read and copied into it.
"""

import functools
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from ktg.errors import make_printable
from ktg.graph import Node, SourceFile
from ktg.local import file_stamp
from ktg.models.architectures import build_body, build_on_meta, find_usual_size
from ktg.models.imagenet import check_available, find_published, read_published, read_stand_in
from ktg.models.names import check_model
from ktg.models.network import Network
from ktg.models.resolve import resolve_source
from ktg.models.sources import HubWeights, NoWeights, Published, Source, WeightsFile, ZooEntry
from ktg.models.state_dicts import WEIGHTS_CACHE, fit, load, read_state, translate_for
from ktg.zoo import find_zoo

_LOGGER = logging.getLogger(__name__)


def build_network(
    node: Node,
    sources: Mapping[str, SourceFile],
    *,
    classes: int,
    image_size: int,
    mean: Sequence[float],
    std: Sequence[float],
    seed: int,
    base: Path | None = None,
    where: str = "node",
) -> Network:
    """Return the network of a node, on the CPU, with the weights of its source.

    `mean` and `std` (one number, or one per channel) are those of the training split; they hold for
    `source: none`. Pretrained weights bring their own. `image_size` is the side in pixels of the
    images in the data. Fresh weights, all or only the head's, depend on `seed` alone, and torch's
    global generator is left as it was. `base` is the folder that relative paths begin in, and
    `where` the dotted place of the node for messages.

    Raises SpecError for a model, argument, size or source that cannot be, and WeightsError for
    unfit weights.
    """
    check_model(node.model, f"{where}.model")
    source = resolve_source(node, sources, base, f"{where}.source")
    source.check(f"{where}.source")
    plan = build_on_meta(source.node, classes=classes, image_size=image_size, where=where)
    # Only the CPU's generator: torch.manual_seed would also reseed every GPU's.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        body = build_body(source.node, classes=classes, size=plan.size)
    warn_of_guesses(source)
    state, came = read_weights(source, plan.size, where), False
    if state is not None:
        about = f"{where}: {source.file or node.source} for {node.model}"
        came = load(body, state, plan.head, about)
        if not came:
            reset_head(body, plan.head, seed)
    mean, std = source.statistics() or (mean, std)
    return Network(body, size=plan.size, mean=mean, std=std, head=plan.head, head_came=came)


def check_weights(
    node: Node,
    sources: Mapping[str, SourceFile],
    *,
    classes: int,
    image_size: int,
    base: Path | None = None,
    where: str = "node",
) -> None:
    """Raise SpecError or WeightsError unless the model takes the images and the weights fit it.

    Nothing is downloaded, and only shapes are compared; for `imagenet` without a file the cache,
    then the host is asked.
    """
    check_model(node.model, f"{where}.model")
    source = resolve_source(node, sources, base, f"{where}.source")
    source.check(f"{where}.source")
    plan = build_on_meta(source.node, classes=classes, image_size=image_size, where=where)
    if isinstance(source, Published):
        name = node.source if isinstance(source, HubWeights) else node.model
        check_available(find_published(name, f"{where}.source"), f"{where}.source")
    elif source.file is not None:
        warn_of_guesses(source)
        state = read_weights(source, plan.size, where) or {}
        fit(plan.body, state, plan.head, f"{where}: {source.file} for {node.model}")


REMEDY = "say mean, std and model_args beside its path, in `sources` or `weights`"


def warn_of_guesses(source: Source, remedy: str = REMEDY) -> None:
    """Warn, once in a process, of what nobody says of a file and is guessed, with a remedy."""
    guesses = source.list_guesses() if isinstance(source, WeightsFile) else []
    if guesses:
        what, model = " and ".join(guesses), source.node.model
        verb = "is a guess" if len(guesses) == 1 else "are guesses"
        _warn(f"{source.file} for {model}: {what} {verb}; {remedy}")


@functools.lru_cache(maxsize=1024)
def _warn(sentence: str) -> None:
    _LOGGER.warning("%s", make_printable(sentence))


def read_weights(source: Source, size: int, where: str = "node") -> dict[str, Tensor] | None:
    """Return the weights that a node of `size` pixels begins with, by name; None for `none`.

    They may come from a cache that others share: copy them, never change them. Raises WeightsError.
    """
    node, place = source.node, f"{where}.source"
    # What timm converts depends on the network that it is converted for.
    network = (node.model, tuple(sorted(node.model_args.items())), size)
    match source:
        case NoWeights():
            return None
        case Published():
            published = (*network, source.content_hash())
            return WEIGHTS_CACHE.get(published, lambda: read_published(node, size, place))
        case WeightsFile(file=file) if source.replaces_published:
            # Many options of a search may share the file, each for another network.
            stand_in = (*network, source.part, file_stamp(file))
            return WEIGHTS_CACHE.get(
                stand_in, lambda: read_stand_in(node, file, source.part, size, place)
            )
        case WeightsFile(file=file):
            chosen = (source.part, file_stamp(file))
            return WEIGHTS_CACHE.get(chosen, lambda: read_state(file, source.part))
        case ZooEntry(card=card):
            # `Zoo.find_weights` reads a file only if its hash is that of its card.
            read = find_zoo(card.name, card.model).find_weights
            stamp = file_stamp(source.file)
            return WEIGHTS_CACHE.get(stamp, lambda: read_state(read(card.name, card.model)))


def reset_head(body: nn.Module, head: frozenset[str], seed: int) -> None:
    """Draw the weights of a new head on a pretrained backbone from N(0, 0.01^2), with biases of 0.

    A library's own initialisation is meant for training from nothing and for a thousand classes.
    timm's for the EfficientNet family grows as classes get fewer: with two of them the first loss
    is above 10 where log 2 is meant, and its gradients destroy the backbone in the first steps.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in body.named_parameters():
            if name in head and parameter.ndim > 1:
                parameter.normal_(std=0.01, generator=generator)
            elif name in head:
                parameter.zero_()


def import_weights(file: Path, node: Node) -> tuple[dict[str, Tensor], int]:
    """Return the weights in a file as the node's network calls them, and the classes of their head.

    The number of classes is 0, and the head is left out, where the file has none or not a whole
    one. Raises SpecError for an unknown model, and WeightsError for a file of another network.
    """
    check_model(node.model, "model")
    size = node.input_size or find_usual_size(node.model)
    plan = build_on_meta(node, classes=2, image_size=size, where=node.model)
    state = read_state(file)
    about = f"{file} for {node.model}"
    classes = plan.count_classes(translate_for(plan.body, state, plan.head, about))
    if classes:
        plan = build_on_meta(node, classes=classes, image_size=size, where=node.model)
    used = fit(plan.body, state, plan.head, about)
    return used, classes if plan.head <= used.keys() else 0
