"""Writes a search into a tracker: a parent run for the search, a child run for every trial."""

import importlib.metadata
import platform
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ktg.data import Dataset
from ktg.errors import KtgError
from ktg.graph import Data, Graph, Node, dump
from ktg.graph.canonical import live_nodes
from ktg.graph.drawing import draw
from ktg.graph.fields import to_plain
from ktg.graph.yaml_files import dumps
from ktg.models.sources import resolve_source
from ktg.searching.progress import format_headline
from ktg.searching.result import Result
from ktg.searching.resume import ResumedSearch
from ktg.searching.run_description import describe_end, describe_start
from ktg.searching.trials import SearchQueue, Trial, TrialQueue
from ktg.searching.values import Values, label
from ktg.tracking import NOTE, RunState, Tracker, UsedData

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
        """Log an epoch."""
        self.tracker.log(self._runs[trial.number], trial.metrics, trial.epoch)

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
    ) -> None:
        note = describe_start(queue, name, data)
        tags = {"kind": "search", NOTE: note, **environment_tags(), **tags}
        settings = vars(queue.space.search)
        if past is None:
            params = {
                f"search.{key}": value for key, value in settings.items() if value is not None
            }
            parent = tracker.start(name, params=params, tags=tags, data=data)
        else:  # a store keeps the parameters of a run as they were
            parent = tracker.start(name, run=past.run, tags=tags)
        super().__init__(tracker, queue, parent)
        self.name, self.data = name, data
        space = {**queue.space.template, "search": to_plain(queue.space.search)}
        tracker.artifact(parent, "space.yaml", dumps(space))
        self._duplicates = len(queue.duplicates)
        if past:
            self._runs.update(past.runs)
            for trial in past.unended:
                self.on_end(trial)

    def on_start(self, trial: Trial) -> None:
        """Open a child run with the graph and the values that made it."""
        tags = {"kind": "trial", "key": trial.key, "sampler": self.queue.space.search.sampler}
        tags["seed"] = str(trial.graph.train.seed)
        if trial.baseline:
            tags["baseline"] = trial.baseline
        run = self.tracker.start(
            trial.name,
            parent=self.parent,
            params=self._params(trial.values or {}),
            tags=tags | weight_tags(trial.graph),
            data=self.data,
            run=self._runs.get(trial.number),
        )
        self.tracker.artifact(run, "graph.yaml", dumps(dump(trial.graph)))
        self._runs[trial.number] = run
        self._write_duplicates()

    def on_end(self, trial: Trial) -> None:
        """Close a child run; the parent shows the best so far."""
        run = self._runs[trial.number]
        self.tracker.artifact(run, "graph.svg", draw(trial.graph, trial.name))
        tags = {"epoch": str(trial.epoch), "train_s": f"{trial.train_s:.3f}"}
        tags |= {"reason": trial.reason} if trial.reason else {}
        tags |= {"rung": str(trial.epoch)} if trial.state == "stopped" else {}
        if trial.state != "running":
            self.tracker.end(run, trial.state, tags)
        best = self.queue.best
        if best is not None:
            metrics = {"best_val_accuracy": best.accuracy}
            self.tracker.log(self.parent, metrics, len(self.queue.closed))

    def end(self, result: Result) -> None:
        """Close the parent run with the result."""
        self._end_interrupted()
        self._write_duplicates()
        best = self.queue.best
        tags = {name: str(getattr(result, name)) for name in ("stopped", "duplicates", "failed")}
        headline = str(format_headline(self.queue.space, self.name))
        tags[NOTE] = describe_end(result, headline, self.data)
        if best is not None:
            self.tracker.artifact(self.parent, "best.yaml", dumps(dump(best.graph)))
            self.tracker.artifact(self.parent, "best.svg", draw(best.graph, "best graph"))
            tags |= {"best_trial": best.name}
        metrics = {"epochs": result.epochs, "epochs_saved": result.epochs_saved}
        self.tracker.log(self.parent, metrics, 0)
        state: RunState = "interrupted" if result.interrupted else "finished" if best else "failed"
        self.tracker.end(self.parent, state, tags)

    def _params(self, values: Values) -> dict[str, Any]:
        return {path: label(self.queue.space.holes[path], value) for path, value in values.items()}

    def _write_duplicates(self) -> None:
        """Give every new duplicate a run of its own, already over."""
        for duplicate in self.queue.duplicates[self._duplicates :]:
            params, of = self._params(duplicate.values), duplicate.of.name
            tags = {"kind": "duplicate", "duplicate_of": of}
            run = self.tracker.start(
                f"duplicate of {of}", parent=self.parent, params=params, tags=tags, data=self.data
            )
            self.tracker.end(run, "duplicate")
        self._duplicates = len(self.queue.duplicates)


def size_tags(dataset: Dataset) -> dict[str, str]:
    """Return which data a search chooses by, and how much: what an interval needs later."""
    counts = {"classes": len(dataset.classes), "train": len(dataset.train), "val": len(dataset.val)}
    sizes = {f"data.{what}": str(number) for what, number in counts.items()}
    return {"data.fingerprint": dataset.fingerprint, **sizes}


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
