"""Zoos elsewhere, to pull from: a folder, or a folder behind a web server. Both say what there is and hand out files.

Nothing a stranger's zoo says is trusted: names and cards are checked before they are used, and a
file may be as large as its card says and no larger.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from filelock import FileLock

from ktg.errors import SpecError, UserError, WeightsError, did_you_mean, show
from ktg.graph.fields import check_keys
from ktg.graph.yaml_files import loads, name_file_in_errors
from ktg.zoo.card import FORMAT_VERSION, Card, check_key
from ktg.zoo.download import check_url, download, read_text
from ktg.zoo.folder import CARD_SUFFIX, INDEX, WEIGHTS_SUFFIX, Zoo, checked_card
from ktg.zoo.staging import STAGING, copy_hashed, hashed

Progress = Callable[[int], None]


class Remote(Protocol):
    """A zoo elsewhere."""

    def listing(self) -> list[str]:
        """Return `NAME/MODEL` of what it has."""

    def card(self, key: str) -> Card:
        """Return a card, checked."""

    def fetch(self, card: Card, zoo: Zoo, place: Path, progress: Progress) -> Path:
        """Bring the weights of a card into the staging folder of `zoo`, or into `place` in it, and check their hash."""


def open_remote(source: str) -> Remote:
    """Return the zoo at an http(s) address or in a folder. Raises UserError where there is none."""
    if "://" in source:
        return WebZoo(check_url(source))
    folder = Path(source).expanduser()
    if not folder.is_dir():
        raise UserError(
            f"{source}: is no folder; give that of a zoo, its http(s) address, or models:/NAME/VERSION"
        )
    if not (folder / INDEX).is_file():
        raise UserError(f"{source}: is not a zoo, because it has no {INDEX}")
    return FolderZoo(Zoo(folder))


@dataclass(frozen=True)
class FolderZoo:
    """A zoo in a folder of this machine or of a network drive."""

    zoo: Zoo

    def listing(self) -> list[str]:
        """Return what is there, whatever its index says."""
        return self.zoo.listing()

    def card(self, key: str) -> Card:
        """Return a card, checked."""
        return self.zoo.read(key)

    def fetch(self, card: Card, zoo: Zoo, place: Path, progress: Progress) -> Path:
        """Copy the weights into `place`."""
        file, copy = self.zoo.weights_file(card.key), place / "weights"
        if not file.is_file():
            raise WeightsError(f"{file}: is missing, although its card is there")
        _check_hash(card, copy_hashed(file, copy), str(file))
        progress(card.bytes)
        return copy


@dataclass(frozen=True)
class WebZoo:
    """A zoo's folder behind any web server: `url` has no slash at its end."""

    url: str

    def listing(self) -> list[str]:
        """Return what its index lists."""
        place = f"{self.url}/{INDEX}"
        with name_file_in_errors(place):
            raw = loads(read_text(place), place)
            check_keys(raw, dict.fromkeys(("version", "entries")), "")
            if raw.get("version") != FORMAT_VERSION:
                found = show(raw.get("version"))
                raise SpecError(
                    "version", f"{found} is not an index this ktg reads; allowed: {FORMAT_VERSION}"
                )
            entries = raw.get("entries")
            if not isinstance(entries, list):
                raise SpecError("entries", f"expected a list of NAME/MODEL, got {show(entries)}")
            return [check_key(key, f"entries[{number}]") for number, key in enumerate(entries)]

    def card(self, key: str) -> Card:
        """Return a card, checked."""
        place = f"{self.url}/{key}{CARD_SUFFIX}"
        with name_file_in_errors(place):
            return checked_card(loads(read_text(place), place), key)

    def fetch(self, card: Card, zoo: Zoo, place: Path, progress: Progress) -> Path:
        """Download the weights under a name that a later try finds again, to go on where this one ended."""
        url = f"{self.url}/{card.key}{WEIGHTS_SUFFIX}"
        part = zoo.folder / STAGING / f"{card.sha256}.part"
        with FileLock(part.with_suffix(".lock")):
            download(url, part, card.bytes, progress)
            whole = part.replace(place / "weights")
        _check_hash(card, hashed(whole), url)
        return whole


def choose(keys: list[str], wanted: tuple[str, ...], source: str) -> list[str]:
    """Return those of `keys` that are wanted: all, those of a NAME, or one NAME/MODEL. UserError for one not there."""
    names = list(dict.fromkeys(key.partition("/")[0] for key in keys))
    for want in wanted:
        if want not in keys and want not in names:
            listed = ", ".join(names[:12]) or "nothing"
            raise UserError(
                f"{source} has no entry {show(want)}; it has {listed}.{did_you_mean(want, names + keys)}"
            )
    return [key for key in keys if not wanted or key in wanted or key.partition("/")[0] in wanted]


def _check_hash(card: Card, found: str, place: str) -> None:
    if found != card.sha256:
        problem = f"its SHA-256 is {found}, its card says {card.sha256}"
        raise WeightsError(
            f"{place}: was damaged on the way, or changed by someone: {problem}; nothing of it was kept"
        )
