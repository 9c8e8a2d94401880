"""Writes a search into a tracker: a parent run for the search, a child run for every trial."""

import importlib.metadata
import json
import platform
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ktg.data import Dataset
from ktg.errors import KtgError, join_names
from ktg.graph import LABEL, Data, Graph, Hole, Node, dump
from ktg.graph.canonical import live_nodes, open_edges
from ktg.graph.drawing import draw
from ktg.graph.space import dump_space
from ktg.graph.yaml_files import dumps
from ktg.models.resolve import resolve_source
from ktg.searching.last_words import resume_command
from ktg.searching.pool import FILE as SAID_FILE
from ktg.searching.pool import forget_all_but_best
from ktg.searching.progress import format_headline
from ktg.searching.result import Result
from ktg.searching.resume import ResumedSearch
from ktg.searching.run_description import describe_end, describe_start, describe_trial
from ktg.searching.search_queue import SearchQueue
from ktg.searching.trial import Trial
from ktg.searching.trials import TrialQueue
from ktg.searching.values import Values, label
from ktg.tracking import HOLES, METRIC, NOTE, TITLE, MlflowTracker, RunState, Tracker, UsedData
from ktg.wording import count

TIME_EVERY_S = 30.0  # at least, between two records of how much of a budget is spent
PACKAGES = ("ktg-automl", "torch", "torchvision", "timm", "ray", "optuna", "mlflow", "numpy")


class Recorder(ABC):
    """Writes the epochs of a queue's trials into their runs; what differs is left to subclasses.

    An observer of trials: see `ktg.searching.ray_adapter`.
    """

    def __init__(self, tracker: Tracker, queue: TrialQueue, parent: str) -> None:
        self.tracker, self.queue, self.parent = tracker, queue, parent
        self._runs: dict[int, str] = {}

    @abstractmethod
    def on_start(self, trial: Trial) -> None:
        """Open the run of a trial."""

    @abstractmethod
    def on_end(self, trial: Trial) -> None:
        """End the run of a trial."""

    def on_epoch(self, trial: Trial) -> None:
        """Log an epoch, and its scores once more as people and MLflow's tables read them: 95.12."""
        metrics = dict(trial.metrics)
        for name in {"accuracy", self.queue.metric} - {"loss"}:
            if f"val_{name}" in metrics:
                metrics[f"{name}_percent"] = round(100 * metrics[f"val_{name}"], 2)
        self.tracker.log(self._runs[trial.number], metrics, trial.epoch)

    def how_to_go_on(self) -> str:
        """Return what to type after an interruption."""
        return "the same command"

    def save(self) -> None:
        """Bring all records to the store, for a process that is about to end."""
        if isinstance(self.tracker, MlflowTracker):
            self.tracker.close()

    def _end_interrupted(self) -> None:
        """End the runs of trials that are still running."""
        for trial in self.queue.in_state("running"):
            self.tracker.end(self._runs[trial.number], "interrupted")


