"""Draws parallel coordinates: each trial as a line through the values of its holes."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from markupsafe import Markup

from ktg.graph import Choice, Hole, Log
from ktg.graph.drawing.canvas import printable
from ktg.graph.drawing.layout import shorten
from ktg.graph.space import MetricName
from ktg.reporting.charts import Data, choose_trials
from ktg.reporting.theme import ACCENT, INK, LINE, MUTED, open_figure, to_svg
from ktg.searching.score import WORDS, format_score, to_value
from ktg.searching.values import label

MOST_AXES = 8
_BETWEEN = 92.0  # points from one axis to the next
# On the last axis stopped trials end below the first of these, finished ones above the second.
_STOPPED, _WORST = 0.22, 0.34
_TOP = 0.1  # the share of trials that is drawn in colour


def draw_parallel(
    trials: Sequence[Data],
    holes: Mapping[str, Hole],
    order: Sequence[str],
    best: str,
    metric: MetricName = "accuracy",
) -> Markup:
    """Draw trials through the first `MOST_AXES` holes of the given order, to their score."""
    axes_of = list(order[:MOST_AXES])
    shown = [trial for trial in choose_trials(trials) if trial["values"] is not None]
    ranked = sorted(shown, key=lambda trial: (trial["state"] == "finished", _score(trial, metric)))
    top = {trial["trial"] for trial in ranked[-max(1, round(_TOP * len(ranked))) :]}
    ended = [_score(trial, metric) for trial in shown if trial["state"] == "finished"]
    low, high = min(ended, default=0.0), max(ended, default=1.0)
    random = np.random.default_rng(0)
    with open_figure(250, width=_BETWEEN * len(axes_of) + 130) as drawn:
        axes = drawn.subplots()
        for trial in ranked:
            heights = [
                _height(holes[path], trial["values"][path]) + _jitter(holes[path], random)
                for path in axes_of
            ]
            heights.append(_result(trial, (low, high), metric, random))
            axes.plot(range(len(heights)), heights, **_style(trial, top, best))
        above: dict[str, Any] = {"textcoords": "offset points", "ha": "center", "color": INK}
        for place, path in enumerate(axes_of):
            axes.plot((place, place), (0, 1), color=LINE, linewidth=1.2, zorder=1)
            _ticks(axes, place, _marks(holes[path]))
            axes.annotate(_shorten(path), (place, 1.0), (0, 12), **above)
        last = len(axes_of)
        axes.plot((last, last), (0, 1), color=LINE, linewidth=1.2, zorder=1)
        axes.annotate(WORDS[metric], (last, 1.0), (0, 12), **above)
        ends = [(1.0, format_score(metric, high)), (_WORST, format_score(metric, low))]
        marks = [*ends, (_STOPPED / 2, "stopped")]
        _ticks(axes, last, marks if high > low else marks[::2], right=True)
        axes.set_axis_off()
        axes.set_xlim(-0.45, last + 0.6)
        axes.set_ylim(-0.06, 1.15)
        says = f"Every trial as a line through the values of its holes to its {WORDS[metric]}"
        return to_svg(drawn, "parallel", says)


def _style(trial: Data, top: set[str], best: str) -> dict[str, Any]:
    if trial["trial"] == best:
        return {"color": ACCENT, "linewidth": 2.4, "zorder": 4}
    if trial["trial"] in top:
        return {"color": ACCENT, "linewidth": 1.1, "alpha": 0.6, "zorder": 3}
    return {"color": MUTED, "linewidth": 0.7, "alpha": 0.28, "zorder": 2}


def _height(hole: Hole, value: Any) -> float:
    """Return where on its axis, in [0, 1], a value lies."""
    if isinstance(hole, Choice):
        place = [label(hole, option) for option in hole.options].index(label(hole, value))
        return place / (len(hole.options) - 1) if len(hole.options) > 1 else 0.5
    ends = (hole.low, hole.high, value)
    low, high, at = np.log(ends) if isinstance(hole, Log) else np.asarray(ends, dtype=float)
    return float((at - low) / (high - low))


def _score(trial: Data, metric: MetricName) -> float:
    """Return how good a trial ended, of which higher is better."""
    return to_value(metric, trial["values_by_epoch"][-1])


def _result(
    trial: Data, ends: tuple[float, float], metric: MetricName, random: np.random.Generator
) -> float:
    """Return where on the last axis a trial ends: by its score, or among those cut short."""
    low, high = ends
    if trial["state"] != "finished":
        return float(random.uniform(0, _STOPPED))
    return (
        _WORST + (1 - _WORST) * (_score(trial, metric) - low) / (high - low) if high > low else 1.0
    )


def _jitter(hole: Hole, random: np.random.Generator) -> float:
    """Return a small shift for options, which would else all lie on one another."""
    return float(random.uniform(-0.02, 0.02)) if isinstance(hole, Choice) else 0.0


def _marks(hole: Hole) -> list[tuple[float, str]]:
    if isinstance(hole, Choice):
        return [
            (_height(hole, option), shorten(printable(str(label(hole, option))), 14))
            for option in hole.options
        ]
    return [(0.0, f"{hole.low:g}"), (1.0, f"{hole.high:g}")]


def _ticks(
    axes: Any, place: int, marks: Sequence[tuple[float, str]], *, right: bool = False
) -> None:
    shift, side = (6, "left") if right else (-5, "right")
    at = {"textcoords": "offset points", "ha": side, "va": "center", "zorder": 6}
    for height, text in marks:
        axes.annotate(text, (place, height), (shift, 0), fontsize=8.5, color=MUTED, **at)


def _shorten(path: str) -> str:
    """Return a hole's path short enough for the head of an axis."""
    return shorten(printable(re.sub(r"^(edges\.)?(nodes\.)?(train\.)?", "", path)), 15)
