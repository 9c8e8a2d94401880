"""Sends records that a process has left on the disk: the store was away when it ended, or it was killed."""

import logging
from collections.abc import Sequence
from pathlib import Path

from ktg.errors import UserError
from ktg.tracking.records import Record, load
from ktg.tracking.spool import orphaned, undelivered_folder
from ktg.tracking.store import DEFAULT_URI, check_uri, redact, why
from ktg.tracking.writer import Writer

_logger = logging.getLogger(__name__)


def deliver(path: Path, uri: str = DEFAULT_URI) -> int:
    """Send the records in a file that `MlflowTracker.close` left; return how many the store took.

    Sending a file twice does no harm. Raises UserError when the file or the store cannot be used.
    """
    return _send(*load(path), uri)


def recover(uri: str = DEFAULT_URI, folder: Path | None = None) -> int:
    """Send all that dead processes have left for a store in `folder` (default: `undelivered_folder`).

    Returns how many records the store took; the files are deleted. Raises UserError when the store
    cannot be used.
    """
    taken = 0
    with orphaned(folder or undelivered_folder(), redact(check_uri(uri))) as files:
        for path in files:
            try:
                left = load(path)
            except UserError as error:  # one file that is no good must not keep the others back
                _logger.warning("%s", error)
                continue
            taken += _send(*left, uri)
            path.unlink()
    return taken


def _send(experiment: str, records: Sequence[Record], uri: str) -> int:
    writer = Writer(experiment, check_uri(uri), look_before_create=True)
    try:
        refused = writer.write(records)
    except Exception as error:
        raise UserError(
            f"MLflow at {redact(uri)} does not take records: {why(error, uri)}"
        ) from error
    for record, reason in refused[:1]:
        _logger.warning(
            "MLflow refused %s of run %s: %s", type(record).__name__, record.run, why(reason, uri)
        )
    return len(records) - len(refused)
