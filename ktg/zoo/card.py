"""Describes an entry of the zoo: its weights, the input they expect, and the hash of their file."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ktg.errors import SpecError, make_printable, show
from ktg.graph.fields import check_mapping, from_plain, rule, to_plain
from ktg.graph.paths import WEIGHT_SUFFIXES
from ktg.graph.vocabulary import Scalar

FORMAT_VERSION = 1
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a zoo knows of one network.

    `name` and `model` are its key; the zoo fills in `sha256`, `bytes` and `created`. `model` is the
    shortest name of the architecture (`ktg.models.names.shorten_architecture`): `resnet18`, not
    `timm/resnet18` or `resnet18.a1_in1k`; `torchvision/resnet18` is another network, because the
    bare name means timm's.
    """

    name: str = rule("The name of the source: letters, digits, _ - and . only.")
    model: str = rule("The architecture, by its shortest name.")
    classes: tuple[str, ...] = rule(
        "What the head tells apart, in its order; none where there is no head."
    )
    data: str = rule("The images it was trained on, for a reader.")
    mean: tuple[float, ...] = rule("Mean per channel of the input, for pixels in [0, 1].")
    std: tuple[float, ...] = rule("Standard deviation per channel of the input.", above=0)
    input_size: int = rule(
        "Side in pixels of the images it was trained on.", at_least=4, at_most=2048
    )
    interpolation: Literal["nearest", "bilinear", "bicubic"] = rule(
        "How images were resized for it.", "bilinear"
    )
    model_args: Mapping[str, Scalar] = rule("Further arguments of the model's constructor.", {})
    images: int | None = rule("Number of training images.", None, at_least=1)
    epochs: int | None = rule("Epochs of training.", None, at_least=0)
    accuracy: float | None = rule(
        "Share of validation images it gets right.", None, at_least=0, at_most=1
    )
    licence: str | None = rule("Under which licence it may be used.", None)
    origin: str | None = rule("Where the weights come from: an address, a paper, a command.", None)
    created: str = rule("When it was added, in UTC.", "")
    bytes: int = rule("Size of the file of weights.", 0, at_least=0)
    sha256: str = rule("SHA-256 of the file of weights.", "")
    provenance: Mapping[str, Scalar] = rule("How it was made: versions, seeds, settings.", {})

    @property
    def key(self) -> str:
        """The entry's name and model: `animals/resnet18`, also the start of its files' names."""
        return entry_key(self.name, self.model)


def entry_key(name: str, model: str) -> str:
    """Return `NAME/MODEL` with the model as a file's name: `/` becomes a dot."""
    return f"{check_name(name)}/{check_model_name(model).replace('/', '.')}"


def check_key(key: object, path: str) -> str:
    """Return `NAME/MODEL` if an entry's files can start with it; else raise SpecError at `path`."""
    name, slash, model = key.partition("/") if isinstance(key, str) else ("", "", "")
    if not slash or not _NAME.fullmatch(name) or not _NAME.fullmatch(model):
        raise SpecError(path, f"{show(key)} is not the name of an entry, such as animals/resnet18")
    return f"{name}/{model}"


def check_name(name: str, path: str = "name") -> str:
    """Return the name of a source if it may be one; else raise SpecError at `path`."""
    if not _NAME.fullmatch(name):
        raise SpecError(
            path, f"{show(name)} cannot name an entry; use at most 100 letters, digits, _ - and ."
        )
    if name.endswith(WEIGHT_SUFFIXES):  # the source `zoo/x.pth` is a path and not an entry
        raise SpecError(
            path,
            f"{show(name)} looks like a file, so a node could not name it; leave out the suffix",
        )
    return name


def check_model_name(model: str, path: str = "model") -> str:
    """Return a model's name if it has the form of a shortest one, or raise SpecError at `path`."""
    if not _NAME.fullmatch(model.removeprefix("torchvision/")):
        raise SpecError(
            path, f"{show(model)} is not the name of a model; write for example resnet18"
        )
    return model


def parse_card(raw: object) -> Card:
    """Return the card in plain data. Raises SpecError, at the place, for what it may not say."""
    raw = dict(check_mapping(raw, ""))
    version = raw.pop("version", FORMAT_VERSION)
    if version != FORMAT_VERSION:
        raise SpecError(
            "version", f"{show(version)} is not a format this ktg reads; allowed: {FORMAT_VERSION}"
        )
    return _check_consistent(from_plain(Card, raw, ""))


def dump_card(card: Card) -> dict[str, Any]:
    """Return a card as plain data: `parse_card(dump_card(card)) == card`."""
    return {"version": FORMAT_VERSION, **to_plain(card)}


def check_card(card: Card) -> Card:
    """Return a card that was made in memory as it would be read from its file.

    Raises SpecError as `parse_card`.
    """
    return parse_card(dump_card(card))


def _check_consistent(card: Card) -> Card:
    """Return the card if its values go together; else raise SpecError."""
    check_name(card.name)
    check_model_name(card.model)
    for field, values in (("mean", card.mean), ("std", card.std)):
        if len(values) not in (1, 3):
            raise SpecError(
                field, f"expected one number, or three (red, green, blue), got {len(values)}"
            )
    _check_printable(card)
    if card.sha256 and not _SHA256.fullmatch(card.sha256):
        raise SpecError("sha256", f"expected 64 hexadecimal digits, got {show(card.sha256)}")
    return card


def _check_printable(card: Card) -> None:
    """Refuse what would move the cursor of a terminal that shows the card of a stranger."""
    texts = {
        "data": card.data,
        "licence": card.licence,
        "origin": card.origin,
        "created": card.created,
    }
    texts |= {f"classes[{number}]": name for number, name in enumerate(card.classes)}
    texts |= {
        f"{field}.{key}": f"{key} {value}"
        for field in ("model_args", "provenance")
        for key, value in getattr(card, field).items()
    }
    for place, text in texts.items():
        if text and ("\n" in text or make_printable(text) != text):
            raise SpecError(place, f"must be one line of printable characters, got {show(text)}")
