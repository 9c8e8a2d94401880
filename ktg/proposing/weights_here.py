"""Lists the pretrained weights on this machine: zoos, caches of published ones, the user's files.

Nothing is downloaded, and no host is asked.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ktg.errors import KtgError
from ktg.graph import IMAGENET, Node, SourceFile, sources_for
from ktg.models.names import HUB, list_library_models, list_tags, locate_model
from ktg.models.resolve import resolve_source
from ktg.proposing.machine import Machine
from ktg.zoo import Card, default_zoo, shipped_zoo

ZOO = "zoo/"
# Of a network that should look through images: on a CPU, and on a GPU.
MOST_PARAMETERS, MOST_ON_GPU = 30_000_000, 400_000_000
MOST_VIEWERS = 4


@dataclass(frozen=True)
class WeightsHere:
    """A model with a source of weights that is on this machine.

    parameters: of the whole network, for two classes. told: what is known of the weights, in words.
    side: of the images that the network sees, in pixels; None: as they are.
    """

    model: str
    source: str
    parameters: int
    told: str = ""
    side: int | None = None

    @property
    def node(self) -> Node:
        """The node that begins with them."""
        return Node(model=self.model, source=self.source, input_size=self.side)

    @property
    def name(self) -> str:
        """What they are called: `resnet18@zoo/animals`, `resnet18@imagenet at 96 pixels`."""
        at = f" at {self.side} pixels" if self.side else ""
        return f"{self.model}@{self.source}{at}"


def find_weights_here(
    files: Mapping[str, SourceFile], side: int
) -> tuple[list[WeightsHere], dict[str, str]]:
    """Return the weights on this machine, small networks first, and why others cannot be used.

    files: by model, those that the user gives to stand for `source: imagenet`. side: the side of
    the images in pixels, that a network must take.
    """
    found, faults = [], {}
    for model, source, told in _list_sources(files):
        try:
            parameters = _count_parameters(Node(model=model, source=source), files, side)
        except KtgError as error:
            faults[f"{model}@{source}"] = str(error)
        else:
            found.append(WeightsHere(model, source, parameters, told))
    return sorted(found, key=lambda one: one.parameters), faults


def knows_photographs(node: Node, files: Mapping[str, SourceFile]) -> bool:
    """Return whether a node's weights have seen photographs. files: of the user, by model."""
    return resolve_source(node, sources_for(node.model, {}, files)).knows_photographs


def limit_parameters(machine: Machine) -> int:
    """Return how many parameters a network may have that looks through images on this machine."""
    return MOST_ON_GPU if machine.gpus else MOST_PARAMETERS


def list_viewers(files: Mapping[str, SourceFile], side: int) -> list[Node]:
    """Return nodes with weights on this machine that may look at images, where none is named.

    Not the largest, and not all of a large zoo. files, side: see `find_weights_here`.
    """
    here, _ = find_weights_here(files, side)
    return [one.node for one in here if one.parameters <= MOST_PARAMETERS][-MOST_VIEWERS:]


def _list_sources(files: Mapping[str, SourceFile]) -> Iterator[tuple[str, str, str]]:
    """Yield model, source and what is known of it, each once: files, zoos, published weights."""
    for model, file in files.items():
        yield model, IMAGENET, file.origin or file.path
    seen = set()
    for zoo in (default_zoo(), shipped_zoo()):
        for card in zoo.list_cards():
            if card.key not in seen and locate_model(card.model):
                seen.add(card.key)
                yield card.model, f"{ZOO}{card.name}", _describe_card(card)
    for model in _list_cached():
        if model not in files:
            yield model, IMAGENET, "published with its library, in the cache of this machine"
    for model, source in _list_cached_repositories():
        yield model, source, "of the Hugging Face hub, in the cache of this machine"


def _describe_card(card: Card) -> str:
    right = "" if card.accuracy is None else f", {100 * card.accuracy:.1f} % right there"
    unknown = card.data.startswith("not stated")
    return f"{'training' if unknown else 'trained on'} {card.data}{right}"


def _list_cached() -> Iterator[str]:
    """Yield the models of timm and torchvision whose published weights are in their caches."""
    from ktg.models.imagenet import find_cached, find_published

    if not _has_cache():
        return
    bare = {*list_library_models("ktg")}
    for library in ("timm", "torchvision"):
        for name in sorted(list_library_models(library)):
            model = f"{library}/{name}" if name in bare else name
            try:
                if find_cached(find_published(model)) is not None:
                    yield model
            except (KtgError, ValueError, KeyError):  # published nowhere, or under an odd name
                continue
        bare |= list_library_models(library)
    yield from _list_cached_tags()


def _list_cached_tags() -> Iterator[str]:
    """Yield timm's models with a tag, `resnet18.a2_in1k`, that are in the cache of the hub.

    Those of the tag that the bare name stands for are left out: they are listed by that.
    """
    from pathlib import Path

    from huggingface_hub import constants

    from ktg.models.imagenet import find_cached, find_published

    for folder in sorted(Path(constants.HF_HUB_CACHE).glob("models--timm--*")):
        model = folder.name.removeprefix("models--timm--")
        architecture, _, tag = model.partition(".")
        if tag not in list_tags(architecture):
            continue
        published = find_published(model)
        is_default = published.repository == find_published(f"timm/{architecture}").repository
        if not is_default and find_cached(published) is not None:
            yield model


def _list_cached_repositories() -> Iterator[tuple[str, str]]:
    """Yield model and source, `hf-hub:OWNER/NAME`, of others' repositories in the hub's cache.

    These are timm's models as their config.json says; timm's own are found by the models' names.
    """
    from pathlib import Path

    from huggingface_hub import constants

    from ktg.models.imagenet import find_cached, find_published, read_hub_architecture

    if not _has_cache():
        return
    for folder in sorted(Path(constants.HF_HUB_CACHE).glob("models--*--*")):
        owner, _, name = folder.name.removeprefix("models--").partition("--")
        source = f"{HUB}{owner}/{name}"
        model = None if owner == "timm" else read_hub_architecture(source)
        if model is not None and find_cached(find_published(source)) is not None:
            yield model, source


def _has_cache() -> bool:
    """Return whether either cache holds any file: asking for each model takes seconds."""
    from pathlib import Path

    import torch
    from huggingface_hub import constants

    hub, checkpoints = Path(constants.HF_HUB_CACHE), Path(torch.hub.get_dir(), "checkpoints")
    return any(hub.glob("models--*")) or (checkpoints.is_dir() and any(checkpoints.iterdir()))


def _count_parameters(node: Node, files: Mapping[str, SourceFile], side: int) -> int:
    """Return how many parameters a node has, after checking that its weights fit.

    Raises a KtgError where they do not.
    """
    from ktg.models.architectures import build_on_meta
    from ktg.models.build import check_weights
    from ktg.models.resolve import resolve_source

    sources = sources_for(node.model, {}, files)
    check_weights(node, sources, classes=2, image_size=side)
    plan = build_on_meta(resolve_source(node, sources).node, classes=2, image_size=side)
    return sum(parameter.numel() for parameter in plan.body.parameters())
