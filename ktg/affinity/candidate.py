"""A candidate to start from: a model with a source of weights, and its network with the head it was trained with."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ktg.data import Dataset
from ktg.errors import SpecError, show
from ktg.models.architecture import sketch
from ktg.models.names import check_model, check_source
from ktg.models.network import Network, build
from ktg.models.renames import translate
from ktg.models.source import initial_state, resolve
from ktg.spec import Node, SourceFile


@dataclass(frozen=True)
class Candidate:
    """A node to be judged, and what to call it."""

    name: str
    node: Node


def parse(texts: Sequence[str], sources: Mapping[str, SourceFile], base: Path | None = None) -> list[Candidate]:
    """Return the candidates in `MODEL@SOURCE` texts; a source is none, imagenet, a name of `sources` or a file.

    Files are called by their last name where that tells them apart.
    Raises SpecError for another form, an unknown model, and a source that is not there.
    """
    nodes = {text: _node(text, sources, base) for text in texts}
    short = {text: f"{node.model}@{node.source.rpartition('/')[2]}" for text, node in nodes.items()}
    counts = Counter(short.values())
    return [Candidate(short[text] if counts[short[text]] == 1 else text, node) for text, node in nodes.items()]


def _node(text: str, sources: Mapping[str, SourceFile], base: Path | None) -> Node:
    model, at, source = text.partition("@")
    if not at or not model or not source:
        raise SpecError("--among", f"{show(text)} is not MODEL@SOURCE, such as resnet18@imagenet or resnet18@none")
    check_model(model, f"--among {text}")
    check_source(source, sources, f"--among {text}", base, model)
    return Node(model=model, source=source)


def network(
    candidate: Candidate, sources: Mapping[str, SourceFile], data: Dataset, *, base: Path | None = None, seed: int = 0
) -> tuple[Network, bool]:
    """Return the candidate's network, and whether its head is the source's own, with the classes of the source.

    Raises SpecError for images that the model cannot take, and WeightsError for unfit weights.
    """
    classes = source_classes(candidate, sources, data.train.shape[0], base)
    built = build(
        candidate.node,
        sources,
        classes=classes or len(data.classes),
        image_size=data.train.shape[0],
        mean=data.mean,
        std=data.std,
        seed=seed,
        base=base,
        where=candidate.name,
    )
    return built, classes is not None


def source_classes(
    candidate: Candidate, sources: Mapping[str, SourceFile], image_size: int, base: Path | None = None
) -> int | None:
    """Return how many classes the head in the source's weights tells apart; None where there is no head."""
    node, where = candidate.node, candidate.name
    plan = sketch(node, classes=2, image_size=image_size, where=where)
    state = initial_state(node, resolve(node, sources, base, where), plan.size, where)
    if state is None:
        return None
    named = translate(state, plan.body.state_dict())
    sizes = {named[name].shape[0] for name in plan.head if name in named}
    if len(sizes) != 1 or not plan.head <= named.keys():
        return None
    classes: int = sizes.pop()
    return classes if classes > 1 else None
