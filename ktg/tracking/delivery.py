"""Sends records to a store without a tracker: those that a dead process left, or one more file."""

import logging
from collections.abc import Sequence
from pathlib import Path

from ktg.errors import UserError
from ktg.tracking.records import Artifact, Record, load
from ktg.tracking.spool import lock_orphaned, undelivered_folder
from ktg.tracking.store import DEFAULT_URI, check_uri, explain, redact
from ktg.tracking.writer import Writer

_logger = logging.getLogger(__name__)


def deliver(path: Path, uri: str = DEFAULT_URI) -> int:
    """Send the records in a file that `MlflowTracker.close` left; return how many the store took.

    Sending a file twice does no harm. Raises UserError when the file or the store cannot be used.
    """
    return _send(*load(path), uri)


def recover(uri: str = DEFAULT_URI, folder: Path | None = None) -> int:
    """Send all records that dead processes left for a store, and return how many it took.

    They are in files of `folder` (default: `undelivered_folder`), which are then deleted. Raises
    UserError when the store cannot be used.
    """
    taken = 0
    with lock_orphaned(folder or undelivered_folder(), redact(check_uri(uri))) as files:
        for path in files:
            try:
                left = load(path)
            except UserError as error:  # one file that is no good must not keep the others back
                _logger.warning("%s", error)
                continue
            taken += _send(*left, uri)
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


def _send(experiment: str, records: Sequence[Record], uri: str) -> int:
    writer = Writer(experiment, check_uri(uri), look_before_create=True)
    try:
        refused = writer.write(records)
    except Exception as error:
        raise UserError(
            f"MLflow at {redact(uri)} does not take records: {explain(error, uri)}"
        ) from error
    for record, reason in refused[:1]:
        _logger.warning(
            "MLflow refused %s of run %s: %s",
            type(record).__name__,
            record.run,
            explain(reason, uri),
        )
    return len(records) - len(refused)
