"""Draws the charts of a report, each from its part of the report's data."""

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from ktg.graph.drawing.canvas import printable
from ktg.graph.drawing.layout import shorten
from ktg.graph.drawing.svg import GATE_STYLES
from ktg.graph.space import MetricName
from ktg.reporting.theme import (
    ACCENT,
    CARD,
    INK,
    LINE,
    MUTED,
    SERIES,
    add_legend,
    open_figure,
    style_axes,
    to_svg,
)
from ktg.searching.score import WORDS

Data = Mapping[str, Any]
MOST_CURVES = 250
_MOST_POINTS = 80
_MOST_HOLES = 14
_ROW = 21.0  # points per row of a chart with names at its side


def draw_progress(points: Sequence[Data], cost: Data, metric: MetricName = "accuracy") -> Markup:
    """Draw the finished trials when they ended, and the best so far, over the device-seconds spent.

    Stopped trials, which had fewer epochs and cannot be compared, are ticks at the bottom.
    """
    with open_figure(250) as drawn:
        axes = drawn.subplots()
        finished = [point for point in points if point["state"] == "finished"]
        x, y = [point["device_s"] for point in finished], [point["value"] for point in finished]
        axes.scatter(x, y, s=13, color=MUTED, label="finished", zorder=2)
        stopped = [point["device_s"] for point in points if point["state"] == "stopped"]
        tick: dict[str, Any] = {"marker": "|", "linestyle": "", "color": MUTED, "markersize": 7}
        # Heights in shares of the chart, and not in accuracies, keep them at its bottom.
        axes.plot(stopped, [0.025] * len(stopped), transform=axes.get_xaxis_transform(), **tick)
        axes.plot([], [], label="stopped early", **tick)
        known = [point for point in points if point["best"] is not None]
        x, y = [point["device_s"] for point in known], [point["best"] for point in known]
        best: dict[str, Any] = {"color": ACCENT, "linewidth": 2.2, "label": "best so far"}
        axes.plot(x, y, drawstyle="steps-post", zorder=3, **best)
        axes.margins(y=0.12)
        spent = f"{cost['device']} seconds spent by all trials"
        style_axes(axes, x=spent, y=f"validation {WORDS[metric]}", percent=_percent(metric, "y"))
        add_legend(axes)
        says = f"The best {WORDS[metric]} so far over the device-seconds spent"
        return to_svg(drawn, "progress", says)


def draw_side_by_side(searches: Sequence[Data], spent: str, words: str) -> Markup:
    """Draw the best so far of several searches.

    spent: `device_s` or `epochs`. words: what that axis is called.
    """
    with open_figure(250) as drawn:
        axes = drawn.subplots()
        for place, search in enumerate(searches):
            known = [point for point in search["progress"] if point["best"] is not None]
            x, y = [point[spent] for point in known], [point["best"] for point in known]
            name, colour = shorten(printable(search["experiment"])), SERIES[place % len(SERIES)]
            # Where the colours run out they come again, dashed.
            dashes = (0, (4, 1.5)) if place >= len(SERIES) else "solid"
            style: dict[str, Any] = {"color": colour, "linewidth": 1.9, "linestyle": dashes}
            axes.plot(x, y, drawstyle="steps-post", label=name, **style)
            axes.plot(x[-1:], y[-1:], "o", color=colour, markersize=4)
        axes.margins(y=0.12)
        metrics: list[MetricName] = [search["metric"] for search in searches]
        metric = metrics[0]  # of searches by different ones, no axis can be right for all
        style_axes(axes, x=words, y=f"validation {WORDS[metric]}", percent=_percent(metric, "y"))
        add_legend(axes, columns=2)
        return to_svg(drawn, f"by-{spent}", f"Best so far of each search over {words}")


