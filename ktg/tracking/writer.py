"""Writes records into an MLflow store in batches; writing the same records twice is harmless."""

import errno
import getpass
import json
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

from ktg.errors import KtgError, UserError, show
from ktg.tracking.protocol import HOLES, METRIC, TITLE, RunState, UsedData
from ktg.tracking.records import Artifact, End, Log, Record, Start
from ktg.tracking.store import check_experiment_name, open_client, sqlite_file
from ktg.tracking.views import describe_views, experiment_tags, is_own_view

RUN_TAG, NAME_TAG = "ktg.run", "ktg.name"
PARENT_TAG = "mlflow.parentRunId"
STATUS: dict[RunState, str] = {
    "finished": "FINISHED",
    "duplicate": "FINISHED",
    "stopped": "FINISHED",  # MLflow's pages show a killed run as they show a failed one
    "interrupted": "KILLED",
    "failed": "FAILED",
}
_METRICS_PER_BATCH = 1000
_PARAMS_OR_TAGS_PER_BATCH = 100
_PARAM_CHARACTERS, _TAG_CHARACTERS, _NAME_CHARACTERS = 6000, 8000, 250
_NOT_IN_A_NAME = re.compile(r"[^\w\-. :/]")
_WRONG_PATHS = {errno.ENOENT, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG}
_REFUSALS = {"INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST", "BAD_REQUEST"}


class RefusedError(KtgError):
    """A record that can never be written: its run is not there, or a name in it is impossible."""


class Writer:
    """Knows one experiment of one store, and which of the store's runs belongs to which of our ids.

    MLflow gives ids only when a run is created, so ours are kept in the tag `ktg.run` and looked up
    there. Not safe to share between threads. Opens the store at the first record, and creates what
    is missing.
    """

    def __init__(self, experiment: str, uri: str, look_before_create: bool = False) -> None:
        self.experiment = experiment
        self.uri = uri
        self._look = look_before_create
        self._opened: tuple[Any, str] | None = None
        self._ids: dict[str, str] = {}
        self._taken_up: set[str] = set()

    def write(self, records: Sequence[Record]) -> list[tuple[Record, Exception]]:
        """Write records in order; return those that the store refuses, each with its reason.

        Raises whatever the store raises when it is down, locked or full; then write the same
        records again.
        """
        refused: list[tuple[Record, Exception]] = []
        try:
            self._client  # noqa: B018 - an unreachable store is no record's fault
            for group in _group_by_run(records):
                try:
                    self._write(group)
                except Exception as error:
                    if not _is_refusal(error):
                        raise
                    refused += [(record, error) for record in group]
        except RefusedError as error:  # the experiment itself
            return [(record, error) for record in records]
        except Exception:
            self._look = True  # a run may have been created although the answer was lost
            raise
        self._look = False
        return refused

    def _write(self, group: list[Record]) -> None:
        """Write one record, or several `Log` of one run at once."""
        match group[0]:
            case Start() as start:
                self._start(start)
            case Artifact() as artifact:
                self._artifact(artifact)
            case End() as end:
                run = self._id(end.run)
                self._batch(run, tags={**end.tags, "state": end.state})
                self._client.set_terminated(run, STATUS[end.state], end.time_ms)
                self._taken_up.discard(end.run)
            case _:
                self._metrics([record for record in group if isinstance(record, Log)])

    def _start(self, record: Start) -> None:
        run = self._ids.get(record.run)
        if run is None and (self._look or record.resumed):
            run = self._find(record.run)
        if run is None:
            tags = {RUN_TAG: record.run, **_origin()}
            if record.parent is not None:
                tags[PARENT_TAG] = self._id(record.parent)
            title = record.tags.get(TITLE)
            tags |= {NAME_TAG: record.name} if title else {}
            created = self._client.create_run(
                self._experiment_id, record.time_ms, tags, title or record.name or None
            )
            run = created.info.run_id
        elif record.resumed and record.run not in self._taken_up:
            self._reopen(run, record.time_ms)
        self._ids[record.run] = run
        if record.resumed:  # once: when it is written again, its children are this process's own
            self._taken_up.add(record.run)
        self._batch(run, params=record.params, tags=record.tags)
        if HOLES in record.tags:
            metric = record.tags.get(METRIC, "accuracy")
            self._show_views(describe_views(json.loads(record.tags[HOLES]), metric))
        if record.data is not None:
            self._client.log_inputs(run, [_input(record.data)])

    def _show_views(self, wanted: Mapping[str, str]) -> None:
        """Let the views follow the newest search, unless a user has made them other ones."""
        known = self._client.get_experiment(self._experiment_id).tags
        for tag, view in wanted.items():
            if is_own_view(known.get(tag)) and known[tag] != view:
                self._client.set_experiment_tag(self._experiment_id, tag, view)

    def _reopen(self, run: str, time_ms: int) -> None:
        """Set a run running again, and end its children that a dead process left running."""
        self._client.update_run(run, "RUNNING")
        query = f"tags.`{PARENT_TAG}` = '{run}' and attributes.status = 'RUNNING'"
        while orphans := self._client.search_runs([self._experiment_id], query, max_results=1000):
            for orphan in orphans:
                self._batch(orphan.info.run_id, tags={"state": "interrupted"})
                self._client.set_terminated(orphan.info.run_id, STATUS["interrupted"], time_ms)

    def _metrics(self, records: list[Log]) -> None:
        from mlflow.entities import Metric

        run = self._id(records[0].run)
        metrics = [
            Metric(_name(name), value, record.time_ms, record.step)
            for record in records
            for name, value in record.metrics.items()
        ]
        for i in range(0, len(metrics), _METRICS_PER_BATCH):
            self._client.log_batch(run, metrics=metrics[i : i + _METRICS_PER_BATCH])

    def _batch(
        self, run: str, params: Mapping[str, object] = {}, tags: Mapping[str, str] = {}
    ) -> None:
        from mlflow.entities import Param, RunTag

        pairs = [
            Param(_name(name), str(value)[:_PARAM_CHARACTERS]) for name, value in params.items()
        ]
        labels = [RunTag(_name(name), str(value)[:_TAG_CHARACTERS]) for name, value in tags.items()]
        size = _PARAMS_OR_TAGS_PER_BATCH
        for i in range(0, max(len(pairs), len(labels)), size):
            self._client.log_batch(run, params=pairs[i : i + size], tags=labels[i : i + size])

    def _artifact(self, record: Artifact) -> None:
        """Upload a file, written first under the name that it shall have: MLflow keeps that."""
        name = PurePosixPath(record.name)
        if name.is_absolute() or ".." in name.parts or not name.name:
            raise RefusedError(
                f"an artifact's name is a relative path without `..`, got {show(record.name)}"
            )
        folder = None if name.parent == PurePosixPath() else str(name.parent)
        with tempfile.TemporaryDirectory() as temporary:
            file = Path(temporary, name.name)
            if isinstance(record.content, Path):
                shutil.copyfile(record.content, file)
            else:
                file.write_bytes(record.content)
            self._client.log_artifact(self._id(record.run), str(file), folder)

    def _id(self, run: str) -> str:
        """Return MLflow's id for ours."""
        if run not in self._ids:
            found = self._find(run)
            if found is None:
                raise RefusedError(f"the experiment {self.experiment!r} has no run {run}")
            self._ids[run] = found
        return self._ids[run]

    def _find(self, run: str) -> str | None:
        found = self._client.search_runs(
            [self._experiment_id], f"tags.`{RUN_TAG}` = '{run}'", max_results=1
        )
        return found[0].info.run_id if found else None

    @property
    def _client(self) -> Any:
        return self._open()[0]

    @property
    def _experiment_id(self) -> str:
        return self._open()[1]

    def _open(self) -> tuple[Any, str]:
        if self._opened is None:
            client = open_client(self.uri)
            self._opened = (client, ensure_experiment(client, self.experiment, self.uri))
        return self._opened


