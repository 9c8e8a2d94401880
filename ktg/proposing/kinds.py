"""Says what kind of arrangement a graph is, and what each kind has been worth on other data sets.

A search of few validation images knows little of its own, but something is known before it begins:
on five sets out of five a strong teacher's answers on images without labels were worth more than
any setting of the target alone. `LEADS` has these figures, for `ktg.searching.expectation`; where
nothing was measured there is none, and the images decide alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ktg.graph import Graph
from ktg.graph.canonical import live_nodes, open_edges, teachers
from ktg.graph.recipes import has_seen_photographs
from ktg.wording import count

Kind = Literal["alone", "probe", "taught", "taught, unlabelled", "mutual", "other"]


WORDS: Mapping[Kind, str] = {
    "alone": "the target alone",
    "probe": "a probe",
    "taught": "a target that a trained network teaches",
    "taught, unlabelled": "a target that a trained network teaches on images without labels",
    "mutual": "mutual learning",
    "other": "a graph of no kind that was measured",
}


@dataclass(frozen=True)
class Lead:
    """What a kind is worth over the recipe alone: accuracies as fractions, of test images.

    mean, spread: over data sets; the spread is the standard deviation on one more set, of a graph
    with usual settings.
    """

    mean: float
    spread: float
    sets: int


LEAST_EPOCHS, LEAST_STEPS = 8, 50  # measured were 15 and 100, and more

# Written by `python benchmarks/choice.py --leads`, from what was measured with ten labels a class
# and MobileNetV2-0.35 from ImageNet; a test compares. Of other kinds nothing was measured: no lead,
# and twice the widest spread.
LEADS: Mapping[Kind, Lead] = {
    "alone": Lead(0.0, 0.0, 5),
    "probe": Lead(-0.033, 0.039, 6),
    "taught": Lead(0.023, 0.052, 1),
    "taught, unlabelled": Lead(0.067, 0.040, 5),
    "mutual": Lead(-0.006, 0.042, 3),
    "other": Lead(0.0, 0.103, 0),
}


def classify(graph: Graph) -> Kind | None:
    """Return the kind of a graph, `other` for one of which no kind was measured.

    None where no graph of such a space was measured, so that nothing is known of their order: the
    target begins with nothing, or with pictures by formula; labels are wrong on purpose; what
    counts is an ensemble.
    """
    target = graph.nodes[graph.target]
    if not _is_pretrained(graph, graph.target) or graph.ensemble or graph.data.label_noise:
        return None
    others = set(live_nodes(graph)) - {graph.target}
    if not others and target.frozen_epochs >= graph.train.epochs:
        return "probe"
    if any(edge.asks_peer for edge in open_edges(graph).values()) or _is_short(graph):
        return "other"
    if not others:
        return "alone"
    if not all(_is_pretrained(graph, name) for name in others):
        return "other"
    fixed = others & set(teachers(graph))
    if not fixed:
        return "mutual"
    if fixed != others or not all(_is_stronger(graph, name) for name in others):
        return "other"
    return "taught" if graph.data.unlabelled is None else "taught, unlabelled"


def describe_lead(kind: Kind) -> str:
    """Return in words what a kind was worth elsewhere.

    >>> describe_lead("other")
    'nothing is known of graphs like it'
    """
    lead = LEADS[kind]
    if not lead.sets:
        return "nothing is known of graphs like it"
    what = WORDS[kind]
    if kind == "alone":
        return f"it is {what}, which others must be proven better than"
    return (
        f"it is {what}, whose lead over the target alone was {100 * lead.mean:+.1f} points in the "
        f"mean of {count(lead.sets, 'other data set')}"
    )


def read_kind(name: str | None) -> Kind | None:
    """Return the kind of this name, None for any other."""
    return next((kind for kind in LEADS if kind == name), None)


def _is_stronger(graph: Graph, teacher: str) -> bool:
    """Return whether a teacher is as those that were measured: another network, or sees more.

    The target's own network that sees 160 pixels where the target sees 64: on five flowers +8.1
    points (+5.2 to +10.9) over the target alone (benchmarks/proof.py).
    """
    node, target = graph.nodes[teacher], graph.nodes[graph.target]
    if node.model != target.model:
        return True
    shown = graph.data.size or 0
    return (node.input_size or shown) > (target.input_size or shown)


def _is_short(graph: Graph) -> bool:
    """Return whether a graph trains for less long than any that was measured, by half or more."""
    train = graph.train
    return train.epochs < LEAST_EPOCHS if train.steps is None else train.steps < LEAST_STEPS


def _is_pretrained(graph: Graph, name: str) -> bool:
    return has_seen_photographs(graph.nodes[name].source)