def draw_curves(trials: Sequence[Data], best: str, metric: MetricName = "accuracy") -> Markup:
    """Draw the metric of every trial over its epochs; a dot ends the stopped ones."""
    with open_figure(250) as drawn:
        axes = drawn.subplots()
        for trial in choose_trials(trials):
            x, y = thin_out(trial["values_by_epoch"])
            if trial["trial"] == best:
                axes.plot(x, y, color=ACCENT, linewidth=2.2, zorder=4, label="best")
            elif trial["baseline"]:
                dashes = (0, (3, 2))
                axes.plot(x, y, color=INK, lw=1, ls=dashes, zorder=3, label="baselines")
            else:
                stopped = trial["state"] == "stopped"
                alpha, label = (0.35, "stopped early") if stopped else (0.8, "finished")
                axes.plot(x, y, color=MUTED, linewidth=0.8, alpha=alpha, label=label)
                if stopped:
                    axes.plot(x[-1:], y[-1:], "o", color=MUTED, markersize=2.2, alpha=0.7)
        _once(axes)
        named = f"validation {WORDS[metric]}"
        style_axes(axes, x="epoch", y=named, percent=_percent(metric, "y"))
        add_legend(axes, columns=4)
        return to_svg(drawn, "curves", f"{named.capitalize()} of every trial over its epochs")


def draw_nodes(curves: Sequence[Data], target: str | None) -> Markup:
    """Draw the accuracy of each node of the best graph; that on training images is dashed.

    target: the node that was scored; None for an ensemble.
    """
    with open_figure(250) as drawn:
        axes = drawn.subplots()
        dashes: dict[str, Any] = {"linewidth": 0.9, "linestyle": (0, (2, 2))}
        for place, curve in enumerate(curves):
            colour, is_target = SERIES[place % len(SERIES)], curve["node"] == target
            name = shorten(curve["node"], 14) + (" (target)" if is_target else "")
            width, above = (2.2, 4) if is_target else (1.3, 3)
            x, y = thin_out(curve["val_accuracy"])
            axes.plot(x, y, color=colour, linewidth=width, label=name, zorder=above)
            axes.plot(*thin_out(curve["train_accuracy"]), color=colour, alpha=0.7, **dashes)
        axes.plot([], [], color=MUTED, label="on training images", **dashes)
        style_axes(axes, x="epoch", y="validation accuracy", percent="y")
        add_legend(axes, columns=2)
        return to_svg(drawn, "nodes", "Accuracy of each node of the best graph over the epochs")


def draw_gates(curves: Sequence[Data]) -> Markup:
    """Draw how far each gate of the best graph is open, in the colours of its drawing."""
    with open_figure(250) as drawn:
        axes = drawn.subplots()
        for gate, (colour, dashes) in GATE_STYLES.items():
            own = [curve for curve in curves if curve["gate"] == gate]
            for curve in own:
                x, y = thin_out(curve["openness"])
                style, label = (0, dashes) if dashes else "solid", f"{gate} ({len(own)})"
                axes.plot(x, y, color=colour.lower(), linewidth=1.6, linestyle=style, label=label)
                # Gates of one kind follow one curve, but for `correct`, which depends on the edge.
                if gate == "correct" and y:
                    note = shorten(printable(curve["edge"]), 20)
                    below: dict[str, Any] = {"textcoords": "offset points", "fontsize": 8.5}
                    axes.annotate(note, (x[-1], y[-1]), (-3, -11), ha="right", **below)
        _once(axes)
        axes.set_ylim(-0.04, 1.06)
        style_axes(axes, x="epoch", y="mean weight of a sample")
        add_legend(axes, columns=4)
        return to_svg(drawn, "gates", "How far each gate of the best graph is open over the epochs")


