"""Scores and fine-tunes every candidate on the same data, to compare scores with accuracy.

This is the experiment of Ueno and Kondo on any data. Trainings are cached by everything that they
depend on, so a study that is resumed or extended trains only what is new.
"""

import csv
import dataclasses
import hashlib
import io
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import torch

from ktg.affinity.candidate import Candidate
from ktg.affinity.ranking import BASELINES, SAMPLE, Measured, measure_candidate
from ktg.data import Dataset, Images
from ktg.data.open import open_data, open_test
from ktg.errors import KtgError
from ktg.graph import Graph
from ktg.graph.canonical import canonical_key, independent_graph, with_seed
from ktg.graph.holes import ScoreName
from ktg.local import cache_folder, write_text
from ktg.models.resolve import resolve_source
from ktg.tracking import Tracker
from ktg.training import Training
from ktg.version import __version__

Progress = Callable[[str, int, int], None]
"""Called with what is trained, epochs done, and epochs in all."""


@dataclass(frozen=True)
class Target:
    """A data set, the recipe of fine-tuning on it (that of the graph's target), and candidates."""

    name: str
    graph: Graph
    candidates: Sequence[Candidate]


@dataclass(frozen=True)
class FineTuning:
    """One fine-tuning: accuracies in [0, 1] at its end, of the test split only on request."""

    seed: int
    val_accuracy: float
    train_s: float
    test_accuracy: float | None = None

    def metrics(self) -> dict[str, float]:
        """Return the figures to log at the step of the seed."""
        return {
            name: value
            for name, value in vars(self).items()
            if name != "seed" and value is not None
        }


@dataclass
class StudyRow:
    """One candidate on one data set. `failed` says why it has no scores, or no accuracy."""

    dataset: str
    candidate: Candidate
    measured: Measured | None = None
    runs: list[FineTuning] = field(default_factory=list)
    failed: str | None = None

    def accuracies(self, test: bool) -> list[float]:
        """Return the accuracy of each run, on the test split or on the validation split."""
        values = [run.test_accuracy if test else run.val_accuracy for run in self.runs]
        return [value for value in values if value is not None]

    def to_json(self) -> dict[str, Any]:
        """Return the row as plain data."""
        return {
            "dataset": self.dataset,
            "candidate": self.candidate.name,
            "runs": [dataclasses.asdict(run) for run in self.runs],
            "measured": None if self.measured is None else dataclasses.asdict(self.measured),
            "failed": self.failed,
        }


def study(
    targets: Sequence[Target],
    seeds: int,
    tracker: Tracker,
    parent: str,
    *,
    test: bool = False,
    sample: int = SAMPLE,
    device: torch.device | None = None,
    progress: Progress | None = None,
    decoding: Callable[[int, int], None] | None = None,
) -> list[StudyRow]:
    """Return a row for each candidate of each target: its scores and `seeds` fine-tunings.

    test: also read the test split, once at the end of every training.
    A run below `parent` is logged for each row. A candidate that fails says so in its row, and the
    others go on.
    """
    rows = []
    for target in targets:
        data = open_data(target.graph.data, progress=decoding)
        images = open_test(target.graph.data, progress=decoding) if test else None
        for candidate in target.candidates:
            row = StudyRow(target.name, candidate)
            rows.append(row)
            run = tracker.start(
                f"{row.dataset}: {candidate.name}", parent=parent, tags={"kind": "study"}
            )
            try:
                sources = target.graph.sources_for(candidate.node.model)
                row.measured = measure_candidate(
                    candidate, data, sources=sources, sample=sample, device=device
                )
                tracker.log(
                    run, row.measured.scores | {"parameters": float(row.measured.parameters)}, 0
                )
                for graph in build_graphs(target, candidate, seeds):
                    row.runs.append(
                        fine_tune(graph, data, images, device, _name_progress(progress, row, graph))
                    )
                    tracker.log(run, row.runs[-1].metrics(), row.runs[-1].seed)
            except KtgError as error:
                row.failed = str(error)
                tracker.end(run, "failed", {"reason": row.failed})
                continue
            tracker.log(run, {"accuracy": statistics.fmean(row.accuracies(test))}, 0)
            tracker.end(run, "finished")
    return rows


def build_graphs(target: Target, candidate: Candidate, seeds: int) -> list[Graph]:
    """Return the graph of the candidate alone, with each seed from the recipe's own on.

    It is trained as the candidate says, and where it says nothing as the target's graph does.
    """
    name, train = target.graph.target, target.graph.train
    alone = independent_graph(
        dataclasses.replace(target.graph, nodes={**target.graph.nodes, name: candidate.node}), name
    )
    return [with_seed(alone, seed) for seed in range(train.seed, train.seed + seeds)]


