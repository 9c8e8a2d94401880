"""Writes a search into a tracker: a parent run for the search, a child run for every trial."""

import importlib.metadata
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ktg.data import Dataset
from ktg.errors import KtgError
from ktg.graph import Data, Graph, Node, dump
from ktg.graph.canonical import live
from ktg.graph.drawing import draw
from ktg.graph.fields import write
from ktg.graph.yaml_files import dumps
from ktg.models.source import content_hash
from ktg.searching import run_description as notes
from ktg.searching.history import Past
from ktg.searching.progress import headline
from ktg.searching.result import Result
from ktg.searching.sampler import Values, label
from ktg.searching.trials import Entry, Ledger
from ktg.tracking import NOTE, RunState, Tracker, UsedData

PACKAGES = ("ktg-automl", "torch", "torchvision", "timm", "ray", "optuna", "mlflow", "numpy")


class Journal:
    """An observer of trials that passes on to a tracker what it sees. `data` is what the trials are trained on."""

    def __init__(
        self,
        tracker: Tracker,
        ledger: Ledger,
        name: str,
        tags: Mapping[str, str],
        past: Past | None = None,
        data: UsedData | None = None,
    ) -> None:
        self.tracker, self.ledger, self.name, self.data = tracker, ledger, name, data
        search = ledger.space.search
        settings = {
            f"search.{key}": value for key, value in vars(search).items() if value is not None
        }
        tags = {
            "kind": "search",
            NOTE: notes.beginning(ledger, name, data),
            **environment(),
            **tags,
        }
        if past is None:
            self.parent = tracker.start(name, params=settings, tags=tags, data=data)
        else:  # what is a parameter of a run stays as it was
            self.parent = tracker.start(name, run=past.run, tags=tags)
        tracker.artifact(
            self.parent, "space.yaml", dumps({**ledger.space.template, "search": write(search)})
        )
        self._runs: dict[int, str] = dict(past.runs) if past else {}
        self._duplicates = len(ledger.duplicates)
        for entry in past.unended if past else ():
            self.closed(entry)

    def started(self, entry: Entry) -> None:
        """Open a child run with the graph and the values that made it."""
        search = self.ledger.space.search
        tags = {
            "kind": "trial",
            "key": entry.key,
            "sampler": search.sampler,
            "seed": str(entry.graph.train.seed),
        }
        if entry.baseline:
            tags["baseline"] = entry.baseline
        tags |= lineage(entry.graph)
        params, before = self._params(entry.values or {}), self._runs.get(entry.number)
        run = self.tracker.start(
            entry.name, parent=self.parent, params=params, tags=tags, data=self.data, run=before
        )
        self.tracker.artifact(run, "graph.yaml", dumps(dump(entry.graph)))
        self._runs[entry.number] = run
        self._write_duplicates()

    def reported(self, entry: Entry) -> None:
        """Log an epoch of a trial."""
        self.tracker.log(self._runs[entry.number], entry.metrics, entry.epoch)

    def closed(self, entry: Entry) -> None:
        """Close a child run; the parent shows the best so far."""
        run = self._runs[entry.number]
        self.tracker.artifact(run, "graph.svg", draw(entry.graph, entry.name))
        tags = {"epoch": str(entry.epoch), "train_s": f"{entry.train_s:.3f}"}
        tags |= {"reason": entry.reason} if entry.reason else {}
        tags |= {"rung": str(entry.epoch)} if entry.state == "stopped" else {}
        if entry.state != "running":
            self.tracker.end(run, entry.state, tags)
        if self.ledger.best is not None:
            done = sum(e.state != "running" for e in self.ledger.entries)
            self.tracker.log(self.parent, {"best_val_accuracy": self.ledger.best.accuracy}, done)

    def end(self, result: Result) -> None:
        """Close the parent run with the result."""
        for entry in self.ledger.in_state("running"):
            self.tracker.end(self._runs[entry.number], "interrupted")
        self._write_duplicates()
        best = self.ledger.best
        tags = {
            "stopped": str(result.stopped),
            "duplicates": str(result.duplicates),
            "failed": str(result.failed),
        }
        tags[NOTE] = notes.ending(result, str(headline(self.ledger.space, self.name)), self.data)
        if best is not None:
            self.tracker.artifact(self.parent, "best.yaml", dumps(dump(best.graph)))
            self.tracker.artifact(self.parent, "best.svg", draw(best.graph, "best graph"))
            tags |= {"best_trial": best.name}
        self.tracker.log(
            self.parent, {"epochs": result.epochs, "epochs_saved": result.epochs_saved}, 0
        )
        state: RunState = "interrupted" if result.interrupted else "finished" if best else "failed"
        self.tracker.end(self.parent, state, tags)

    def _params(self, values: Values) -> dict[str, Any]:
        return {path: label(self.ledger.space.holes[path], value) for path, value in values.items()}

    def _write_duplicates(self) -> None:
        """Give every proposal that was answered from the ledger a run of its own, already over."""
        for duplicate in self.ledger.duplicates[self._duplicates :]:
            params = self._params(duplicate.values)
            tags = {"kind": "duplicate", "duplicate_of": duplicate.of.name}
            name = f"duplicate of {duplicate.of.name}"
            run = self.tracker.start(
                name, parent=self.parent, params=params, tags=tags, data=self.data
            )
            self.tracker.end(run, "duplicate")
        self._duplicates = len(self.ledger.duplicates)


def sizes(dataset: Dataset) -> dict[str, str]:
    """Return which data a search chose by, and how much of it: what an interval needs to be drawn later."""
    counts = {"classes": len(dataset.classes), "train": len(dataset.train), "val": len(dataset.val)}
    return {
        "data.fingerprint": dataset.fingerprint,
        **{f"data.{what}": str(n) for what, n in counts.items()},
    }


def used_data(data: Data, dataset: Dataset) -> UsedData:
    """Return what the pages of MLflow say of the images."""
    counts = {"training images": len(dataset.train), "validation images": len(dataset.val)}
    return UsedData(
        name=data.name or Path(data.path or "").name,
        fingerprint=dataset.fingerprint,
        source=data.path or data.name or "",
        counts={"classes": len(dataset.classes), **counts},
    )


def lineage(graph: Graph) -> dict[str, str]:
    """Return, for each node that is trained and begins with pretrained weights, which ones: a name or a SHA-256."""
    pretrained = {
        name: graph.nodes[name] for name in live(graph) if graph.nodes[name].source != "none"
    }
    return {f"nodes.{name}.weights": _weights(graph, node) for name, node in pretrained.items()}


def _weights(graph: Graph, node: Node) -> str:
    try:
        content = content_hash(node, graph.sources_for(node.model))
    except (KtgError, OSError):  # the file has gone: its trial fails, and the search goes on
        content = "unknown"
    return content if content.startswith(f"{node.source}:") else f"{node.source}: {content}"


def environment() -> dict[str, str]:
    """Return the versions of what a result depends on."""
    versions = {f"version.{name}": importlib.metadata.version(name) for name in PACKAGES}
    return {**versions, "python": platform.python_version(), "machine": platform.platform()}
