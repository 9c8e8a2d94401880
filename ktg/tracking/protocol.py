"""Defines the four methods that a search needs from a tracker."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal, Protocol

from ktg.graph.vocabulary import Scalar

NOTE = "mlflow.note.content"  # the tag that MLflow shows as a run's description, in Markdown
TITLE = "ktg.title"  # the tag with what MLflow's pages call a run, where its name says too little
METRIC = "ktg.metric"  # the tag of a search with what its trials are compared by
HOLES = "ktg.holes"  # the tag of a search with the paths of its holes (JSON), which are columns
RunState = Literal["finished", "stopped", "duplicate", "failed", "interrupted"]
NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class UsedData:
    """The data set of a run: its name, hash and origin, and the number of images in each split."""

    name: str
    fingerprint: str
    source: str
    counts: Mapping[str, int]


class Tracker(Protocol):
    """Records runs. No method waits for a store, and none raises because a store is down."""

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
        """Begin a run and return its id.

        Give `run`, an id that an earlier process got here, to continue that run. Those of its
        children that were left running count as interrupted until they are started again too.
        """
        ...

    def log(self, run: str, metrics: Mapping[str, float], step: int) -> None:
        """Record metric values at a step. NaN and infinities are allowed and come back as such."""
        ...

    def artifact(self, run: str, name: str, content: str | bytes | Path) -> None:
        """Store a file under `name` (with / for folders). Keep a `Path`: it is read when sent."""
        ...

    def end(self, run: str, state: RunState, tags: Mapping[str, str] = NOTHING) -> None:
        """End a run; the state is also kept as the tag `state`."""
        ...


@contextmanager
def finish_run(tracker: Tracker, run: str) -> Iterator[None]:
    """End a run with the block: finished, or failed with the reason.

    After Ctrl-C the run is left to the tracker's own `close`, which ends it as interrupted.
    """
    try:
        yield
    except Exception as error:
        tracker.end(run, "failed", {"reason": str(error)})
        raise
    tracker.end(run, "finished")
