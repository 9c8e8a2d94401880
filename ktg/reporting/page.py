"""The page of a report: its numbers are those of the data it is given, its text is escaped wherever it comes from."""

import functools
import re
from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ktg.graph import Hole, parse
from ktg.graph.drawing import draw
from ktg.reporting import charts
from ktg.reporting.parallel import parallel
from ktg.reporting.theme import inline
from ktg.searching.progress import duration

MOST_CELLS = 20  # classes up to which the confusion matrix is drawn cell by cell
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


def report_page(data: Mapping[str, Any], holes: Mapping[str, Hole]) -> str:
    """Return the HTML page of a report, complete in itself. data: what `report` returned; holes: of its space."""
    best, found, confirmed = data["best"], data["importance"], data["confirmation"]
    target = None if best["at_end"]["ensemble_counts"] else next(iter(best["graph"]["nodes"]))
    order = [hole["hole"] for hole in found["holes"]]
    pictures = {
        "graph": inline(draw(parse(best["graph"])), "graph", "The best graph"),
        "nodes": charts.nodes(best["nodes"], target),
        "gates": charts.gates(best["gates"]),
        "comparison": charts.comparison(data["comparison"], test=False),
        "test": charts.comparison(data["comparison"], test=True) if _tested(data) else None,
        "seeds": charts.seeds(confirmed) if confirmed else None,
        "differences": charts.differences(confirmed)
        if confirmed and confirmed["differences"]
        else None,
        "progress": charts.progress(data["progress"], data["cost"]),
        "curves": charts.all_curves(data["trials"], best["trial"]),
        "importance": charts.importance(found) if found["known"] else None,
        "parallel": parallel(data["trials"], holes, order, best["trial"]),
    }
    limits = {"cells": MOST_CELLS, "curves": charts.MOST_CURVES}
    return render("report.html", data, pictures=pictures, limits=limits, target=target)


def compare_page(data: Mapping[str, Any]) -> str:
    """Return the HTML page of a comparison, complete in itself. data: what `compare` returned."""
    searches = data["searches"]
    devices = {search["cost"]["device"] for search in searches}
    device = (
        f"{devices.pop()} seconds" if len(devices) == 1 else "device-seconds (of different devices)"
    )
    pictures = {
        "seconds": charts.side_by_side(searches, "device_s", f"{device} spent by all trials"),
        "epochs": charts.side_by_side(searches, "epochs", "epochs trained by all trials"),
    }
    return render("compare.html", data, pictures=pictures)


def render(template: str, data: Mapping[str, Any], **more: Any) -> str:
    """Return a page from one of the templates; in it `n(path, how)` writes a number of the data."""
    return (
        environment()
        .get_template(template)
        .render(data=data, n=functools.partial(number, data), **more)
    )


@functools.cache
def environment() -> Environment:
    """Return where templates come from and how they are filled: escaped, and never with something missing."""
    made = Environment(
        loader=PackageLoader("ktg.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_visible,
    )
    made.filters |= {"short": _short, "breaking": _breaking}
    return made


def number(data: Mapping[str, Any], path: str, how: str) -> Markup:
    """Return the number at a dotted path of the data (digits are places in lists) as `how` (see `text_of`) says it.

    The HTML element has the path and the whole number with it, so that a reader (and a test) can
    check the page against the data.
    """
    value: Any = data
    for step in path.split("."):
        value = value[int(step)] if isinstance(value, list | tuple) else value[step]
    if value is None:
        return Markup('<span class="unknown">\N{EN DASH}</span>')
    return Markup('<data data-at="{}" value="{}">{}</data>').format(
        path, repr(value), text_of(value, how)
    )


def text_of(value: float, how: str) -> str:
    """Return a number as text: percent (95.12 %), points (+0.70), duration (3 min 20 s), count (1,234), loss.

    A correlation has two digits.
    """
    if how == "percent":
        return f"{100 * value:.2f}\N{NO-BREAK SPACE}%"
    if how == "share":
        return f"{100 * value:.0f}\N{NO-BREAK SPACE}%"
    if how == "points":
        return f"{100 * value:+.2f}".replace("-", "\N{MINUS SIGN}")
    if how == "duration":
        return duration(value).replace(" ", "\N{NO-BREAK SPACE}")
    if how == "correlation":
        return f"{value:.2f}".replace("-", "\N{MINUS SIGN}")
    return f"{value:,}" if how == "count" else f"{value:.4f}"


def _short(value: Any) -> Any:
    """Return a float with as many digits as a reader wants; all of them are in the data."""
    return f"{value:.5g}" if isinstance(value, float) else value


def _breaking(name: str) -> Markup:
    """Return a name that a line may end in after its dots, slashes and underscores."""
    return Markup("<wbr>").join(re.split(r"(?<=[._/])", _visible(name)))


def _tested(data: Mapping[str, Any]) -> bool:
    """Return whether `ktg train` read the test split, where there is no confirmation that says more."""
    return data["confirmation"] is None and any(row["test"] for row in data["comparison"])


def _visible(value: Any) -> Any:
    """Return what is written into a page, text without the control characters that HTML cannot hold."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", value) if type(value) is str else value
