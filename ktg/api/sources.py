"""Says what networks can start from, and draws the pictures of formulas to pretrain on."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from ktg.api.inputs import PICTURE, check_writable, shorten_known_model
from ktg.api.listener import QUIET, Listener
from ktg.api.zoo import open_zoo, read_cards, read_shipped_cards
from ktg.errors import WeightsError
from ktg.graph import FormulaName as FormulaName
from ktg.local import check_ending
from ktg.wording import format_percent

if TYPE_CHECKING:
    from ktg.data.formula.fractal.family import FractalGenerator

FAMILIES: tuple[FormulaName, ...] = get_args(FormulaName)


@dataclass(frozen=True)
class Available:
    """A source as a node names it; `here` says whether its weights are on this machine.

    `here` is None where that depends on the model or on the user's files.
    """

    source: str
    model: str
    here: bool | None
    about: str


def list_sources(
    *, model: str | None = None, zoo: Path | None = None
) -> tuple[list[Available], list[str]]:
    """Return all sources, or those for one model, and what is wrong with unreadable cards."""
    network = shorten_known_model(model) if model else None
    cards, faults = read_cards(open_zoo(zoo, reading=True))
    cards += [] if zoo else read_shipped_cards()
    wanted = network or "any"
    rows = [Available("none", wanted, True, "random weights"), find_imagenet(model)]
    for card in cards:
        if network in (None, card.model):
            source = card.name if card.name == "fractaldb" else f"zoo/{card.name}"
            right = "" if card.accuracy is None else f", {format_percent(card.accuracy)} right"
            rows.append(Available(source, card.model, True, card.data + right))
    if not any(row.source == "fractaldb" for row in rows):
        command = f"ktg source pretrain fractaldb --model {network or 'MODEL'}"
        rows.insert(2, Available("fractaldb", wanted, False, f"make it: {command}"))
    rows.append(Available("PATH", wanted, None, "a .safetensors or .pth file of yours"))
    return rows, faults


def find_imagenet(model: str | None) -> Available:
    """Return whether weights are published for a model, and whether they are cached here."""
    if model is None:
        where = "published by timm and torchvision; --model says whether it is here"
        return Available("imagenet", "any", None, where)
    from ktg.models.imagenet import find_cached, find_published

    try:
        weights = find_published(model)
    except WeightsError:
        return Available("imagenet", model, False, "none are published for this model")
    file = find_cached(weights)
    if file is not None:
        return Available("imagenet", model, True, f"cached: {file}")
    return Available("imagenet", model, False, f"downloaded at first use: {weights.name}")


def render_fractals(
    folder: Path,
    family: FormulaName,
    classes: int,
    settings: dict[str, Any],
    *,
    threads: int | None = None,
    resume: bool = False,
    listener: Listener = QUIET,
) -> dict[str, Any]:
    """Write a folder of pictures for each class, as the official FractalDB has them.

    settings: of the family, by the names of its generator. threads: by default one for each core.
    Returns how many classes and pictures there are, and how many were written now.
    """
    from ktg.data.formula.fractal import list_settings
    from ktg.data.formula.image_writer import write_folder
    from ktg.data.threads import count_cores

    formula = _generator(family, classes, settings, listener)
    pictures = formula.classes * formula.instances
    written = write_folder(
        formula,
        folder,
        list_settings(formula),
        resume=resume,
        threads=threads or count_cores(),
        progress=_steps("drawing", pictures, listener),
    )
    counts = {"classes": formula.classes, "pictures": pictures, "written": written}
    return {"folder": str(folder), **counts}


def draw_fractal_sheet(
    file: Path,
    family: FormulaName,
    settings: dict[str, Any],
    *,
    rows: int = 4,
    columns: int = 8,
    listener: Listener = QUIET,
) -> tuple[int, int]:
    """Draw a contact sheet, a class in each row; return its width and height in pixels."""
    from ktg.data.contact_sheets import draw_formula_sheet, write_sheet

    check_ending(check_writable(file), *PICTURE)
    drawn = draw_formula_sheet(
        _generator(family, rows * columns, settings, listener), rows, columns
    )
    write_sheet(file, drawn)
    return drawn.shape[1], drawn.shape[0]


def _generator(
    family: FormulaName, classes: int, settings: dict[str, Any], listener: Listener
) -> "FractalGenerator":
    from ktg.data.formula.fractal import make_generator

    step = _steps("searching", classes, listener)
    return make_generator(family, classes, progress=lambda *_: step(1), **settings)


def _steps(what: str, total: int, listener: Listener) -> Callable[[int], None]:
    """Return a function that counts steps of a task."""
    done = 0

    def advance(steps: int) -> None:
        nonlocal done
        done += steps
        listener.count(what, done, total)

    return advance
