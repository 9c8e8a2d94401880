"""What a search needs of a tracker: four methods."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal, Protocol

from ktg.graph.spec import Scalar

NOTE = "mlflow.note.content"  # the tag that MLflow shows as a run's description, in Markdown
RunState = Literal["finished", "stopped", "duplicate", "failed", "interrupted"]
NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class UsedData:
    """The images that a run chooses by: their name, a hash of them, where they come from, and how many there are."""

    name: str
    fingerprint: str
    source: str
    counts: Mapping[str, int]


class Tracker(Protocol):
    """Takes the records of runs. No method waits for a store, and none raises because a store is away."""

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

        Give `run`, the id that an earlier process got here, to go on with that run. Its children
        that were left running then count as interrupted until they are started again in the same
        way.
        """
        ...

    def log(self, run: str, metrics: Mapping[str, float], step: int) -> None:
        """Record metric values at a step. NaN and infinities are allowed and come back as such."""
        ...

    def artifact(self, run: str, name: str, content: str | bytes | Path) -> None:
        """Store a file under `name` (with / for folders). A `Path` is read when it is sent: leave the file there."""
        ...

    def end(self, run: str, state: RunState, tags: Mapping[str, str] = NOTHING) -> None:
        """End a run; the state is also kept as the tag `state`."""
        ...


@contextmanager
def ending(tracker: Tracker, run: str) -> Iterator[None]:
    """End a run: finished, or failed with the reason. An interrupted one is ended by the tracker's own close."""
    try:
        yield
    except Exception as error:
        tracker.end(run, "failed", {"reason": str(error)})
        raise
    tracker.end(run, "finished")
