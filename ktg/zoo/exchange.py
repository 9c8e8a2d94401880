"""Copies entries from other zoos into the user's, and from there into a registry of MLflow.

Another zoo is a folder, a folder behind a web server, or a model in the registry. Nothing that a
stranger's zoo says is trusted: names and cards are checked before they are used, and a file may be
as large as its card says and no larger.
"""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from filelock import FileLock

from ktg.errors import SpecError, UserError, WeightsError, did_you_mean, show
from ktg.graph.fields import check_keys
from ktg.graph.yaml_files import loads, name_file_in_errors
from ktg.local import file_sha256
from ktg.zoo.card import FORMAT_VERSION, Card, check_key
from ktg.zoo.download import check_url, download, read_text
from ktg.zoo.folder import (
    CARD_SUFFIX,
    INDEX,
    WEIGHTS_SUFFIX,
    MissingEntryError,
    Zoo,
    parse_entry_card,
)
from ktg.zoo.staging import STAGING, check_room, check_safetensors, copy_and_hash, open_staging

EXPERIMENT = "ktg zoo"
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class FolderZoo:
    """A zoo in a folder of this machine or of a network drive."""

    zoo: Zoo

    def list_keys(self) -> list[str]:
        """Return what is there, whatever its index says."""
        return self.zoo.list_keys()

    def read_card(self, key: str) -> Card:
        """Return a card, checked."""
        return self.zoo.read_card(key)

    def fetch(self, card: Card, _: Zoo, place: Path, progress: Callable[[int], None]) -> Path:
        """Copy the weights of a card into `place`; return the copy, whose hash is the card's."""
        file, copy = self.zoo.weights_file(card.key), place / "weights"
        if not file.is_file():
            raise WeightsError(f"{file}: is missing, although its card is there")
        _check_hash(card, copy_and_hash(file, copy), str(file))
        progress(card.bytes)
        return copy


@dataclass(frozen=True)
class WebZoo:
    """A zoo's folder behind any web server: `url` has no slash at its end."""

    url: str

    def list_keys(self) -> list[str]:
        """Return what its index lists."""
        place = f"{self.url}/{INDEX}"
        with name_file_in_errors(place):
            raw = loads(read_text(place), place)
            check_keys(raw, dict.fromkeys(("version", "entries")), "")
            version, entries = raw.get("version"), raw.get("entries")
            if version != FORMAT_VERSION:
                allowed = f"is not an index this ktg reads; allowed: {FORMAT_VERSION}"
                raise SpecError("version", f"{show(version)} {allowed}")
            if not isinstance(entries, list):
                raise SpecError("entries", f"expected a list of NAME/MODEL, got {show(entries)}")
            return [check_key(key, f"entries[{number}]") for number, key in enumerate(entries)]

    def read_card(self, key: str) -> Card:
        """Return a card, checked."""
        place = f"{self.url}/{key}{CARD_SUFFIX}"
        with name_file_in_errors(place):
            return parse_entry_card(loads(read_text(place), place), key)

    def fetch(self, card: Card, zoo: Zoo, place: Path, progress: Callable[[int], None]) -> Path:
        """Download a card's weights into `place`; return the file, whose hash is the card's."""
        url = f"{self.url}/{card.key}{WEIGHTS_SUFFIX}"
        # Named by its hash and outside `place`, which is deleted after an error: so a later try
        # finds what came, from whatever server, and goes on where this one ended.
        part = zoo.folder / STAGING / f"{card.sha256}.part"
        with FileLock(part.with_suffix(".lock")):
            download(url, part, card.bytes, progress)
            whole = part.replace(place / "weights")
        _check_hash(card, file_sha256(whole), url)
        return whole


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
    """Copy entries of the zoo at `source` into `zoo`, all of them or the `wanted` ones.

    source: a folder, an http(s) address, or `models:/NAME/VERSION` of the MLflow store
    `tracking_uri`.
    wanted: NAMEs and NAME/MODELs.
    progress: called with NAME/MODEL, the bytes so far, and the bytes in all.

    Every card is read before the first file of weights is; each file must have the hash and size of
    its card. Raises UserError or one of its kinds. What came before the error stays, whole.
    """
    if source.startswith("models:"):
        from ktg.tracking.registry import fetch_version

        with zoo.open_for_writing(), open_staging(zoo.folder) as place:
            fetched = fetch_version(source, tracking_uri, place)
            if not (fetched / INDEX).is_file():
                problem = f"holds no entries of a zoo, because there is no {INDEX} in it"
                raise UserError(f"{source}: {problem}")
            return _pull(zoo, FolderZoo(Zoo(fetched)), source, wanted, replace, progress)
    return _pull(zoo, _open_zoo(source), source, wanted, replace, progress)


