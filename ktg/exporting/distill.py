"""Distils the greedy ensemble of a search into its target, and keeps what is better.

Each member is trained once more and frozen; the target learns from all of them at once, each edge
weighed by how often the member counts. The gradient of these edges is that of one teacher with the
mean of their probabilities (Hinton, Vinyals and Dean, "Distilling the knowledge in a neural
network", 2015, section 2). Beside it the target is trained alone, for as many steps.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ktg.data import Dataset
from ktg.data.open import open_data
from ktg.errors import KtgError, UserError
from ktg.exporting.graph_files import collect_provenance, write_graph
from ktg.exporting.metadata import Accuracy
from ktg.exporting.model_file import read_model
from ktg.exporting.retrain import retrain, write_weights
from ktg.graph import LABEL, Edge, Graph, Node
from ktg.graph.canonical import (
    canonical_key,
    canonicalise_with_names,
    open_edges,
    with_seed,
)
from ktg.graph.space import MetricName
from ktg.intervals import Interval, paired_interval, paired_proportion_interval
from ktg.models.network import Ensemble, Network, choose_device
from ktg.models.resolve import inherit_model_args
from ktg.searching.baselines import ALONE
from ktg.searching.ensemble import Answers, Labels, score_answers
from ktg.searching.pool import (
    PooledEnsemble,
    count_parameters,
    describe_unkept,
    find_ensemble,
)
from ktg.searching.score import WORDS, format_difference, format_score
from ktg.searching.seeds import OnEpoch
from ktg.searching.stored_search import StoredSearch, StoredTrial
from ktg.training import Training
from ktg.training.graph_model import choose_precision
from ktg.training.scoring import Split, compute_logits
from ktg.wording import count

DISTILLED = "distilled"
MODEL, GRAPH = "model.safetensors", "best.yaml"
TEACHERS = "teachers"  # the folder of the members' weights
TEMPERATURE = 2.0  # where the best graph has no edge to take it from


@dataclass(frozen=True)
class Trained:
    """The target after one way of training: its score and answers on validation images, by seed."""

    scores: tuple[float, ...]
    answers: tuple[Answers, ...]

    @property
    def mean(self) -> float:
        """The mean score over the seeds, of which higher is better."""
        return float(np.mean(self.scores))


@dataclass(frozen=True)
class Distillation:
    """What distilling an ensemble into the target has gained, on the validation images.

    kept: which of the two was written, `distilled` or `alone`. distilled, alone, ensemble: scores
    by the metric of the search, higher is better; means over `seeds` trainings but for the
    ensemble. interval: of distilled minus alone, for other images and, of several, other seeds,
    where the metric is the accuracy. parameters: of the target; those of the ensemble are its own.
    """

    experiment: str
    folder: Path
    metric: MetricName
    kept: str
    members: tuple[str, ...]
    seeds: int
    images: int
    distilled: float
    alone: float
    ensemble: float
    interval: Interval | None
    parameters: int | None
    ensemble_parameters: int | None
    seconds: float

    @property
    def sentence(self) -> str:
        """What was gained, and what was kept, in one sentence."""
        one, unit = self.metric, "" if self.metric == "loss" else " points"
        ahead = f"{format_difference(one, self.distilled - self.alone)}{unit}"
        basis = count(self.seeds, "training")
        if self.interval is not None:
            low, high = (format_difference(one, end) for end in self.interval)
            ahead += f", 95 % {low} to {high}"
        size = ""
        if self.parameters and self.ensemble_parameters:
            size = f" with {self.ensemble_parameters / self.parameters:.1f} times the parameters"
        return (
            f"Distilled from {count(len(self.members), 'training')}, the target has "
            f"{format_score(one, self.distilled)} {WORDS[one]} on {self.images:,} validation "
            f"images, alone at equal length {format_score(one, self.alone)} ({ahead}; {basis} "
            f"each), the ensemble itself {format_score(one, self.ensemble)}{size}: "
            f"{self.folder} has the {self.kept} one."
        )

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {**vars(self), "folder": str(self.folder), "sentence": self.sentence}


def distill_search(
    search: StoredSearch,
    out: Path,
    *,
    seeds: int = 3,
    budget_s: float | None = None,
    device: str | None = None,
    on_epoch: OnEpoch | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> Distillation:
    """Distil the ensemble of a search into its target; write model and graph into a folder.

    seeds: trainings of each of the two; budget_s: no further pair is begun that would end after so
    many seconds. The members' weights stay in the folder, and are not trained again by a later
    call. Raises UserError where there is no ensemble, or the target is one.
    """
    started = time.monotonic()
    best, ensemble = choose_best(search), choose_ensemble(search)
    graphs = {one.trial: one.graph for one in search.pooled}
    dataset = open_data(best.graph.data)
    search.check_same_images()
    out.mkdir(exist_ok=True)
    (out / TEACHERS).mkdir(exist_ok=True)
    files, answers = {}, []
    for place, member in enumerate(ensemble.members, start=1):
        say(f"teacher {place} of {len(ensemble.members)}: {member.trial}")
        file = out / TEACHERS / f"{member.trial}.safetensors"
        graph = graphs[member.trial]
        answers.append(train_member(graph, file, device, on_epoch, search.metric))
        files[member.trial] = file.absolute()
    weights = {one.trial: one.times for one in ensemble.members}
    teachers = {name: (graphs[name], file) for name, file in files.items()}
    arms = {
        DISTILLED: build_distillation(best.graph, teachers, weights),
        ALONE: build_alone(best.graph),
    }
    found, first = _train_arms(
        arms, dataset, ensemble.metric, seeds, budget_s, started, device, on_epoch, say
    )
    labels = dataset.val.labels
    shares = np.array(list(weights.values()), np.float32) / sum(weights.values())
    pooled = np.asarray(np.tensordot(shares, np.stack(answers), axes=1), np.float32)
    kept = DISTILLED if found[DISTILLED].mean > found[ALONE].mean else ALONE
    what = f"{best.name}, {kept}"
    _write(out, arms[kept], first[kept], best, what)
    return Distillation(
        experiment=search.experiment.name,
        folder=out,
        metric=ensemble.metric,
        kept=kept,
        members=tuple(files),
        seeds=len(found[ALONE].scores),
        images=len(labels),
        distilled=found[DISTILLED].mean,
        alone=found[ALONE].mean,
        ensemble=score_answers(ensemble.metric, labels, pooled),
        interval=_compare(found, labels) if ensemble.metric == "accuracy" else None,
        parameters=count_parameters(arms[ALONE], len(dataset.classes)),
        ensemble_parameters=ensemble.parameters,
        seconds=time.monotonic() - started,
    )


def choose_best(search: StoredSearch) -> StoredTrial:
    """Return the best trial whose target is trained. Raises UserError where there is none."""
    name = search.experiment.name
    if search.best.graph.ensemble:
        problem = "its target is an ensemble already (target: ensemble), not one network"
        raise UserError(f"experiment {name!r} cannot be distilled: {problem}")
    for trial in search.ranked:
        if trial.graph.train.epochs:
            return trial
    raise UserError(f"experiment {name!r} cannot be distilled: no trial of it trains the target")


def choose_ensemble(search: StoredSearch) -> PooledEnsemble:
    """Return the ensemble of a search. Raises UserError where there is none, with the reason."""
    found = find_ensemble(search.pooled, search.metric)
    if found is None:
        why = describe_unkept(search.pooled)
        few = "fewer than two of its trainings have kept what they said of the validation images"
        name = search.experiment.name
        raise UserError(f"experiment {name!r} has no ensemble: {why or few}")
    return found


def build_distillation(
    graph: Graph, teachers: Mapping[str, tuple[Graph, Path]], weights: Mapping[str, int]
) -> Graph:
    """Return the target of a graph, taught by the targets of other graphs as they are in files.

    weights: how often each counts. The edge from the label is the graph's own, or cut as there;
    temperature and weight are those of its first open `kl` edge to the target.
    """
    nodes: dict[str, Node] = {graph.target: graph.nodes[graph.target]}
    edges: dict[tuple[str, str], Edge] = {}
    label = graph.edges.get((LABEL, graph.target))
    if label is not None and label.gate != "cutoff":
        edges[LABEL, graph.target] = label.without_peer()
    pattern = _find_pattern(graph)
    total = 1.0 if pattern.weight == "learned" else pattern.weight
    for place, (name, (other, file)) in enumerate(teachers.items(), start=1):
        own = other.nodes[other.target]
        node = f"teacher{place}" if graph.target != f"teacher{place}" else f"{graph.target}_"
        side = own.input_size or other.data.size
        nodes[node] = Node(
            model=own.model,
            source=str(file),
            model_args=own.model_args,
            input_size=None if side == graph.data.size else side,
            epochs=0,
        )
        share = weights[name] / sum(weights.values())
        edges[node, graph.target] = replace(pattern, weight=total * share)
    train = replace(graph.train, aggregate="sum")
    return replace(graph, train=train, nodes=nodes, edges=edges, provenance={})


def build_alone(graph: Graph) -> Graph:
    """Return the target of a graph by itself, taught by the label, for as long."""
    pair = (LABEL, graph.target)
    label = graph.edges.get(pair, Edge(loss="ce"))
    gate = "through" if label.gate == "cutoff" else label.gate
    nodes = {graph.target: graph.nodes[graph.target]}
    edges = {pair: replace(label, gate=gate).without_peer()}
    data = replace(graph.data, unlabelled=None, unlabelled_share=type(graph.data).unlabelled_share)
    return replace(graph, data=data, nodes=nodes, edges=edges, provenance={})


def train_member(
    graph: Graph,
    file: Path,
    device: str | None = None,
    on_epoch: OnEpoch | None = None,
    metric: MetricName = "accuracy",
) -> Answers:
    """Train a member once more and write its target; return its probabilities (N, C).

    These are of the validation images. A file that has this very network is read instead. metric:
    of its search, by which it may keep its best epoch.
    """
    dataset = open_data(graph.data)
    with suppress(KtgError, OSError):
        network, about = read_model(file)
        same = canonical_key(about.graph) == canonical_key(_write_out_args(graph))
        if same and about.training.fingerprint == dataset.fingerprint:
            return _ask(network, graph, dataset, device)
    training, accuracies = retrain(graph, device=device, on_epoch=on_epoch, metric=metric)
    write_weights(file, graph, training, accuracies)
    return _ask(training.scored, graph, dataset, device)


def _write_out_args(graph: Graph) -> Graph:
    """Return the form of a graph with what its nodes inherit, as a model's file describes it."""
    form, names = canonicalise_with_names(graph)
    return inherit_model_args(form, {canonical: own for own, canonical in names.items()})


