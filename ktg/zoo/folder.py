"""Finds, reads, adds and removes entries in the folder of a zoo; see `ktg.zoo` for its layout.

Whoever changes a zoo holds its lock, prepares both files of an entry aside and only then renames
them: the weights first, then the card, without which there is no entry. Readers take no lock, so
that they can read a folder that they may not write; only where something seems wrong they look
again under the lock, in case it was just being replaced.
"""

import functools
import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock

from ktg.errors import SpecError, UserError, WeightsError, did_you_mean, show
from ktg.graph.yaml_files import dumps, load, name_file_in_errors, save
from ktg.local import FileStamp, file_sha256, file_stamp
from ktg.zoo.card import (
    FORMAT_VERSION,
    Card,
    check_card,
    check_name,
    dump_card,
    entry_key,
    parse_card,
)
from ktg.zoo.staging import check_room, check_safetensors, copy_and_hash, open_staging, sweep

INDEX = "index.yaml"
CARD_SUFFIX, WEIGHTS_SUFFIX = ".yaml", ".safetensors"
# The zoo that is part of every installation; benchmarks/shipped_zoo.py makes it.
SHIPPED = Path(__file__).parent / "shipped"


class MissingEntryError(UserError):
    """An entry that the zoo does not have."""


def default_zoo() -> "Zoo":
    """Return the user's zoo, in $KTG_ZOO or ~/.local/share/ktg/zoo. It need not exist yet."""
    return Zoo(Path(os.environ.get("KTG_ZOO") or "~/.local/share/ktg/zoo").expanduser().absolute())


def shipped_zoo() -> "Zoo":
    """Return the zoo that comes with ktg. It is only read."""
    return Zoo(SHIPPED)


def find_zoo(name: str, model: str) -> "Zoo":
    """Return the zoo that a source's weights come from: the user's, before the one of ktg.

    The user's is returned too where neither has the entry; asking it then says what there is.
    """
    own, shipped, key = default_zoo(), shipped_zoo(), entry_key(name, model)
    return shipped if key in shipped.list_keys() and key not in own.list_keys() else own