def draw_comparison(rows: Sequence[Data], *, test: bool, metric: MetricName = "accuracy") -> Markup:
    """Draw the best graph and the baselines, by accuracy with intervals.

    On the validation images they are drawn by another metric, where that is what counts.
    """
    metric = "accuracy" if test else metric
    shown = [row for row in rows if row["test"]] if test else list(rows)
    with open_figure(_ROW * len(shown) + 58) as drawn:
        axes = drawn.subplots()
        for place, row in enumerate(reversed(shown)):
            value = row["test"]["accuracy"] if test else row["value"]
            ends = row["test"]["interval"] if test else row["val_interval"]
            ends = ends if metric == "accuracy" else None
            colour = ACCENT if row["what"] == shown[0]["what"] else MUTED
            if ends:
                _draw_interval(axes, ends, place, colour)
            axes.plot([value], [place], "o", color=colour, markersize=7)
        split = "test" if test else "validation"
        names = [row["what"] for row in shown]
        named = f"{split} {WORDS[metric]}" + (
            ", with 95 % interval" if metric == "accuracy" else ""
        )
        _name_rows(axes, names, named, percent=_percent(metric, "x"))
        says = f"Best graph and baselines on the {split} images"
        return to_svg(drawn, f"comparison-{split}", says)


def draw_seeds(confirmed: Data) -> Markup:
    """Draw the test score of every training of a confirmation, and the mean of each graph."""
    rows, measure = confirmed["rows"], WORDS[confirmed["metric"]]
    with open_figure(_ROW * len(rows) + 58) as drawn:
        axes = drawn.subplots()
        for place, row in enumerate(reversed(rows)):
            colour = ACCENT if row is rows[0] else MUTED
            values, mean = [run["score"] for run in row["runs"]], row["test_score"]
            dot: dict[str, Any] = {"markersize": 4, "alpha": 0.45, "markeredgewidth": 0}
            axes.plot(values, [place] * len(values), "o", color=colour, **dot)
            if mean is not None:
                axes.plot([mean], [place], "|", color=colour, markersize=15, markeredgewidth=2.6)
        words = f"test {measure}: a dot for each seed, a bar for the mean"
        _name_rows(axes, [row["what"] for row in rows], words, percent="x")
        return to_svg(drawn, "seeds", f"Test {measure} of each graph, by seed")


def draw_differences(confirmed: Data) -> Markup:
    """Draw by how many points each of the best graphs is better than each baseline."""
    shown, best = confirmed["differences"], confirmed["rows"][0]["what"]
    with open_figure(_ROW * len(shown) + 58) as drawn:
        axes = drawn.subplots()
        axes.axvline(0, color=INK, linewidth=1)
        for place, each in enumerate(reversed(shown)):
            colour = ACCENT if each["of"] == best else MUTED
            if each["interval"]:
                _draw_interval(axes, [100 * end for end in each["interval"]], place, colour)
            if each["difference"] is not None:
                axes.plot([100 * each["difference"]], [place], "o", color=colour, markersize=7)
        several = len({each["of"] for each in shown}) > 1
        names = [
            f"{each['of']} \N{MINUS SIGN} {each['against']}" if several else each["against"]
            for each in shown
        ]
        measure = WORDS[confirmed["metric"]]
        _name_rows(axes, names, f"points of {measure} more than the baseline")
        says = "Differences between the best graphs and the baselines on the test images"
        return to_svg(drawn, "differences", says)


def draw_reliability(found: Data) -> Markup:
    """Draw how often the network is right by how sure it is, before and after a temperature."""
    with open_figure(300, 300) as drawn:
        axes = drawn.subplots()
        axes.plot([0, 1], [0, 1], color=LINE, linewidth=1.2)
        dashes: dict[str, Any] = {"color": MUTED, "linestyle": (0, (3, 2)), "alpha": 0.8}
        for name, style in (("before", dashes), ("after", {"color": ACCENT})):
            x, y, counts = (
                [each[key] for each in found["bins"][name]]
                for key in ("confidence", "accuracy", "images")
            )
            error = f"{100 * found['errors'][name]:.1f}\N{NO-BREAK SPACE}%"
            axes.plot(x, y, linewidth=1.5, label=f"{name}: off by {error}", **style)
            sizes = [4 + 120 * count / sum(counts) for count in counts]
            axes.scatter(x, y, s=sizes, color=style["color"], zorder=3, linewidths=0)
        style_axes(axes, x="how sure it is", y="how often it is right", percent="xy")
        axes.set_xlim(-0.03, 1.03)
        axes.set_ylim(-0.03, 1.03)
        axes.set_aspect("equal")
        add_legend(axes, columns=1)
        return to_svg(drawn, "reliability", "How often the network is right by how sure it is")


