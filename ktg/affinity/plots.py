"""Draws scores against accuracy and as rankings, without touching matplotlib's global state."""

import io
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from ktg.affinity.correlation import ScoreCorrelation, intended_direction, orient
from ktg.affinity.table import Numbers, Table

INK, MUTED, GRID = "#1f2933", "#7b8794", "#e4e7eb"
BLUE, ORANGE, GREY = "#2a6f97", "#d97706", "#9aa5b1"
_PANEL = (2.7, 2.3)
_COLUMNS = 4
_LOG_FROM, _DECADES_FROM = 50.0, 4.0
_SIDES = ((5, 0), (-5, 0), (0, 5), (0, -5), (4, 4), (-4, 4), (4, -4), (-4, -4))


def draw_scatter(table: Table, name: str, figures: ScoreCorrelation) -> bytes:
    """Return an SVG of accuracy (log axis) against one score, with a panel for each group."""
    parts = table.rows_by_group()
    alone = len(parts) == 1
    columns = 1 if alone else min(_COLUMNS, len(parts))
    rows = -(-len(parts) // columns)
    size = (7.2, 4.8) if alone else (_PANEL[0] * columns, _PANEL[1] * rows + 0.7)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).flatten()
    for axes in panels[len(parts) :]:
        axes.set_visible(False)
    values = table.scores[name]
    for axes, (group, members) in zip(panels, parts.items(), strict=False):
        own = figures if figures.groups is None else figures.groups[group]
        _points(axes, values[members], table.accuracy[members], alone)
        if group:
            axes.set_title(f"{group}   {_rho(own)}", fontsize=9, color=INK, loc="left")
    figure.suptitle(
        _title(name, figures, alone), fontsize=12 if alone else 13, color=INK, x=0.01, ha="left"
    )
    figure.supxlabel(
        f"{name} ({intended_direction(name)} is meant to be better)", fontsize=10, color=INK
    )
    figure.supylabel(f"{table.accuracy_name} (log axis)", fontsize=10, color=INK)
    figure.draw_without_rendering()  # fixes the layout, so that labels can be placed
    for axes, members in zip(panels, parts.values(), strict=False):
        names = [table.models[row] for row in members]
        _label(axes, values[members], table.accuracy[members], names, 7.5 if alone else 5.5)
    figure.set_layout_engine("none")
    return render_svg(figure)


def draw_correlations(found: Mapping[str, ScoreCorrelation], baselines: Sequence[str]) -> bytes:
    """Return an SVG of every score's oriented correlation with intervals, baselines set apart."""
    names = sorted(found, key=lambda name: orient(name, found[name]))
    names = [name for name in names if found[name].spearman is not None]
    figure = Figure(figsize=(7.2, 0.34 * len(names) + 1.5), layout="constrained")
    axes = figure.subplots()
    for place, name in enumerate(names):
        value, colour = orient(name, found[name]), ORANGE if name in baselines else BLUE
        axes.barh(place, value, color=colour, height=0.62, alpha=0.85)
        interval = found[name].interval
        if interval is not None:
            ends = (
                interval if intended_direction(name) == "larger" else (-interval[1], -interval[0])
            )
            axes.plot(ends, (place, place), color=INK, linewidth=1.2, solid_capstyle="butt")
    axes.set_yticks(
        range(len(names)), [f"{name} (baseline)" if name in baselines else name for name in names]
    )
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.set_xlabel(
        "Spearman's rho, in the score's intended direction (line: 95 % of resamples of models)",
        fontsize=9,
    )
    figure.suptitle(
        "How well each score predicts accuracy", fontsize=12, color=INK, x=0.01, ha="left"
    )
    _clean(axes, "x")
    return render_svg(figure)


def draw_ranking(
    title: str, names: Sequence[str], panels: Mapping[str, Sequence[float | None]]
) -> bytes:
    """Return an SVG of bars, the best candidate first: a panel for the score and each baseline."""
    figure = Figure(
        figsize=(2.4 + 2.3 * len(panels), 0.36 * len(names) + 1.3), layout="constrained"
    )
    row = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    places = np.arange(len(names))[::-1]
    for number, (axes, (label, values)) in enumerate(zip(row, panels.items(), strict=True)):
        known = [
            (place, value) for place, value in zip(places, values, strict=True) if value is not None
        ]
        axes.barh(
            [p for p, _ in known],
            [v for _, v in known],
            color=GREY if number else BLUE,
            height=0.62,
        )
        for place, value in zip(places, values, strict=True):
            text = "n/a" if value is None else f"{value:.3g}"
            axes.annotate(
                text,
                (value or 0, place),
                (3, 0),
                textcoords="offset points",
                fontsize=8,
                va="center",
                color=INK,
            )
        axes.set_title(label if number else f"{label} (chosen)", fontsize=9, color=INK, loc="left")
        axes.margins(x=0.22)
        _clean(axes, "x")
    row[0].set_yticks(places, names)
    figure.suptitle(title, fontsize=11, color=INK, x=0.01, ha="left")
    return render_svg(figure)