@dataclass(frozen=True)
class Zoo:
    """A folder of pretrained networks. All methods raise UserError or one of its kinds."""

    folder: Path

    def list_keys(self, name: str | None = None) -> list[str]:
        """Return `NAME/MODEL` of every entry, or of those of one name, sorted; no card is read."""
        self.check()
        return sorted(
            f"{card.parent.name}/{card.name.removesuffix(CARD_SUFFIX)}"
            for card in self.folder.glob(f"[!.]*/[!.]*{CARD_SUFFIX}")
            if name in (None, card.parent.name)
        )

    def list_cards(self) -> list[Card]:
        """Return all cards, sorted by name and model."""
        return [self.read_card(key) for key in self.list_keys()]

    def get(self, name: str, model: str) -> Card:
        """Return the card of an entry. Raises MissingEntryError, or SpecError for a bad card."""
        key = entry_key(name, model)
        self.check()
        try:
            return self.read_card(key)
        except SpecError:
            with self._wait_for_writers():
                if not self.card_file(key).is_file():
                    raise MissingEntryError(self._describe_missing(name, model)) from None
                return self.read_card(key)

    def get_all(self, name: str) -> list[Card]:
        """Return the cards of all models of one name. Raises MissingEntryError for none."""
        keys = self.list_keys(name)
        if not keys:
            raise MissingEntryError(self._describe_missing(check_name(name), None))
        return [self.read_card(key) for key in keys]

    def find_weights(self, name: str, model: str) -> Path:
        """Return the file of an entry's weights; WeightsError unless its hash is that of the card.

        The file is hashed once in a process for as long as its size and times stay the same.
        """
        card = self.get(name, model)
        if self.find_fault(card):
            with self._wait_for_writers():
                card = self.get(name, model)
                fault = self.find_fault(card)
                if fault:
                    raise WeightsError(fault)
        return self.weights_file(card.key)

    def add(self, card: Card, file: Path, *, replace: bool = False) -> Card:
        """Copy a .safetensors file into the zoo as the entry of `card`; return the card as stored.

        Its hash, size and date are filled in. An entry that is there already stays unless `replace`
        is set.
        """
        card = check_card(card)
        if file.suffix != WEIGHTS_SUFFIX:
            raise UserError(
                f"{file}: a zoo keeps {WEIGHTS_SUFFIX} files only; `ktg zoo add` converts others"
            )
        if not file.is_file():
            raise UserError(f"{file}: there is no such file")
        self._check_new(card, replace)
        with self.open_for_writing(), open_staging(self.folder) as place:
            check_room(self.folder, file.stat().st_size)
            copy = place / "weights"
            digest = copy_and_hash(file, copy)
            check_safetensors(copy, file)
            return self.take(_fill_in(card, copy, digest), copy, replace=replace)

    def take(self, card: Card, staged: Path, *, replace: bool = False) -> Card:
        """Make an entry of a checked file, which is moved from the zoo's own staging folder."""
        with self.open_for_writing(), open_staging(self.folder) as place:
            written = write_card(card, place)
            with self._lock():
                self._check_new(card, replace)
                target, weights = self.card_file(card.key), self.weights_file(card.key)
                target.parent.mkdir(exist_ok=True)
                target.unlink(missing_ok=True)  # never a card with the weights of another
                staged.replace(weights)
                written.replace(target)
                self._write_index()
                sweep(self.folder)
        return card

    def remove(self, name: str, model: str | None = None) -> list[str]:
        """Remove an entry, or all of that name, and return `NAME/MODEL` of what was removed."""
        wanted = None if model is None else entry_key(name, model)
        if not self.list_keys(check_name(name)):
            if shipped_zoo().list_keys(name):
                raise UserError(f"{name} comes with ktg and is only read; it cannot be removed")
            raise MissingEntryError(self._describe_missing(name, model))
        with self.open_for_writing(), self._lock():
            gone = [key for key in self.list_keys(name) if wanted in (None, key)]
            if not gone:
                raise MissingEntryError(self._describe_missing(name, model))
            for key in gone:
                self.card_file(key).unlink()
                self.weights_file(key).unlink(missing_ok=True)
            if not list((self.folder / name).iterdir()):
                (self.folder / name).rmdir()
            self._write_index()
        return gone

    def verify(self, name: str | None = None) -> list[str]:
        """Hash all files, or those of one name, and return a sentence for each fault."""
        keys = self.list_keys(name)
        if name is not None and not keys:
            raise MissingEntryError(self._describe_missing(check_name(name), None))
        problems = []
        for key in keys:
            try:
                self.find_weights(self.read_card(key).name, self.read_card(key).model)
            except UserError as error:
                problems.append(str(error))
        return problems + ([] if name else self._find_strays() + self._find_index_faults())

    def read_card(self, key: str) -> Card:
        """Return the card of `NAME/MODEL`. Raises SpecError, with the file, for a bad one."""
        file = self.card_file(key)
        with name_file_in_errors(file):
            return _read_card(file, key, file_stamp(file))

    def find_fault(self, card: Card) -> str:
        """Return what is wrong with the weights of a card, or an empty string."""
        file = self.weights_file(card.key)
        try:
            found = file_sha256(file)
        except FileNotFoundError:
            return f"{file}: is missing, although its card is there; {self._suggest_remedy(card)}"
        except OSError as error:
            return f"{file}: cannot be read ({error.strerror})"
        if found == card.sha256:
            return ""
        problem = f"its SHA-256 is {found}, its card says {card.sha256}"
        return f"{file}: is damaged or was changed: {problem}; {self._suggest_remedy(card)}"

    @contextmanager
    def open_for_writing(self) -> Iterator[None]:
        """Make the folder a zoo if it is not there yet, and turn an OSError into one sentence."""
        self.check()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not (self.folder / INDEX).is_file():
                with self._lock():
                    self._write_index()
            yield
        except OSError as error:
            place = error.filename or self.folder
            raise UserError(
                f"{place}: cannot be used for the zoo ({error.strerror or error})"
            ) from error

    def check(self) -> None:
        """Raise UserError if the folder is there and is something else than a zoo."""
        if not self.folder.exists():
            return
        if not self.folder.is_dir():
            raise UserError(f"{self.folder}: is not a zoo but a file; give a folder")
        # In this order: whoever makes a zoo meanwhile writes its index before anything else.
        others = any(not path.name.startswith(".") for path in self.folder.iterdir())
        if others and not (self.folder / INDEX).is_file():
            raise UserError(
                f"{self.folder}: is not a zoo, because it holds other files and no {INDEX}"
            )

    def card_file(self, key: str) -> Path:
        """Return where the card of `NAME/MODEL` is."""
        return self.folder / f"{key}{CARD_SUFFIX}"

    def weights_file(self, key: str) -> Path:
        """Return where the weights of `NAME/MODEL` are."""
        return self.folder / f"{key}{WEIGHTS_SUFFIX}"

    def _suggest_remedy(self, card: Card) -> str:
        if self.folder == SHIPPED:
            return "install ktg again"
        command = f"`ktg zoo remove {card.name} --model {card.model}`"
        return f"remove the entry ({command}), then pull or build it again"

    def _check_new(self, card: Card, replace: bool) -> None:
        file = self.card_file(card.key)
        if file.exists() and not replace:
            advice = "remove it first, or replace it (`--replace`)"
            raise UserError(f"{file}: the zoo has this entry already; {advice}")

    def _lock(self) -> FileLock:
        return FileLock(self.folder / ".lock", is_singleton=True)

    @contextmanager
    def _wait_for_writers(self) -> Iterator[None]:
        """Wait until nobody changes the zoo, where that can be known."""
        with self._lock() if os.access(self.folder, os.W_OK) else nullcontext():
            yield

    def _write_index(self) -> None:
        save(self.folder / INDEX, {"version": FORMAT_VERSION, "entries": self.list_keys()})

    def _describe_missing(self, name: str, model: str | None) -> str:
        keys = [key.split("/", 1) for key in self.list_keys()]
        if model is None:
            names = sorted({name for name, _ in keys})
            problem = f"has no entry {show(name)}; it has {_join_names(names)}"
            return f"the zoo {self.folder} {problem}.{did_you_mean(name, names)}"
        stem = entry_key(name, model).partition("/")[2]
        same = [other for other, model in keys if model == stem]
        models = [model for other, model in keys if other == name]
        also = f", and {name} for {_join_names(models)}" if models else ""
        guess = "" if models else did_you_mean(name, same)
        problem = f"has no {name} for {model}; it has for {model}: {_join_names(same)}{also}"
        return f"the zoo {self.folder} {problem}.{guess}"

    def _find_strays(self) -> list[str]:
        """Return a sentence for each file of weights without a card."""
        files = sorted(self.folder.glob(f"[!.]*/*{WEIGHTS_SUFFIX}"))
        advice = "remove it, or import it with `ktg zoo add`"
        return [
            f"{file}: has no card, so it belongs to no entry; {advice}"
            for file in files
            if not file.with_name(file.name.removesuffix(WEIGHTS_SUFFIX) + CARD_SUFFIX).is_file()
        ]

    def _find_index_faults(self) -> list[str]:
        file = self.folder / INDEX
        if not self.folder.is_dir():
            return []
        try:
            listed = load(file).get("entries")
        except SpecError as error:
            return [str(error)]
        if listed == self.list_keys():
            return []
        remedy = "the next `ktg zoo add`, `pull` or `remove` writes it again"
        return [f"{file}: is out of date, so others cannot pull what is there; {remedy}"]


