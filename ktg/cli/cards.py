"""Cards of a zoo as plain data, as a table and as lines of text."""

from typing import TYPE_CHECKING, Any

from ktg.cli.options import percent
from ktg.errors import UserError

if TYPE_CHECKING:
    from rich.table import Table

    from ktg.zoo import Card, Zoo

_NAMED_CLASSES = 20


def counted(number: int) -> str:
    """Return a number of entries in words."""
    return f"{number} {'entry' if number == 1 else 'entries'}"


def readable(place: "Zoo") -> "tuple[list[Card], list[str]]":
    """Return the cards that are in order, and what is wrong with the others."""
    cards, faults = [], []
    for key in place.listing():
        try:
            cards.append(place.read(key))
        except UserError as error:
            faults.append(str(error))
    return cards, faults


def plain(place: "Zoo", card: "Card") -> dict[str, Any]:
    """Return a card as plain data, with the file of its weights."""
    from ktg.zoo import dump_card

    return dump_card(card) | {"file": str(place.weights_file(card.key))}


def table(cards: "list[Card]") -> "Table":
    """Return the cards as a table that fits 80 columns."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=SIMPLE_HEAD)
    shown.add_column("name", overflow="fold")
    shown.add_column("model", overflow="fold")
    shown.add_column("classes", justify="right", no_wrap=True)
    shown.add_column("accuracy", justify="right", no_wrap=True)
    shown.add_column("trained on", min_width=20)
    for card in cards:
        accuracy = "" if card.accuracy is None else percent(card.accuracy)
        figures = str(len(card.classes) or "no head"), accuracy
        # As Text: what a stranger wrote may hold the markup of rich.
        shown.add_row(*(Text(text) for text in (card.name, card.model, *figures, card.data)))
    return shown


def described(place: "Zoo", card: "Card") -> list[str]:
    """Return a card as lines for a reader."""
    lines = [f"zoo/{card.name} for {card.model}"]
    for field, value in plain(place, card).items():
        if field in ("version", "name", "model", "classes", "provenance"):
            continue
        text = percent(value) if field == "accuracy" else value
        text = ", ".join(map(str, value)) if isinstance(value, list) else text
        text = (
            ", ".join(f"{key}={one}" for key, one in value.items())
            if isinstance(value, dict)
            else text
        )
        lines.append(f"  {field.replace('_', ' '):<13} {text}")
    named = ", ".join(card.classes[:_NAMED_CLASSES]) + (
        ", ..." if len(card.classes) > _NAMED_CLASSES else ""
    )
    lines.append(
        f"  {'classes':<13} {len(card.classes)}: {named}"
        if card.classes
        else "  classes       none: no head"
    )
    return lines + [f"  {key:<13} {value}" for key, value in card.provenance.items()]