class SearchRecorder(Recorder):
    """Writes a search. data: what its trials train on."""

    queue: SearchQueue

    def __init__(
        self,
        tracker: Tracker,
        queue: SearchQueue,
        name: str,
        tags: Mapping[str, str],
        past: ResumedSearch | None = None,
        data: UsedData | None = None,
        again: str = "",
    ) -> None:
        note = describe_start(queue, name, data)
        holes = json.dumps(list(queue.space.holes))
        about = {"kind": "search", NOTE: note, HOLES: holes, METRIC: queue.metric}
        tags = {**about, **environment_tags(), **tags}
        search = queue.space.search
        opening = count(len(search.opening), "arrangement") if search.opening else None
        settings = {**vars(search), "trials": search.most_trials, "opening": opening}
        if past is None:
            params = {
                f"search.{key}": value for key, value in settings.items() if value is not None
            }
            parent = tracker.start(name, params=params, tags=tags, data=data)
        else:  # a store keeps the parameters of a run as they were
            parent = tracker.start(name, run=past.run, tags=tags)
        super().__init__(tracker, queue, parent)
        self.name, self.data, self._logged_s = name, data, queue.now_s
        self.again = again or resume_command(name)
        # Without what could not be had this time, trials that had it could not be read again.
        whole = replace(past.space, search=search) if past else queue.space
        tracker.artifact(parent, "space.yaml", dumps(dump_space(whole)))
        self._duplicates = len(queue.duplicates)
        if past:
            self._runs.update(past.runs)
            for trial in past.unended:
                self.on_end(trial)

    def how_to_go_on(self) -> str:
        """Return the command that resumes the search."""
        return self.again

    def on_start(self, trial: Trial) -> None:
        """Open a child run with the graph and the values that made it."""
        tags = {"kind": "trial", "key": trial.key, "sampler": self.queue.space.search.sampler}
        tags |= {TITLE: make_title(trial)}
        tags |= {"seed": str(trial.graph.train.seed), "epochs": str(trial.graph.train.epochs)}
        about = {"baseline": trial.baseline, "arm": trial.arm, "race_of": trial.race_of}
        about |= {"fold": trial.fold, "arrangement": trial.kind}
        tags |= {key: str(value) for key, value in about.items() if value is not None}
        run = self.tracker.start(
            trial.name,
            parent=self.parent,
            params=self._params(trial.values or {}, self._holes(trial)),
            tags=tags | weight_tags(trial.graph),
            data=self.data,
            run=self._runs.get(trial.number),
        )
        self.tracker.artifact(run, "graph.yaml", dumps(dump(trial.graph)))
        self._runs[trial.number] = run
        self._write_duplicates()

    def on_epoch(self, trial: Trial) -> None:
        """Log an epoch, and now and then the time: a killed search resumes with the rest."""
        super().on_epoch(trial)
        if self.queue.now_s >= self._logged_s + TIME_EVERY_S:
            self._log_time({})

    def on_end(self, trial: Trial) -> None:
        """Close a child run; the parent shows the best so far."""
        run = self._runs[trial.number]
        self.tracker.artifact(run, "graph.svg", draw(trial.graph, trial.name))
        tags = {"epoch": str(trial.epoch), "train_s": f"{trial.train_s:.3f}"}
        tags |= {"reason": trial.reason} if trial.reason else {}
        tags |= {"rung": str(trial.rung)} if trial.state == "stopped" and trial.rung else {}
        forget_all_but_best(self.queue.trials)
        if trial.said and trial.state == "finished":
            self.tracker.artifact(run, SAID_FILE, trial.said)
            tags["said"] = SAID_FILE
        if trial.state != "running":
            note = {NOTE: describe_trial(trial, self.name)}
            self.tracker.end(run, trial.state, tags | note)
        best, metrics = self.queue.best, {}
        if best is not None:
            names = {"accuracy", self.queue.metric}
            metrics = {f"best_val_{one}": best.metrics.get(f"val_{one}", 0.0) for one in names}
        self._log_time(metrics)

    def end(self, result: Result) -> None:
        """Close the parent run with the result."""
        self._end_interrupted()
        self._write_duplicates()
        best = self.queue.best
        tags = {name: str(getattr(result, name)) for name in ("stopped", "duplicates", "failed")}
        headline = str(format_headline(self.queue.space, self.name))
        tags |= {"stopping": result.stopping} if result.stopping else {}
        tags[NOTE] = describe_end(result, headline, self.data)
        if best is not None:
            self.tracker.artifact(self.parent, "best.yaml", dumps(dump(best.graph)))
            self.tracker.artifact(self.parent, "best.svg", draw(best.graph, "best graph"))
            tags |= {"best_trial": best.name}
        self.tracker.log(
            self.parent, {"epochs": result.epochs, "epochs_saved": result.epochs_saved}, 0
        )
        self._log_time({})
        state: RunState = "interrupted" if result.interrupted else "finished" if best else "failed"
        self.tracker.end(self.parent, state, tags)

    def _log_time(self, more: Mapping[str, float]) -> None:
        """Log how much of the budget is spent, and more metrics of the search."""
        self._logged_s = self.queue.now_s
        metrics = {**more, "elapsed_s": self.queue.now_s}
        # MLflow's last value is that of the highest step. The trials that have ended become fewer
        # where a search goes on with those that were cut off; the trials that have begun do not.
        self.tracker.log(self.parent, metrics, len(self.queue.trials))

    def _holes(self, trial: Trial) -> Mapping[str, Hole]:
        """Return the holes of the part of the space that a trial was drawn from."""
        alone = self.queue.arms.alone
        return self.queue.space.holes if trial.arm is None or alone is None else alone.space.holes

    def _params(self, values: Values, holes: Mapping[str, Hole]) -> dict[str, Any]:
        return {path: label(holes[path], value) for path, value in values.items()}

    def _write_duplicates(self) -> None:
        """Give every new duplicate a run of its own, already over."""
        for duplicate in self.queue.duplicates[self._duplicates :]:
            params = self._params(duplicate.values, self.queue.space.holes)
            of = duplicate.of.name
            tags = {"kind": "duplicate", "duplicate_of": of}
            run = self.tracker.start(
                f"duplicate of {of}", parent=self.parent, params=params, tags=tags, data=self.data
            )
            self.tracker.end(run, "duplicate")
        self._duplicates = len(self.queue.duplicates)


