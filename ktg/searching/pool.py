"""Pools the trainings of a search: what they said of the validation images, and their ensemble.

Each finished training leaves its probabilities for the validation split (`validation.npz` in the
store), at the end of a search a greedy ensemble is chosen among the best of them, and judged by
images that did not choose it (`ktg.searching.ensemble`).
"""

import base64
import io
import math
import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ktg.errors import KtgError
from ktg.graph import Data, Graph
from ktg.graph.canonical import live_nodes
from ktg.graph.space import MetricName
from ktg.intervals import Interval, paired_proportion_interval
from ktg.searching.ensemble import (
    Answers,
    Labels,
    choose_members,
    cross_fit,
    mix,
    score_answers,
    split_in_half,
)
from ktg.searching.score import WORDS, format_difference, format_score
from ktg.searching.trial import FinishedTrial, Trial
from ktg.wording import count

if TYPE_CHECKING:
    from torch import Tensor

FILE = "validation.npz"  # the artifact of a training
DISTILLED_FILE = "distilled.json"  # that of a search whose ensemble was distilled
MOST_NUMBERS = 2**20  # images times classes; more probabilities than these are not kept
MOST_KEPT = 50  # trainings, the best: Caruana, Munson and Niculescu-Mizil, ICDM 2006, prune as much
_USUAL_SIDE = 32
_RIGHT = "right."


@dataclass(frozen=True)
class Said:
    """What a training said of the N validation images, beside their labels (N,).

    probabilities: (N, C) of what is scored; None where they were too many to be kept. right: of
    each node whether it was right (N,).
    """

    labels: Labels
    probabilities: Answers | None
    right: Mapping[str, npt.NDArray[np.bool_]]


@dataclass(frozen=True)
class Pooled:
    """A training that may be a member: its trial's name, graph and score, and what it said."""

    trial: str
    graph: Graph
    score: float
    said: Said


@dataclass(frozen=True)
class Member:
    """A training in an ensemble, and how often it counts; parameters: None where not known."""

    trial: str
    times: int
    parameters: int | None


@dataclass(frozen=True)
class PooledEnsemble:
    """The greedy ensemble of a search.

    score: on images that did not choose it (each half of them judges what the other half chose);
    single: that of the best training, chosen and judged likewise. chosen_score: on the images that
    chose it. interval: of score - single, for other images, where the metric is the accuracy.
    pooled: of how many trainings. parameters: of all members together, None where not known.
    """

    metric: MetricName
    members: tuple[Member, ...]
    pooled: int
    images: int
    score: float
    single: float
    chosen_score: float
    interval: Interval | None
    parameters: int | None

    @property
    def megabytes(self) -> float | None:
        """The size of all weights, as 32-bit numbers."""
        return None if self.parameters is None else 4 * self.parameters / 1e6

    @property
    def sentence(self) -> str:
        """What the ensemble is worth and what it costs, in words."""
        if len(self.members) == 1:
            best = self.members[0].trial
            return f"No ensemble of the {self.pooled} trainings is better than {best} alone."
        unit = "" if self.metric == "loss" else " points"
        ahead = f"{format_difference(self.metric, self.score - self.single)}{unit}"
        if self.interval is not None:
            low, high = (format_difference(self.metric, end) for end in self.interval)
            ahead += f", 95 % {low} to {high}"
        size = "" if self.megabytes is None else f", {self.megabytes:.1f} MB of weights together"
        return (
            f"Pooled, {len(self.members)} trainings ({self._names}{size}) have "
            f"{format_score(self.metric, self.score)} {WORDS[self.metric]} on validation images "
            f"that did not choose them; the best training, chosen likewise, "
            f"{format_score(self.metric, self.single)} ({ahead})."
        )

    @property
    def _names(self) -> str:
        return ", ".join(
            f"{one.trial} x{one.times}" if one.times > 1 else one.trial for one in self.members
        )

    def to_json(self) -> dict[str, Any]:
        """Return the ensemble as plain data."""
        members = [vars(one) for one in self.members]
        more = {"megabytes": self.megabytes, "sentence": self.sentence}
        return {**vars(self), "members": members, **more}


def pack(labels: Labels, logits: "Tensor", nodes: Mapping[str, "Tensor"]) -> str:
    """Return what a training said of the validation split as text: base64 of an .npz.

    logits: (N, C) of what is scored; nodes: those of each network. Probabilities are kept as
    half-precision numbers, and not at all where there are more than MOST_NUMBERS.
    """
    right = {name: own.argmax(dim=1).numpy() == labels for name, own in nodes.items()}
    kept = logits.softmax(dim=1).half().numpy() if logits.numel() <= MOST_NUMBERS else None
    return base64.b64encode(_write(labels, right, kept)).decode()


def _write(
    labels: Labels,
    right: Mapping[str, npt.NDArray[np.bool_]],
    probabilities: npt.NDArray[np.float16] | None = None,
) -> bytes:
    tables: dict[str, Any] = {"labels": labels.astype(np.int32)}
    tables |= {f"{_RIGHT}{name}": table for name, table in right.items()}
    if probabilities is not None:
        tables["probabilities"] = probabilities
    file = io.BytesIO()
    np.savez_compressed(file, **tables)
    return file.getvalue()