def draw_importance(found: Data) -> Markup:
    """Draw the importance of the holes: bars at the first rung, rings at the end of training."""
    holes = found["holes"][:_MOST_HOLES]
    with open_figure(_ROW * len(holes) + 75) as drawn:
        axes = drawn.subplots()
        places = range(len(holes))[::-1]
        early = f"after epoch {found['epoch']}"
        series = (("fanova_early", f"fANOVA, {early}"), ("ped_anova_early", f"PED-ANOVA, {early}"))
        if holes and holes[0]["fanova_early"] is not None:
            values = [hole["fanova_early"] for hole in holes]
            axes.barh(places, values, color=ACCENT, height=0.56, alpha=0.75, label=series[0][1])
        for (name, label), marker in zip(
            (*series[1:], ("fanova_end", "fANOVA, finished trials")), "do", strict=True
        ):
            known = [
                (place, hole[name])
                for place, hole in zip(places, holes, strict=True)
                if hole[name] is not None
            ]
            if known:
                at, value = zip(*known, strict=True)
                face = CARD if marker == "o" else INK
                style: dict[str, Any] = {"color": INK, "markerfacecolor": face, "markersize": 5}
                axes.plot(value, at, marker, label=label, **style)
        axes.set_yticks(places, [shorten(printable(hole["hole"]), 26) for hole in holes])
        axes.set_xlim(left=0)
        style_axes(axes, x="share of the differences explained", percent="x", grid="x")
        axes.tick_params(axis="y", labelcolor=INK)
        add_legend(axes, columns=1)
        return to_svg(drawn, "importance", "Importance of the holes of the space")


def choose_trials(trials: Sequence[Data], most: int = MOST_CURVES) -> list[Data]:
    """Return at most `most` of the trials that trained at all.

    Half of them are baselines and the best, the others an even choice of the rest.
    """
    trained = [trial for trial in trials if trial["val_accuracy"]]
    trained.sort(key=lambda trial: (not trial["baseline"], -trial["val_accuracy"][-1]))
    if len(trained) <= most:
        return trained
    first = most // 2
    rest = trained[first:]
    step = len(rest) / (most - first)
    return trained[:first] + [rest[int(place * step)] for place in range(most - first)]


def thin_out(values: Sequence[float]) -> tuple[list[int], list[float]]:
    """Return epochs, from 1, and values; of many about `_MOST_POINTS`, with both ends."""
    step = max(1, -(-(len(values) - 1) // (_MOST_POINTS - 1)))
    places = sorted({*range(0, len(values), step), len(values) - 1} - {-1})
    return [place + 1 for place in places], [values[place] for place in places]


def _percent(metric: MetricName, axis: str) -> str:
    """Return the axis where the metric is a share, else none: a loss is in nats."""
    return "" if metric == "loss" else axis


def _draw_interval(axes: Any, ends: Sequence[float], place: float, colour: str) -> None:
    line: dict[str, Any] = {"linewidth": 2, "alpha": 0.55, "solid_capstyle": "round"}
    axes.plot(ends, (place, place), color=colour, **line)


def _name_rows(axes: Any, names: Sequence[str], x: str, percent: str = "") -> None:
    """Write the names at the side, the first at the top; x: what the axis below is called."""
    axes.set_yticks(range(len(names)), names[::-1])
    axes.set_ylim(-0.6, len(names) - 0.4)
    style_axes(axes, x=x, percent=percent, grid="x")
    axes.tick_params(axis="y", labelcolor=INK)


def _once(axes: Any) -> None:
    """Leave each label in the legend once."""
    seen: set[str] = set()
    for line in axes.get_lines():
        if line.get_label() in seen:
            line.set_label("_again")
        seen.add(line.get_label())