def write_card(card: Card, place: Path) -> Path:
    """Write a card into a folder and return its file; SpecError for one too large to be read."""
    written = place / "card"
    written.write_text(dumps(dump_card(card)), encoding="utf-8")
    load(written)
    return written


# A trial asks for the same card many times, and that of a thousand classes takes a while to read.
@functools.lru_cache(maxsize=64)
def _read_card(file: Path, key: str, _: FileStamp) -> Card:
    return parse_entry_card(load(file), key)


def parse_entry_card(raw: object, key: str) -> Card:
    """Return the card in plain data; SpecError unless it is complete and that of `key`."""
    card = parse_card(raw)
    if card.key != key:
        problem = f"says that it is the card of {card.key}"
        raise SpecError("", f"{problem}; it was moved here, or tampered with")
    if not card.sha256:
        raise SpecError("sha256", "is missing, so the weights cannot be checked")
    return card


def _fill_in(card: Card, file: Path, digest: str) -> Card:
    now = datetime.now(UTC).isoformat(timespec="seconds")
    return replace(card, sha256=digest, bytes=file.stat().st_size, created=card.created or now)


def _join_names(names: list[str], most: int = 12) -> str:
    if not names:
        return "nothing"
    return ", ".join(names[:most]) + (f", ... ({len(names)} in all)" if len(names) > most else "")
