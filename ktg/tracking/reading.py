"""Reads searches and their trials back from an MLflow store."""

import math
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit

from ktg.errors import UserError, did_you_mean
from ktg.tracking.delivery import recover
from ktg.tracking.store import DEFAULT_URI, check_uri, explain, open_client, redact, sqlite_file
from ktg.tracking.writer import NAME_TAG, PARENT_TAG, RUN_TAG

Content = TypeVar("Content")
_PAGE = 1000
_PREVIEW = 10


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """A search or a trial as the store has it; `metrics` are the values of the last step.

    `id` is MLflow's, `run` the id that `Tracker.start` returned (empty for runs of others). Times
    are seconds since 1970; `end_s` is None while the run goes on. `status` is MLflow's word:
    RUNNING, FINISHED, FAILED or KILLED.
    """

    id: str
    run: str
    name: str
    status: str
    start_s: float
    end_s: float | None
    params: Mapping[str, str]
    tags: Mapping[str, str]
    metrics: Mapping[str, float]

    @property
    def state(self) -> str:
        """The state given to `Tracker.end`; "running" before that."""
        return (
            "running" if self.status == "RUNNING" else self.tags.get("state", self.status.lower())
        )


class Experiment:
    """One experiment of a store. Get it from `find_experiment`."""

    def __init__(self, client: Any, uri: str, experiment_id: str, name: str) -> None:
        self.name = name
        self.id = experiment_id
        self.uri = uri
        self._client = client

    def searches(self) -> list[RunRecord]:
        """Return the runs that have no parent, the newest first."""
        return self._runs(f"tags.`{PARENT_TAG}` IS NULL", "DESC")

    def of_kind(self, kind: str) -> list[RunRecord]:
        """Return the runs without a parent of one kind, such as `search`, the newest first."""
        return [run for run in self.searches() if run.tags.get("kind") == kind]

    def trials(self, search: RunRecord) -> list[RunRecord]:
        """Return the children of a search in the order in which they started."""
        return self._runs(f"tags.`{PARENT_TAG}` = '{search.id}'", "ASC")

    def history(self, run: RunRecord, metric: str) -> list[tuple[int, float]]:
        """Return (step, value) of every value of a metric by step; empty when there is none."""
        with _translate_errors(self.uri):
            values = self._client.get_metric_history(run.id, metric)
        return sorted((value.step, _value(value.value)) for value in values)

    def trainings(self) -> list[RunRecord]:
        """Return the parent runs of `ktg train` in the whole store, the newest first."""
        with _translate_errors(self.uri):
            everywhere = [other.experiment_id for other in self._client.search_experiments()]
        return self._runs(
            f"tags.kind = 'train' AND tags.`{PARENT_TAG}` IS NULL", "DESC", everywhere
        )

    def tags(self, run: str) -> Mapping[str, str]:
        """Return the tags of a run by its id from `Tracker.start`; none if it is not there yet."""
        found = self._runs(f"tags.`{RUN_TAG}` = '{run}'", "DESC")
        return found[0].tags if found else {}

    def tag(self, run: RunRecord, tags: Mapping[str, str]) -> None:
        """Set tags of a run."""
        with _translate_errors(self.uri):
            for name, value in tags.items():
                self._client.set_tag(run.id, name, value)

    def artifacts(self, run: RunRecord) -> list[str]:
        """Return the names of a run's artifacts, those in folders left out."""
        with _translate_errors(self.uri):
            return [file.path for file in self._client.list_artifacts(run.id) if not file.is_dir]

    def artifact_file(self, run: RunRecord, name: str) -> Path | None:
        """Return the file of an artifact, None when it is on another machine or does not exist."""
        with _translate_errors(self.uri):
            place = urlsplit(self._client.get_run(run.id).info.artifact_uri)
        file = Path(unquote(place.path), name)
        return file if place.scheme in ("", "file") and file.is_file() else None

    def read_artifact(self, run: RunRecord, name: str) -> str:
        """Return the text of a run's artifact; raise UserError when it has none of that name."""
        return self._read(run, name, lambda file: file.read_text(encoding="utf-8"))

    def read_bytes(self, run: RunRecord, name: str) -> bytes:
        """Return the bytes of a run's artifact; raise UserError when it has none of that name."""
        return self._read(run, name, Path.read_bytes)

    def _read(self, run: RunRecord, name: str, read: Callable[[Path], Content]) -> Content:
        with tempfile.TemporaryDirectory() as folder:
            try:
                return read(Path(self._client.download_artifacts(run.id, name, folder)))
            except Exception as error:
                reason = explain(error, self.uri)
                raise UserError(
                    f"run {run.name!r} of {self.name!r}: cannot read {name!r}: {reason}"
                ) from error

    def _runs(self, query: str, order: str, experiments: Sequence[str] = ()) -> list[RunRecord]:
        runs: list[RunRecord] = []
        token: str | None = None
        with _translate_errors(self.uri):
            while True:
                page = self._client.search_runs(
                    list(experiments) or [self.id],
                    query,
                    max_results=_PAGE,
                    order_by=[f"attributes.start_time {order}"],
                    page_token=token,
                )
                runs += map(_to_record, page)
                token = page.token
                if not token:
                    return runs


