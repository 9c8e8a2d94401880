"""Taking entries over from another zoo: a folder, a web server, or a model in the registry of MLflow."""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ktg.errors import UserError
from ktg.zoo.card import Card
from ktg.zoo.folder import INDEX, MissingEntryError, Zoo
from ktg.zoo.remote import Remote, choose, open_remote
from ktg.zoo.staging import STAGING, check_room, check_safetensors, staging

EXPERIMENT = "ktg zoo"
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Pulled:
    """An entry that was asked for; `new` is False if the zoo had the very same one already."""

    card: Card
    new: bool


def pull(
    zoo: Zoo,
    source: str,
    wanted: tuple[str, ...] = (),
    *,
    replace: bool = False,
    tracking_uri: str = "",
    progress: Progress = lambda key, done, total: None,
) -> list[Pulled]:
    """Copy entries of the zoo at `source` into `zoo`: all of them, or those of the NAMEs and NAME/MODELs `wanted`.

    source: a folder, an http(s) address, or `models:/NAME/VERSION` of the MLflow store
    `tracking_uri`.
    progress: is told (NAME/MODEL, bytes so far, bytes in all).

    Every card is read before the first file of weights is; each file must have the hash and size of
    its card.
    Raises UserError or one of its kinds. What came before the error stays, whole.
    """
    if source.startswith("models:"):
        from ktg.tracking.registry import fetch_version

        with zoo.writing(), staging(zoo.folder) as place:
            fetched = fetch_version(source, tracking_uri, place)
            if not (fetched / INDEX).is_file():
                raise UserError(
                    f"{source}: holds no entries of a zoo, because there is no {INDEX} in it"
                )
            return _pull(zoo, open_remote(str(fetched)), source, wanted, replace, progress)
    return _pull(zoo, open_remote(source), source, wanted, replace, progress)


def push(zoo: Zoo, name: str, address: str, *, model: str | None = None, tracking_uri: str) -> str:
    """Store an entry, or all of that name, as a new version of `models:/NAME` in an MLflow store; return its address.

    A version holds the files of a small zoo, so that `pull` reads it like any other.
    """
    from ktg.tracking.registry import parse_address, publish_version

    parse_address(address)
    cards = [zoo.get(name, model)] if model else zoo.named(name)
    with tempfile.TemporaryDirectory() as temporary:
        small = Zoo(Path(temporary, "zoo"))
        for card in cards:
            small.add(card, zoo.weights(card.name, card.model))
        shutil.rmtree(small.folder / STAGING)
        (small.folder / ".lock").unlink()
        tags = {"ktg.zoo": name, "ktg.models": ", ".join(card.model for card in cards)}
        return publish_version(small.folder, address, tracking_uri, EXPERIMENT, tags)


def _pull(
    zoo: Zoo,
    remote: Remote,
    source: str,
    wanted: tuple[str, ...],
    replace: bool,
    progress: Progress,
) -> list[Pulled]:
    cards = [remote.card(key) for key in choose(remote.listing(), wanted, source)]
    same = {card.key for card in cards if _kept(zoo, card, replace)}
    missing = [card for card in cards if card.key not in same]
    for card in missing:
        if not card.bytes:
            raise UserError(
                f"{source}: the card of {card.key} does not say how many bytes its weights have"
            )
    with zoo.writing():
        check_room(zoo.folder, sum(card.bytes for card in missing))
        for card in missing:
            with staging(zoo.folder) as place:
                progress(card.key, 0, card.bytes)
                file = remote.fetch(card, zoo, place, partial(_report, progress, card))
                check_safetensors(file, zoo.weights_file(card.key))
                _take(zoo, card, file, replace)
    return [Pulled(card, card.key not in same) for card in cards]


def _take(zoo: Zoo, card: Card, file: Path, replace: bool) -> None:
    try:
        zoo.take(card, file, replace=replace)
    except UserError:
        if not _kept(zoo, card, replace):  # else another process has just pulled it too
            raise


def _report(progress: Progress, card: Card, done: int) -> None:
    progress(card.key, done, card.bytes)


def _kept(zoo: Zoo, card: Card, replace: bool) -> bool:
    """Return whether the zoo has this very entry. Raises UserError if it has another one of this name."""
    try:
        own = zoo.get(card.name, card.model)
    except MissingEntryError:
        return False
    except UserError:
        if replace:
            return False
        raise
    if own.sha256 == card.sha256 and not zoo.fault(own):
        return True
    if not replace:
        problem = "has other weights of this name already; remove them first, or replace them (`--replace`)"
        raise UserError(f"{card.key}: the zoo {zoo.folder} {problem}")
    return False