def unpack(kept: bytes) -> Said:
    """Return what `pack` packed, of the bytes of its .npz. Raises KtgError for any other file."""
    try:
        with np.load(io.BytesIO(kept), allow_pickle=False) as file:
            tables = {name: file[name] for name in file.files}
        labels = tables.pop("labels").astype(np.int64)
    except (OSError, EOFError, ValueError, TypeError, KeyError, zipfile.BadZipFile) as error:
        raise KtgError(f"{FILE} cannot be read: {error}") from error
    found = tables.pop("probabilities", None)
    right = {name.removeprefix(_RIGHT): table for name, table in tables.items()}
    return Said(labels, None if found is None else found.astype(np.float32), right)


def pool_trainings(trainings: Iterable[FinishedTrial], best: FinishedTrial) -> list[Pooled]:
    """Return the best trainings, MOST_KEPT of them, that the same images judged as the best.

    Those that have kept their probabilities, or else those that have kept who was right.
    """
    found: list[Pooled] = []
    for one in sorted(trainings, key=lambda each: -each.score):
        if one.fold != best.fold or not _judges_alike(one.graph.data, best.graph.data):
            continue
        with suppress(KtgError):  # one damaged file must not keep the others back
            name, said = one.name.partition(" ")[0], one.said
            found += [Pooled(name, one.graph, one.score, unpack(said))] if said else []
    whole = [one for one in found if one.said.probabilities is not None]
    return (whole or found)[:MOST_KEPT]


def forget_all_but_best(trials: Sequence[Trial]) -> None:
    """Let finished trials forget what they said, but for baselines and the best of the others.

    Of these MOST_KEPT keep all. Those of the race, and what they are training again, keep who was
    right, however they ended: of the lucky ones alone a comparison would be no fair one.

    trials: all of the search.
    """
    done = [one for one in trials if one.state == "finished"]
    knowing = [one for one in done if one.said and one.baseline is None]
    knowing.sort(key=lambda one: -one.score)
    raced = {one.race_of for one in trials}
    for one in knowing[MOST_KEPT:]:
        is_raced = one.race_of is not None or one.number in raced
        one.said = _keep_right(one.said) if is_raced else b""


def _keep_right(kept: bytes) -> bytes:
    """Return what was packed without its probabilities, nothing of a damaged file."""
    try:
        said = unpack(kept)
    except KtgError:
        return b""
    return kept if said.probabilities is None else _write(said.labels, said.right)


def find_ensemble(pooled: Sequence[Pooled], metric: MetricName) -> PooledEnsemble | None:
    """Return the greedy ensemble of trainings that were judged by the same images.

    Returns None for fewer than two, where their probabilities were not kept, and where no class has
    two images, so that none would be left to judge what the others have chosen.
    """
    known = [(one, one.said.probabilities) for one in pooled]
    kept = [(one, said) for one, said in known if said is not None]
    if len(kept) < 2:
        return None
    library, labels = [one for one, _ in kept], kept[0][0].said.labels
    if not split_in_half(labels).any():
        return None
    answers = np.stack([said for _, said in kept])
    chosen = choose_members(metric, labels, answers)
    times = Counter(chosen)
    classes = answers.shape[2]
    members = [
        Member(library[place].trial, number, count_parameters(library[place].graph, classes))
        for place, number in sorted(times.items(), key=lambda pair: (-pair[1], pair[0]))
    ]
    judged = cross_fit(metric, labels, answers)
    own, single = (score_answers(metric, labels, each) for each in (judged.pooled, judged.single))
    right = (each.argmax(axis=1) == labels for each in (judged.pooled, judged.single))
    sizes = [one.parameters for one in members]
    return PooledEnsemble(
        metric=metric,
        members=tuple(members),
        pooled=len(library),
        images=len(labels),
        score=own,
        single=single,
        chosen_score=score_answers(metric, labels, mix(answers, chosen)),
        interval=paired_proportion_interval(*right) if metric == "accuracy" else None,
        parameters=None if None in sizes else sum(size or 0 for size in sizes),
    )


def describe_unkept(pooled: Sequence[Pooled]) -> str | None:
    """Return why there is no ensemble where images were too many or too few; else None."""
    if not pooled:
        return None
    labels, lead = pooled[0].said.labels, "No ensemble was looked for: "
    images = count(len(labels), "validation image")
    if len(labels) * (int(labels.max()) + 1) > MOST_NUMBERS:
        most = f"{MOST_NUMBERS:,} probabilities"
        return f"{lead}{images} are more than the {most} that are kept of each."
    if len(pooled) > 1 and not split_in_half(labels).any():
        return f"{lead}{images} are one of each class, and none would be left to judge."
    return None


def count_parameters(graph: Graph, classes: int) -> int | None:
    """Return how many parameters what is deployed of a graph has; None where it cannot be built."""
    from ktg.models.architectures import build_on_meta

    side = graph.data.size or _USUAL_SIDE
    names = live_nodes(graph) if graph.ensemble else (graph.target,)
    try:
        bodies = [
            build_on_meta(graph.nodes[name], classes=classes, image_size=side, checked=False).body
            for name in names
        ]
    except KtgError:  # its arguments are with weights that are not here
        return None
    return sum(math.prod(each.shape) for body in bodies for each in body.parameters())


def _judges_alike(one: Data, other: Data) -> bool:
    """Return whether data have the same validation images, of whatever size, in the same order."""
    return _forget_training(one) == _forget_training(other)


def _forget_training(data: Data) -> Data:
    """Return data without what says nothing of which images are validated on."""
    share, plain = Data.unlabelled_share, replace(data, batch_size=1, augment="none", views=None)
    plain = replace(plain, unlabelled=None, unlabelled_share=share, balance="none")
    return replace(plain, size=None, per_class=None, cache="auto")
