"""Keeps the records of runs in memory, for tests and for searches without MLflow."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ktg.graph.vocabulary import Scalar
from ktg.tracking.protocol import NOTHING, RunState, UsedData


@dataclass
class MemoryRun:
    """One run. `metrics` has a (step, values) per call of `log`; `state` is None until it ends."""

    name: str
    parent: str | None
    params: dict[str, Scalar]
    tags: dict[str, str]
    data: UsedData | None = None
    metrics: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    artifacts: dict[str, str | bytes | Path] = field(default_factory=dict)
    state: RunState | None = None

    def history(self, metric: str) -> list[tuple[int, float]]:
        """Return (step, value) of every value of a metric, in the order of logging."""
        return [(step, values[metric]) for step, values in self.metrics if metric in values]


class MemoryTracker:
    """A `Tracker` whose `runs` maps ids to records."""

    def __init__(self) -> None:
        self.runs: dict[str, MemoryRun] = {}

    def start(
        self,
        name: str,
        *,
        parent: str | None = None,
        params: Mapping[str, Scalar] = NOTHING,
        tags: Mapping[str, str] = NOTHING,
        data: UsedData | None = None,
        run: str | None = None,
    ) -> str:
        """Begin a run, or continue `run`, and return its id."""
        run = run or uuid.uuid4().hex
        if run in self.runs:
            self._reopen(run)
        record = self.runs.setdefault(run, MemoryRun(name, parent, {}, {}, data))
        record.params |= params
        record.tags |= tags
        return run

    def log(self, run: str, metrics: Mapping[str, float], step: int) -> None:
        """Record metric values at a step."""
        self.runs[run].metrics.append((step, dict(metrics)))

    def artifact(self, run: str, name: str, content: str | bytes | Path) -> None:
        """Keep a file's content (or its path) under `name`."""
        self.runs[run].artifacts[name] = content

    def end(self, run: str, state: RunState, tags: Mapping[str, str] = NOTHING) -> None:
        """End a run."""
        record = self.runs[run]
        record.state = state
        record.tags |= {**tags, "state": state}

    def _reopen(self, run: str) -> None:
        self.runs[run].state = None
        for child, record in self.runs.items():
            if record.parent == run and record.state is None:
                self.end(child, "interrupted")
