"""Turns the calls of a tracker into data, which can wait in a queue or a file for the store."""

import base64
import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from time import time
from typing import Any

from ktg.errors import UserError, show
from ktg.graph.vocabulary import Scalar
from ktg.tracking.protocol import RunState, UsedData


def now_ms() -> int:
    """Return the time in milliseconds since 1970, as MLflow counts it."""
    return int(time() * 1000)


@dataclass(frozen=True, kw_only=True)
class Record:
    """What all records share: the run (our id, not the store's) and when the call was made."""

    run: str
    time_ms: int = field(default_factory=now_ms)


@dataclass(frozen=True, kw_only=True)
class Start(Record):
    """A run begins, or goes on (`resumed`) after its process had died."""

    name: str
    parent: str | None
    params: Mapping[str, Scalar]
    tags: Mapping[str, str]
    data: UsedData | None = None
    resumed: bool = False


@dataclass(frozen=True, kw_only=True)
class Log(Record):
    """Metric values at one step."""

    metrics: Mapping[str, float]
    step: int


@dataclass(frozen=True, kw_only=True)
class Artifact(Record):
    """A file: its content, or where it lies."""

    name: str
    content: bytes | Path


@dataclass(frozen=True, kw_only=True)
class End(Record):
    """A run is over."""

    state: RunState
    tags: Mapping[str, str]


_KINDS: dict[str, type[Record]] = {kind.__name__: kind for kind in (Start, Log, Artifact, End)}


def save(path: Path, experiment: str, store: str, records: Iterable[Record]) -> None:
    """Write records as JSON lines, after a first line with the experiment and the store.

    `store` is an address without a password.
    """
    with path.open("w", encoding="utf-8") as file:
        file.write(format_head(experiment, store))
        file.writelines(map(format_record, records))


def format_head(experiment: str, store: str) -> str:
    """Return the first line of a file of records, in ASCII."""
    return json.dumps({"experiment": experiment, "store": store}) + "\n"


def format_record(record: Record) -> str:
    """Return the line of a record, in ASCII."""
    return json.dumps(_to_plain(record)) + "\n"


def load(path: Path) -> tuple[str, list[Record]]:
    """Return the experiment and the records that `save` wrote, or raise a UserError.

    A last line without an end was being written when its process was killed, and is left out.
    """
    try:
        whole, _, _ = path.read_text(encoding="utf-8").rpartition("\n")
        head, *lines = [json.loads(line) for line in whole.splitlines()]
        return head["experiment"], [_from_plain(line) for line in lines]
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(
            f"{path}: not a file of undelivered tracking records ({show(str(error))})"
        ) from error


def _to_plain(record: Record) -> dict[str, Any]:
    # `asdict` would deep-copy every metric of every epoch, only for json to read them.
    plain = {"record": type(record).__name__, **vars(record)}
    if isinstance(record, Start) and record.data is not None:
        plain["data"] = dataclasses.asdict(record.data)
    if isinstance(record, Artifact):
        content = record.content
        plain["is_path"] = isinstance(content, Path)
        plain["content"] = (
            str(content.absolute())
            if isinstance(content, Path)
            else base64.b64encode(content).decode()
        )
    return plain


def _from_plain(plain: dict[str, Any]) -> Record:
    kind = _KINDS[plain.pop("record")]
    if kind is Artifact:
        text = plain["content"]
        plain["content"] = Path(text) if plain.pop("is_path") else base64.b64decode(text)
    if plain.get("data") is not None:
        plain["data"] = UsedData(**plain["data"])
    return kind(**plain)