def _train_arms(
    arms: Mapping[str, Graph],
    dataset: Dataset,
    metric: MetricName,
    seeds: int,
    budget_s: float | None,
    started: float,
    device: str | None,
    on_epoch: OnEpoch | None,
    say: Callable[[str], None],
) -> tuple[dict[str, Trained], dict[str, Training]]:
    """Train both with the same seeds; return what they say, and the first training of each."""
    found = {name: Trained((), ()) for name in arms}
    first: dict[str, Training] = {}
    longest_s = 0.0
    for place in range(seeds):
        begun = time.monotonic()
        if place and budget_s is not None and begun - started + longest_s > budget_s:
            say(f"the budget is over after {count(place, 'training')} of each")
            break
        for name, graph in arms.items():
            say(f"{name}, training {place + 1} of {seeds}")
            own = with_seed(graph, graph.train.seed + place)
            training, _ = retrain(own, device=device, on_epoch=on_epoch, metric=metric)
            said = _ask(training.scored, graph, dataset, device)
            score = score_answers(metric, dataset.val.labels, said)
            known = found[name]
            found[name] = Trained((*known.scores, score), (*known.answers, said))
            first.setdefault(name, training)
        longest_s = max(longest_s, time.monotonic() - begun)
    return found, first


def _ask(
    network: Network | Ensemble, graph: Graph, dataset: Dataset, device: str | None
) -> Answers:
    """Return the probabilities (N, C) of a graph's network for the validation images."""
    on = choose_device(device)
    split = Split(dataset.val, on, batch_size=2 * graph.data.batch_size)
    logits = compute_logits(network.to(on), split, choose_precision(graph, on))
    return np.asarray(logits.softmax(dim=1).numpy(), np.float32)