def fine_tune(
    graph: Graph,
    data: Dataset,
    test: Images | None = None,
    device: torch.device | None = None,
    on_epoch: Callable[[int], None] | None = None,
) -> FineTuning:
    """Return the fine-tuning of a graph of one node, trained now or found in the cache."""
    folder = cache_folder() / "study"
    file = folder / f"{content_key(graph, data, test)}.json"
    known = _load(file)
    if known is None:
        known = _train(graph, data, test, device, on_epoch)
        folder.mkdir(parents=True, exist_ok=True)
        write_text(file, json.dumps(vars(known)))
        if test is not None:  # the same training does without them, too
            untested = dataclasses.replace(known, test_accuracy=None)
            write_text(folder / f"{content_key(graph, data)}.json", json.dumps(vars(untested)))
    return known


def content_key(graph: Graph, data: Dataset, test: Images | None = None) -> str:
    """Return a hash of what a graph of one node trains: recipe, images and weights by content.

    test: the images that it is tested on, with their labels, if any.
    """
    node = graph.nodes[graph.target]
    sources = graph.sources_for(node.model)
    source = resolve_source(node, sources)
    plain = graph.data.name or "images"
    recipe = dataclasses.replace(
        graph,
        data=dataclasses.replace(graph.data, name=plain, path=None),
        nodes={graph.target: dataclasses.replace(source.node, source=source.content_hash())},
        sources={},
        weights={},
    )
    statistics = source.statistics() or (None, None)
    what = [__version__, canonical_key(recipe), data.fingerprint, *statistics]
    what += [] if test is None else [test.fingerprint_with_labels]
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()


def _train(
    graph: Graph,
    data: Dataset,
    test: Images | None,
    device: torch.device | None,
    on_epoch: Callable[[int], None] | None,
) -> FineTuning:
    started = time.perf_counter()
    training = Training(graph, data, device=device)
    for epoch in training:
        accuracy = epoch.metrics()["val_accuracy"]
        if on_epoch is not None:
            on_epoch(epoch.number)
    train_s = time.perf_counter() - started
    return FineTuning(
        graph.train.seed, accuracy, train_s, None if test is None else training.test(test).accuracy
    )


def _load(file: Path) -> FineTuning | None:
    """Return the cached fine-tuning; None where there is none, or where it cannot be read."""
    try:
        return FineTuning(**json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def _name_progress(
    progress: Progress | None, row: StudyRow, graph: Graph
) -> Callable[[int], None] | None:
    if progress is None:
        return None
    what = f"{row.dataset}: {row.candidate.name}, seed {graph.train.seed}"
    return lambda done: progress(what, done, graph.train.epochs)


def split_columns(rows: Sequence[StudyRow]) -> tuple[dict[str, list[float]], dict[str, list[str]]]:
    """Return the scores that every row has, and for each other score the candidates without it."""
    complete: dict[str, list[float]] = {}
    lacking: dict[str, list[str]] = {}
    for name in dict.fromkeys((*BASELINES, *get_args(ScoreName))):
        values = [None if row.measured is None else row.measured.value(name) for row in rows]
        known = [value for value in values if value is not None]
        without = [
            row.candidate.name for row, value in zip(rows, values, strict=True) if value is None
        ]
        if without:
            lacking[name] = list(dict.fromkeys(without))
        else:
            complete[name] = known
    return complete, lacking


def format_table(rows: Sequence[StudyRow], test: bool) -> str:
    """Return the study as CSV, which `ktg affinity correlate --group dataset` reads."""
    whole = [row for row in rows if row.failed is None]
    scores, lacking = split_columns(whole)
    text = io.StringIO()
    seeds = max((len(row.runs) for row in whole), default=0)
    split = "test" if test else "validation"
    text.write(
        f"# accuracy: of the {split} split at the end of fine-tuning, mean over {seeds} seeds\n"
    )
    everyone = list(dict.fromkeys(row.candidate.name for row in whole))
    for without in dict.fromkeys(map(tuple, lacking.values())):
        names = [name for name, candidates in lacking.items() if tuple(candidates) == without]
        verb = (
            "is left out, because it has" if len(names) == 1 else "are left out, because they have"
        )
        who = "any candidate" if list(without) == everyone else ", ".join(without)
        text.write(f"# {', '.join(names)} {verb} no value for {who}\n")
    for row in rows:
        if row.failed is not None:
            text.write(
                f"# {row.dataset}, {row.candidate.name} is left out: "
                f"{' '.join(row.failed.split())}\n"
            )
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["dataset", "candidate", "accuracy", *scores])
    for place, row in enumerate(whole):
        accuracy = statistics.fmean(row.accuracies(test))
        values = (scores[name][place] for name in scores)
        writer.writerow(
            [
                row.dataset,
                row.candidate.name,
                f"{accuracy:.6g}",
                *(f"{value:.8g}" for value in values),
            ]
        )
    return text.getvalue()