def render_svg(figure: Figure) -> bytes:
    """Return a figure as SVG with text kept as text, equal bytes for equal figures."""
    from matplotlib import rc_context

    target = io.BytesIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "ktg"}):
        FigureCanvasSVG(figure).print_svg(target, metadata={"Date": None})
    return target.getvalue()


def _points(axes: Axes, x: Numbers, y: Numbers, large: bool) -> None:
    axes.scatter(
        x,
        y,
        s=34 if large else 18,
        color=BLUE,
        alpha=0.85,
        linewidths=0.6,
        edgecolors="white",
        zorder=3,
    )
    if x.min() > 0 and x.max() / x.min() > _LOG_FROM:
        axes.set_xscale("log")
    if y.min() > 0:
        axes.set_yscale("log")
        decades = LogLocator(subs=[1, 2, 5]).tick_values(y.min(), y.max())
        round_numbers = MaxNLocator(5 if large else 4).tick_values(y.min(), y.max())
        ticks = decades if y.max() / y.min() > _DECADES_FROM else round_numbers
        axes.yaxis.set_major_locator(FixedLocator(ticks))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
        room = (y.max() / y.min()) ** 0.07
        axes.set_ylim(y.min() / room, y.max() * room)
    axes.margins(x=0.12, y=0.08)
    _clean(axes, "both")


def _label(axes: Axes, x: Numbers, y: Numbers, labels: Sequence[str], size: float) -> None:
    """Write each label beside its point where it hides least, or not at all over another label."""
    scale = axes.get_figure(root=True).dpi / 72  # type: ignore[union-attr]
    points = axes.transData.transform(np.column_stack([x, y]))
    taken: list[tuple[float, float, float, float]] = []
    for (px, py), label, at in zip(points, labels, zip(x, y, strict=True), strict=True):
        width, height = 0.62 * size * len(label) * scale, 1.1 * size * scale
        boxes = {(dx, dy): _box(px, py, dx * scale, dy * scale, width, height) for dx, dy in _SIDES}
        free = {
            side: box
            for side, box in boxes.items()
            if not _outside(box, axes) and not any(_overlap(box, other) for other in taken)
        }
        if not free:
            continue
        covered = {side: _count_covered(box, points) for side, box in free.items()}
        side = min(covered, key=lambda side: covered[side])
        taken.append(free[side])
        across = "left" if side[0] > 0 else "right" if side[0] < 0 else "center"
        up = "bottom" if side[1] > 0 else "top" if side[1] < 0 else "center"
        axes.annotate(
            label,
            at,
            side,
            textcoords="offset points",
            fontsize=size,
            ha=across,
            va=up,
            color=MUTED,
            zorder=2,
        )


def _box(
    x: float, y: float, dx: float, dy: float, width: float, height: float
) -> tuple[float, float, float, float]:
    """Return (left, bottom, right, top), in pixels, of a text offset from a point by (dx, dy)."""
    left = x + dx - (width if dx < 0 else width / 2 if dx == 0 else 0)
    bottom = y + dy - (height if dy < 0 else height / 2 if dy == 0 else 0)
    return left, bottom, left + width, bottom + height


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def _count_covered(box: tuple[float, float, float, float], points: Numbers) -> int:
    left, bottom, right, top = box
    across = (points[:, 0] > left - 3) & (points[:, 0] < right + 3)
    return int((across & (points[:, 1] > bottom - 3) & (points[:, 1] < top + 3)).sum())


def _outside(box: tuple[float, float, float, float], axes: Axes) -> bool:
    frame = axes.get_window_extent()
    return bool(box[0] < frame.x0 or box[1] < frame.y0 or box[2] > frame.x1 or box[3] > frame.y1)


def _clean(axes: Axes, grid: Literal["both", "x"]) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(MUTED)
    axes.tick_params(colors=MUTED, labelsize=8, labelcolor=INK)
    axes.grid(axis=grid, color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)


def _rho(figures: ScoreCorrelation) -> str:
    return (
        "undefined: constant"
        if figures.spearman is None
        else f"\N{GREEK SMALL LETTER RHO} = {figures.spearman:.3f}"
    )


def _title(name: str, figures: ScoreCorrelation, alone: bool) -> str:
    interval = figures.interval
    ends = f"  [{interval[0]:.2f}, {interval[1]:.2f}]" if interval else ""
    return f"{name}: Spearman {_rho(figures)}{ends}{'' if alone else '  (mean over groups)'}"