def push(zoo: Zoo, name: str, address: str, *, model: str | None = None, tracking_uri: str) -> str:
    """Store an entry, or all of a name, as a new version of `models:/NAME`; return its address.

    It goes to the MLflow store `tracking_uri`. A version holds the files of a small zoo, so that
    `pull` reads it like any other.
    """
    from ktg.tracking.registry import parse_address, publish_version

    parse_address(address)
    cards = [zoo.get(name, model)] if model else zoo.get_all(name)
    with tempfile.TemporaryDirectory() as temporary:
        small = Zoo(Path(temporary, "zoo"))
        for card in cards:
            small.add(card, zoo.find_weights(card.name, card.model))
        # What only a zoo that is written to needs; a version is read.
        shutil.rmtree(small.folder / STAGING)
        (small.folder / ".lock").unlink()
        tags = {"ktg.zoo": name, "ktg.models": ", ".join(card.model for card in cards)}
        return publish_version(small.folder, address, tracking_uri, EXPERIMENT, tags)


def _open_zoo(source: str) -> FolderZoo | WebZoo:
    if "://" in source:
        return WebZoo(check_url(source))
    folder = Path(source).expanduser()
    if not folder.is_dir():
        advice = "give that of a zoo, its http(s) address, or models:/NAME/VERSION"
        raise UserError(f"{source}: is no folder; {advice}")
    if not (folder / INDEX).is_file():
        raise UserError(f"{source}: is not a zoo, because it has no {INDEX}")
    return FolderZoo(Zoo(folder))


def _choose(keys: list[str], wanted: tuple[str, ...], source: str) -> list[str]:
    """Return those of `keys` that are wanted: all, those of a NAME, or one NAME/MODEL."""
    names = list(dict.fromkeys(key.partition("/")[0] for key in keys))
    for want in wanted:
        if want not in keys and want not in names:
            listed = ", ".join(names[:12]) or "nothing"
            hint = did_you_mean(want, names + keys)
            raise UserError(f"{source} has no entry {show(want)}; it has {listed}.{hint}")
    return [key for key in keys if not wanted or key in wanted or key.partition("/")[0] in wanted]


def _pull(
    zoo: Zoo,
    other: FolderZoo | WebZoo,
    source: str,
    wanted: tuple[str, ...],
    replace: bool,
    progress: Progress,
) -> list[Pulled]:
    cards = [other.read_card(key) for key in _choose(other.list_keys(), wanted, source)]
    same = {card.key for card in cards if _has_same(zoo, card, replace)}
    new = [card for card in cards if card.key not in same]
    for card in new:
        if not card.bytes:  # the bound on what is downloaded
            problem = "does not say how many bytes its weights have"
            raise UserError(f"{source}: the card of {card.key} {problem}")
    with zoo.open_for_writing():
        check_room(zoo.folder, sum(card.bytes for card in new))
        for card in new:
            with open_staging(zoo.folder) as place:
                progress(card.key, 0, card.bytes)
                file = other.fetch(card, zoo, place, partial(_report, progress, card))
                check_safetensors(file, zoo.weights_file(card.key))
                _take(zoo, card, file, replace)
    return [Pulled(card, card.key not in same) for card in cards]


def _take(zoo: Zoo, card: Card, file: Path, replace: bool) -> None:
    try:
        zoo.take(card, file, replace=replace)
    except UserError:
        if not _has_same(zoo, card, replace):  # else another process has just pulled it too
            raise


def _report(progress: Progress, card: Card, done: int) -> None:
    progress(card.key, done, card.bytes)


def _has_same(zoo: Zoo, card: Card, replace: bool) -> bool:
    """Return whether the zoo has this very entry; UserError if it may not replace another."""
    try:
        own = zoo.get(card.name, card.model)
    except MissingEntryError:
        return False
    except UserError:
        if replace:
            return False
        raise
    if own.sha256 == card.sha256 and not zoo.find_fault(own):
        return True
    if not replace:
        problem = f"the zoo {zoo.folder} has other weights of this name already"
        raise UserError(f"{card.key}: {problem}; remove them first, or replace them (`--replace`)")
    return False


def _check_hash(card: Card, found: str, place: str) -> None:
    if found != card.sha256:
        problem = f"its SHA-256 is {found}, its card says {card.sha256}; nothing of it was kept"
        raise WeightsError(f"{place}: was damaged on the way, or changed by someone: {problem}")