def find_experiment(name: str, uri: str = DEFAULT_URI) -> Experiment:
    """Return the experiment of that name, after sending records that were left for the store.

    Never creates an experiment or a store. Raises UserError when there is none, with the nearest
    name that exists.
    """
    uri = _prepare_reading(uri)
    with _translate_errors(uri):
        client = open_client(uri)
        experiment = client.get_experiment_by_name(name)
        if experiment is None or experiment.lifecycle_stage == "deleted":
            # "Default" is there in every MLflow store, and never holds a search.
            others = [
                other.name for other in client.search_experiments() if other.name != "Default"
            ]
            raise _missing_experiment(name, others, uri)
    return Experiment(client, uri, str(experiment.experiment_id), name)


def find_experiments(uri: str = DEFAULT_URI) -> list[Experiment]:
    """Return all experiments of a store, as `find_experiment` does one."""
    uri = _prepare_reading(uri)
    with _translate_errors(uri):
        client = open_client(uri)
        return [
            Experiment(client, uri, str(one.experiment_id), one.name)
            for one in client.search_experiments()
        ]


def _prepare_reading(uri: str) -> str:
    """Send the records left for a store that exists, and return its URI."""
    uri = check_uri(uri)
    with suppress(UserError):  # a store that refuses to be written may still be read
        recover(uri)
    file = sqlite_file(uri)
    if file is not None and not file.is_file():
        raise UserError(
            f"there is no MLflow store at {file}; run `ktg search` there first, "
            "or give --tracking-uri"
        )
    return uri


def _missing_experiment(name: str, others: list[str], uri: str) -> UserError:
    listed = ", ".join(others[:_PREVIEW]) + (
        f", ... ({len(others)} in all)" if len(others) > _PREVIEW else ""
    )
    allowed = f"it has: {listed}" if others else "it has none yet"
    return UserError(
        f"no experiment {name!r} in {redact(uri)}; {allowed}.{did_you_mean(name, others)}"
    )


@contextmanager
def _translate_errors(uri: str) -> Iterator[None]:
    """Turn any exception of a store into a UserError of one sentence."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        raise UserError(
            f"cannot read from MLflow at {redact(uri)}: {explain(error, uri)}"
        ) from error


def _to_record(run: Any) -> RunRecord:
    info, data = run.info, run.data
    return RunRecord(
        id=info.run_id,
        run=data.tags.get(RUN_TAG, ""),
        name=data.tags.get(NAME_TAG) or info.run_name or "",
        status=info.status,
        start_s=info.start_time / 1000,
        end_s=None if info.status == "RUNNING" or info.end_time is None else info.end_time / 1000,
        params=data.params,
        tags=data.tags,
        metrics={name: _value(value) for name, value in data.metrics.items()},
    )


def _value(stored: float) -> float:
    """Return a stored value; databases hold no infinity, so MLflow stores the largest float."""
    return math.copysign(math.inf, stored) if abs(stored) >= sys.float_info.max else stored
