"""Adds a file to a run that is already over."""

from ktg.errors import UserError
from ktg.tracking.records import Artifact
from ktg.tracking.store import check_uri, redact, why
from ktg.tracking.writer import Writer


def attach(experiment: str, uri: str, run: str, name: str, content: str | bytes) -> None:
    """Store `content` as the artifact `name` of a run, known by the id that `Tracker.start` returned.

    The run stays as it is, over or not; an artifact of that name is replaced. Raises UserError when
    the store does not take it.
    """
    data = content.encode() if isinstance(content, str) else content
    try:
        refused = Writer(experiment, check_uri(uri)).write(
            [Artifact(run=run, name=name, content=data)]
        )
    except Exception as error:
        raise UserError(
            f"MLflow at {redact(uri)} does not take {name}: {why(error, uri)}"
        ) from error
    for _, reason in refused:
        raise UserError(f"MLflow at {redact(uri)} does not take {name}: {why(reason, uri)}")