def make_title(trial: Trial) -> str:
    """Return what MLflow's pages call a trial: its name, and who teaches whom where that is new.

    trial-0007 (n1 -> n0, n2 -> n1); of more than three edges, how many there are.
    """
    if " " in trial.name:  # it says what it is already
        return trial.name
    live = live_nodes(trial.graph)
    pairs = [f"{s} -> {t}" for s, t in open_edges(trial.graph) if s != LABEL and t in live]
    taught = ", ".join(pairs) if len(pairs) <= 3 else f"{len(pairs)} edges of {len(live)} networks"
    return f"{trial.name} ({taught or 'no network teaches another'})"


def size_tags(dataset: Dataset) -> dict[str, str]:
    """Return which data a search chooses by, and how much: what an interval needs later."""
    counts = {"classes": len(dataset.classes), "train": len(dataset.train), "val": len(dataset.val)}
    sizes = {f"data.{what}": str(number) for what, number in counts.items()}
    names = f"{len(dataset.skipped)}: {join_names(dataset.skipped)}"
    skipped = {"data.skipped": names} if dataset.skipped else {}
    return {"data.fingerprint": dataset.fingerprint, **sizes, **skipped}


def describe_data(data: Data, dataset: Dataset) -> UsedData:
    """Return what the pages of MLflow say about the images."""
    counts = {"training images": len(dataset.train), "validation images": len(dataset.val)}
    return UsedData(
        name=data.name or Path(data.path or "").name,
        fingerprint=dataset.fingerprint,
        source=data.path or data.name or "",
        counts={"classes": len(dataset.classes), **counts},
    )


def weight_tags(graph: Graph) -> dict[str, str]:
    """Return the pretrained weights that each trained node begins with: a name or a SHA-256."""
    pretrained = {
        name: graph.nodes[name] for name in live_nodes(graph) if graph.nodes[name].source != "none"
    }
    return {f"nodes.{name}.weights": _weights(graph, node) for name, node in pretrained.items()}


def _weights(graph: Graph, node: Node) -> str:
    try:
        content = resolve_source(node, graph.sources_for(node.model)).content_hash()
    except (KtgError, OSError):  # the file has gone: its trial fails, and the search goes on
        content = "unknown"
    return content if content.startswith(f"{node.source}:") else f"{node.source}: {content}"


def environment_tags() -> dict[str, str]:
    """Return the versions of what a result depends on."""
    versions = {f"version.{name}": importlib.metadata.version(name) for name in PACKAGES}
    return {**versions, "python": platform.python_version(), "machine": platform.platform()}
