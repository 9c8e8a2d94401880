"""Every graph of a space with several seeds, epoch by epoch: the published studies at the size of two cores.

Trains each option of the holes of a space (a hole `train.seed` gives the seeds) and keeps accuracy
and loss after every epoch. The validation split is only looked at: nothing is chosen by it. Writes
results/NAME.json, and results/NAME.svg with the mean and the range over the seeds; a dotted line is
the moment of unfreezing.

    # About 15 minutes on one core.
    python benchmarks/curves.py benchmarks/spaces/frozen_cats_dogs.yaml
    python benchmarks/curves.py benchmarks/spaces/frozen_rose_tulip.yaml     # about 10
    python benchmarks/curves.py benchmarks/spaces/regimes_cifar10.yaml       # about 20
    python benchmarks/curves.py benchmarks/spaces/augment_flowers.yaml       # about 15
"""

import argparse
import dataclasses
import itertools
import statistics
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import measure
import torch
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from ktg.data import Dataset, open_data
from ktg.graph import LABEL, Graph, SearchSpace, load_space
from ktg.reporting.theme import settings
from ktg.training import Training

SEED = "train.seed"
FROZEN = "frozen_epochs"
PANELS = {
    "train_accuracy": "training accuracy",
    "train_loss": "training loss",
    "val_accuracy": "validation accuracy",
    "val_loss": "validation loss",
}
COLOURS = ("#0072b2", "#009e73", "#d55e00", "#cc79a7", "#7f6bb3", "#b8860b")
Curves = dict[str, list[float]]
Name = tuple[str, str]  # what shares a row of panels, and which curve there it is


def main() -> None:
    """Train, and write the figures and the drawing."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("space", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    space = load_space(args.space)
    seeds = (
        space.holes[SEED].options_to_check() if SEED in space.holes else tuple(range(args.seeds))
    )
    graphs, found = dict(named(space)), {}
    thawing = {name: moment(graph) for name, graph in graphs.items()}
    rows = {}
    for name, graph in graphs.items():
        images = open_data(graph.data)
        found[name] = [curves(graph, images, seed) for seed in seeds]
        row = ", ".join(filter(None, name))
        rows[row] = figures(found[name], thawing[name])
        print(f"{row}: {rows[row]['validation accuracy']['each']}", flush=True)
    draw(found, thawing, args.space.stem)
    measure.write(args.space.stem, {"space": args.space.name, "seeds": len(seeds)}, rows)


def named(space: SearchSpace) -> Iterator[tuple[Name, Graph]]:
    """Yield every graph of the space; the last hole tells the curves of a row of panels apart, those before it rows."""
    holes = {path: hole for path, hole in space.holes.items() if path != SEED}
    seed = {SEED: space.holes[SEED].default()} if SEED in space.holes else {}
    for values in itertools.product(*(hole.options_to_check() for hole in holes.values())):
        graph = space.bind(dict(zip(holes, values, strict=True)) | seed)
        *rows, curve = [
            called(path, value, graph) for path, value in zip(holes, values, strict=True)
        ]
        if isinstance(values[-1], Mapping):
            rows.append(graph.nodes[graph.target].model)
        yield (", ".join(rows), curve), graph


def called(path: str, value: Any, graph: Graph) -> str:
    """Return what an option is called: frozen / fine-tuned epochs, the regime of a whole node, or the value itself."""
    epochs = graph.train.epochs
    if path.endswith(FROZEN):
        return f"{value}/{epochs - value}"
    if not isinstance(value, Mapping):
        return f"{path.rpartition('.')[2]} {value}"
    if value.get("source", "none") == "none":
        return "scratch"
    return "transfer" if value.get(FROZEN) == epochs else "fine-tuning"


def moment(graph: Graph) -> int | None:
    """Return after how many epochs the target's backbone thaws; None where it never is frozen, or always."""
    frozen = graph.nodes[graph.target].frozen_epochs
    return frozen if 0 < frozen < graph.train.epochs else None


