"""Renders the pages of reports and comparisons, with all text escaped, wherever it comes from."""

import functools
import re
import shlex
from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ktg.graph import Hole, parse
from ktg.graph.drawing import draw
from ktg.reporting import charts
from ktg.reporting.parallel import draw_parallel
from ktg.reporting.theme import inline_svg
from ktg.tracking import name_store
from ktg.wording import format_duration, format_percent

MOST_CELLS = 20  # classes up to which the confusion matrix is drawn cell by cell
MOST_SCORES = 100  # classes whose scores are listed
MOST_NAMED = 20  # trials with something wrong that are named
# What HTML cannot hold or UTF-8 cannot encode, and what would turn the direction of the page.
_CONTROL = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def render_report(
    data: Mapping[str, Any], holes: Mapping[str, Hole], uri: str | None = None
) -> str:
    """Return the HTML page of a report, complete in itself.

    data: what `make_report` returned. holes: those of its space. uri: of the store that the
    commands on the page must find.
    """
    best, found, confirmed = data["best"], data["importance"], data["confirmation"]
    metric = data["search"]["metric"]
    target = None if best["at_end"]["ensemble_counts"] else next(iter(best["graph"]["nodes"]))
    order = [hole["hole"] for hole in found["holes"]]
    pictures = {
        "graph": inline_svg(draw(parse(best["graph"])), "graph", "The best graph"),
        "nodes": charts.draw_nodes(best["nodes"], target),
        "gates": charts.draw_gates(best["gates"]),
        "comparison": charts.draw_comparison(data["comparison"], test=False, metric=metric),
        "test": charts.draw_comparison(data["comparison"], test=True) if _tested(data) else None,
        "seeds": charts.draw_seeds(confirmed) if confirmed else None,
        "differences": charts.draw_differences(confirmed)
        if confirmed and confirmed["differences"]
        else None,
        "progress": charts.draw_progress(data["progress"], data["cost"], metric),
        "curves": charts.draw_curves(data["trials"], best["trial"], metric),
        "importance": charts.draw_importance(found) if found["known"] else None,
        "reliability": charts.draw_reliability(wrong["calibration"])
        if (wrong := data["mistakes"]).get("calibration")
        else None,
        "parallel": draw_parallel(data["trials"], holes, order, best["trial"], metric),
    }
    limits = {"cells": MOST_CELLS, "curves": charts.MOST_CURVES, "classes": MOST_SCORES}
    limits["named"] = MOST_NAMED
    store = "".join(f" {shlex.quote(word)}" for word in name_store(uri))
    return render("report.html", data, pictures=pictures, limits=limits, target=target, store=store)


def render_early(data: Mapping[str, Any]) -> str:
    """Return the HTML page of a search without a finished training, complete in itself.

    data: what `make_early_report` returned.
    """
    return render("early.html", data, limits={"cells": MOST_CELLS, "classes": MOST_SCORES})


def render_comparison(data: Mapping[str, Any]) -> str:
    """Return the HTML page of a comparison, complete in itself.

    data: what `compare_searches` returned.
    """
    searches = data["searches"]
    devices = {search["cost"]["device"] for search in searches}
    device = (
        f"{devices.pop()} seconds" if len(devices) == 1 else "device-seconds (of different devices)"
    )
    pictures = {
        "seconds": charts.draw_side_by_side(searches, "device_s", f"{device} spent by all trials"),
        "epochs": charts.draw_side_by_side(searches, "epochs", "epochs trained by all trials"),
    }
    return render("compare.html", data, pictures=pictures)


def render(template: str, data: Mapping[str, Any], **more: Any) -> str:
    """Return a page from one of the templates; in it `n(path, how)` writes a number of the data."""
    page = open_templates().get_template(template)
    return page.render(data=data, n=functools.partial(mark_number, data), **more)


@functools.cache
def open_templates() -> Environment:
    """Return the templates; what fills them is escaped, and nothing may be missing."""
    made = Environment(
        loader=PackageLoader("ktg.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_visible,
    )
    made.filters |= {"short": _shorten, "breaking": _breaking, "quoted": shlex.quote}
    return made


def mark_number(data: Mapping[str, Any], path: str, how: str) -> Markup:
    """Return the number at a dotted path of the data, as `format_number` writes it.

    Digits in the path are places in lists. The HTML element carries the path and the whole
    number, so that a reader, and a test, can check the page against the data.
    """
    value: Any = data
    for step in path.split("."):
        value = value[int(step)] if isinstance(value, list | tuple) else value[step]
    if value is None:
        return Markup('<span class="unknown">\N{EN DASH}</span>')
    return Markup('<data data-at="{}" value="{}">{}</data>').format(
        path, repr(value), format_number(value, how)
    )


def format_number(value: float, how: str) -> str:
    """Return a number as text: 0.9512 -> 95.12 % as `percent`, 95 % as `share`, +95.12 as `points`.

    Other kinds: `duration` (200 -> 3 min 20 s), `correlation` (two digits), `count` (1234 ->
    1,234), `millions` (1234567 -> 1.23 M), `tenths` (one digit) and `loss` (four digits). Spaces
    do not break, and a minus is a minus sign.
    """
    if how == "percent":
        return format_percent(value).replace(" ", "\N{NO-BREAK SPACE}")
    if how == "share":
        return f"{100 * value:.0f}\N{NO-BREAK SPACE}%"
    if how == "points":
        return f"{100 * value:+.2f}".replace("-", "\N{MINUS SIGN}")
    if how == "duration":
        return format_duration(value).replace(" ", "\N{NO-BREAK SPACE}")
    if how == "tenths":
        return f"{value:.1f}" if value < 100 else f"{value:,.0f}"
    if how == "millions":
        return f"{value / 1e6:.2f}\N{NO-BREAK SPACE}M"
    if how == "correlation":
        return f"{value:.2f}".replace("-", "\N{MINUS SIGN}")
    return f"{value:,}" if how == "count" else f"{value:.4f}"


def _shorten(value: Any) -> Any:
    """Return a float with as many digits as a reader wants; all of them are in the data."""
    return f"{value:.5g}" if isinstance(value, float) else value


def _breaking(name: str) -> Markup:
    """Return a name that a line may end in after its dots, slashes and underscores."""
    return Markup("<wbr>").join(re.split(r"(?<=[._/])", _visible(name)))


def _tested(data: Mapping[str, Any]) -> bool:
    """Return whether only `ktg train` read the test split; a confirmation would say more."""
    return data["confirmation"] is None and any(row["test"] for row in data["comparison"])


def _visible(value: Any) -> Any:
    """Return a value for a page: of a text, without the control characters that HTML forbids."""
    return _CONTROL.sub("\N{REPLACEMENT CHARACTER}", value) if type(value) is str else value