def ensure_experiment(client: Any, name: str, uri: str) -> str:
    """Return the id of the experiment, which is created, or restored if deleted, if need be.

    Raises RefusedError for a name that an experiment cannot have.
    """
    experiment = client.get_experiment_by_name(name)
    if experiment is None:
        try:
            check_experiment_name(name, uri)
        except UserError as error:
            raise RefusedError(str(error)) from None
        # By default MLflow puts the files of an SQLite store into the working folder.
        file = sqlite_file(uri)
        folder = re.sub(r"[^\w\-.]", "_", name)
        place = (file.parent / "mlruns" / folder).as_uri() if file else None
        try:
            return str(client.create_experiment(name, place, tags=experiment_tags()))
        except Exception as error:
            if getattr(error, "error_code", None) == "INVALID_PARAMETER_VALUE":
                raise RefusedError(str(error)) from error
            raise
    if experiment.lifecycle_stage == "deleted":
        client.restore_experiment(experiment.experiment_id)
    for tag, value in experiment_tags().items():
        if tag not in experiment.tags:
            client.set_experiment_tag(experiment.experiment_id, tag, value)
    return str(experiment.experiment_id)


def _origin() -> dict[str, str]:
    """Return the tags by which MLflow's pages say who made a run, and with what."""
    tags = {"mlflow.source.name": "ktg", "mlflow.source.type": "LOCAL"}
    with suppress(OSError, KeyError):  # a container's user may have no name
        tags["mlflow.user"] = getpass.getuser()
    return tags


def _input(data: UsedData) -> Any:
    """Return images as MLflow keeps them; its digest has at most 36 characters."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    source, profile = json.dumps({"uri": data.source}), json.dumps(dict(data.counts))
    dataset = Dataset(data.name, data.fingerprint[:32], "local", source, profile=profile)
    return DatasetInput(dataset, [InputTag("mlflow.data.context", "train, val")])


def _group_by_run(records: Iterable[Record]) -> Iterator[list[Record]]:
    """Yield groups of records: the metrics of a run together, unless another record is between."""
    groups: list[list[Record]] = []
    logs: dict[str, list[Record]] = {}
    for record in records:
        if isinstance(record, Log) and record.run in logs:
            logs[record.run].append(record)
            continue
        groups.append([record])
        logs.pop(record.run, None)
        if isinstance(record, Log):
            logs[record.run] = groups[-1]
    yield from groups


def _is_refusal(error: Exception) -> bool:
    """Whether the fault is in the record, so that sending it again would not help."""
    if isinstance(error, OSError):  # those of the network are no record's fault either
        return error.errno in _WRONG_PATHS
    if isinstance(error, RefusedError | TypeError | ValueError | OverflowError):
        return True
    return getattr(error, "error_code", None) in _REFUSALS


def _name(text: str) -> str:
    """Return `text` with what MLflow refuses in names replaced."""
    return _NOT_IN_A_NAME.sub("_", text)[:_NAME_CHARACTERS]