def curves(graph: Graph, images: Dataset, seed: int) -> Curves:
    """Return the figures of the target after every epoch."""
    seeded = dataclasses.replace(graph, train=dataclasses.replace(graph.train, seed=seed))
    kept: Curves = {name: [] for name in PANELS}
    for epoch in Training(seeded, images):
        node = epoch.nodes[graph.target]
        for name in PANELS:
            loss = name == "train_loss"
            kept[name].append(
                epoch.edges[LABEL, graph.target].loss if loss else getattr(node, name)
            )
    return kept


def figures(runs: list[Curves], thawing: int | None) -> dict[str, Any]:
    """Return what is asked of one graph: mean and standard deviation over the seeds, and the mean curves."""
    asked: dict[str, list[float]] = {
        "validation accuracy": [run["val_accuracy"][-1] for run in runs],
        "validation loss": [run["val_loss"][-1] for run in runs],
        "least validation loss": [min(run["val_loss"]) for run in runs],
        "validation loss above its least, which says overfitting": [
            run["val_loss"][-1] - min(run["val_loss"]) for run in runs
        ],
        "training accuracy": [run["train_accuracy"][-1] for run in runs],
    }
    if thawing:  # the last frozen epoch against the first that is not
        for name in ("train_accuracy", "val_accuracy"):
            asked[f"{PANELS[name]}, change at unfreezing"] = [
                run[name][thawing] - run[name][thawing - 1] for run in runs
            ]
    result: dict[str, Any] = {name: mean_and_std(values) for name, values in asked.items()}
    result["mean curves"] = {
        name: [
            round(statistics.fmean(values), 4)
            for values in zip(*(run[name] for run in runs), strict=True)
        ]
        for name in runs[0]
    }
    return result


def mean_and_std(values: list[float]) -> dict[str, Any]:
    """Return n, mean and standard deviation, and each value."""
    std = statistics.stdev(values) if len(values) > 1 else None
    rounded = [round(value, 4) for value in values]
    return {"n": len(values), "mean": statistics.fmean(values), "std": std, "each": rounded}


def draw(found: Mapping[Name, list[Curves]], thawing: Mapping[Name, int | None], name: str) -> None:
    """Draw mean curves with their range over the seeds."""
    groups = list(dict.fromkeys(group for group, _ in found))
    figure = Figure(figsize=(12, 0.4 + 2.6 * len(groups)), layout="constrained")
    panels = figure.subplots(len(groups), len(PANELS), squeeze=False, sharex=True, sharey="col")
    for row, group in zip(panels, groups, strict=True):
        members = {curve: runs for (other, curve), runs in found.items() if other == group}
        for axes, (column, title) in zip(row, PANELS.items(), strict=True):
            for colour, (curve, runs) in zip(COLOURS, members.items(), strict=False):
                by_epoch = list(zip(*(run[column] for run in runs), strict=True))
                epochs = range(1, len(by_epoch) + 1)
                mean = [statistics.fmean(values) for values in by_epoch]
                axes.plot(epochs, mean, color=colour, linewidth=1.4, label=curve)
                axes.fill_between(
                    epochs,
                    list(map(min, by_epoch)),
                    list(map(max, by_epoch)),
                    color=colour,
                    alpha=0.12,
                )
                switch = thawing[group, curve]
                if switch:
                    axes.axvline(switch + 0.5, color=colour, linewidth=0.9, linestyle=":")
            axes.set_title(f"{title}\n{group}" if group else title, fontsize=9)
            axes.tick_params(labelsize=8)
            axes.spines[["top", "right"]].set_visible(False)
        row[-1].legend(fontsize=8, frameon=False)
    figure.supxlabel("epoch", fontsize=9)
    with settings():
        FigureCanvasSVG(figure).print_svg(measure.RESULTS / f"{name}.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
