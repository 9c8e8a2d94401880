"""Sends records to a store without a tracker: those that a dead process left, or one more file."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from ktg.errors import UserError, show
from ktg.tracking.records import Artifact, Record, load, save
from ktg.tracking.spool import (
    REFUSED_PREFIX,
    hold_delivery,
    lock_orphaned,
    new_file,
    undelivered_folder,
)
from ktg.tracking.store import DEFAULT_URI, check_uri, explain, redact
from ktg.tracking.writer import Writer

_logger = logging.getLogger(__name__)
Refused = list[tuple[Record, Exception]]


def deliver(path: Path, uri: str = DEFAULT_URI) -> int:
    """Send the records in a file that `MlflowTracker.close` left; return how many the store took.

    Sending a file twice does no harm. Raises UserError when the file or the store cannot be used.
    """
    experiment, records = load(path)
    refused = _send(experiment, records, uri)
    for record, reason in refused[:1]:
        kind, why = type(record).__name__, explain(reason, uri)
        _logger.warning("MLflow refused %s of run %s: %s", kind, record.run, why)
    return len(records) - len(refused)


def recover(
    uri: str = DEFAULT_URI,
    folder: Path | None = None,
    on_wait: Callable[[], None] | None = None,
) -> int:
    """Send all records that dead processes left for a store, and return how many it took.

    They are in files of `folder` (default: `undelivered_folder`), which are then deleted. Records
    that the store refuses for good are set aside in a file beside them, with a warning.

    on_wait: called before this waits for another process that is sending such records; by default
    they are left to that one.
    Raises UserError when the store cannot be used.
    """
    taken, folder, store = 0, folder or undelivered_folder(), redact(check_uri(uri))
    with (
        hold_delivery(folder, store, on_wait) as alone,
        lock_orphaned(folder, store) as files,
    ):
        for path in files if alone else ():
            try:
                experiment, records = load(path)
            except UserError as error:  # one file that is no good must not keep the others back
                _logger.warning("%s", error)
                continue
            refused = _send(experiment, records, uri)
            taken += len(records) - len(refused)
            if not refused or _set_aside(path.parent, experiment, refused, uri):
                path.unlink()
    return taken


def attach(experiment: str, uri: str, run: str, name: str, content: str | bytes) -> None:
    """Store `content` as the artifact `name` of a run that may be over.

    run: the id that `Tracker.start` returned. An artifact of that name is replaced. Raises
    UserError when the store refuses it.
    """
    data = content.encode() if isinstance(content, str) else content
    try:
        refused = Writer(experiment, check_uri(uri)).write(
            [Artifact(run=run, name=name, content=data)]
        )
    except Exception as error:
        raise UserError(
            f"MLflow at {redact(uri)} does not take {name}: {explain(error, uri)}"
        ) from error
    for _, reason in refused:
        raise UserError(f"MLflow at {redact(uri)} does not take {name}: {explain(reason, uri)}")


def _set_aside(folder: Path, experiment: str, refused: Refused, uri: str) -> bool:
    """Write refused records to a file that nobody sends again; return whether the disk took it."""
    file, store = new_file(folder, REFUSED_PREFIX), redact(check_uri(uri))
    try:
        save(file, experiment, store, [record for record, _ in refused])
    except OSError:
        file.unlink(missing_ok=True)
        return False
    what = f"{len(refused)} records of experiment {show(experiment)}"
    why = explain(refused[0][1], uri)
    _logger.warning(
        "MLflow at %s refuses %s (%s); they are set aside in %s", store, what, why, file
    )
    return True


def _send(experiment: str, records: Sequence[Record], uri: str) -> Refused:
    """Write records into a store; return those that it refuses, each with its reason."""
    writer = Writer(experiment, check_uri(uri), look_before_create=True)
    try:
        return writer.write(records)
    except Exception as error:
        raise UserError(
            f"MLflow at {redact(uri)} does not take records: {explain(error, uri)}"
        ) from error