def _compare(found: Mapping[str, Trained], labels: Labels) -> Interval:
    """Return the interval of the accuracy of distilled minus alone."""
    right = {
        name: np.stack([_right(each, labels) for each in one.answers])
        for name, one in found.items()
    }
    if len(right[ALONE]) < 2:
        return paired_proportion_interval(right[DISTILLED][0], right[ALONE][0])
    return paired_interval(right[DISTILLED].astype(float) - right[ALONE].astype(float))


def _right(answers: Answers, labels: Labels) -> npt.NDArray[np.bool_]:
    return np.asarray(answers.argmax(axis=1) == labels)


def _find_pattern(graph: Graph) -> Edge:
    """Return the first open `kl` edge from a node to the target, always open; else a plain one."""
    for (source, target), edge in open_edges(graph).items():
        if source != LABEL and target == graph.target and edge.loss == "kl":
            return replace(edge, gate="through")
    return Edge(loss="kl", temperature=TEMPERATURE)


def _write(out: Path, graph: Graph, training: Training, best: StoredTrial, what: str) -> None:
    """Write the network of a training and its graph, with the search that they come from."""
    mean = training.test(training.dataset.val).accuracy
    accuracies = {graph.target: Accuracy(split="val", mean=mean)}
    origin = dict(collect_provenance(best))
    for key in ("trial_run", "val_loss"):
        del origin[key]
    graph = replace(graph, provenance=origin | {"trial": what, "val_accuracy": mean})
    write_weights(out / MODEL, graph, training, accuracies, by=training)
    write_graph(graph, out / GRAPH, force=True)
