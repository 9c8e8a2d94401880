"""Trains every graph of a space with several seeds and records accuracy and loss of each epoch.

This repeats published studies at a size that two cores can train. Every option of the holes is
trained (a hole `train.seed` gives the seeds). The validation split chooses nothing. Writes
results/NAME.json, and results/NAME.svg with the mean and the range over the seeds, where a dotted
line marks the moment of unfreezing.

    # About 15 minutes on one core.
    python benchmarks/curves.py benchmarks/spaces/frozen_cats_dogs.yaml
    python benchmarks/curves.py benchmarks/spaces/frozen_rose_tulip.yaml     # about 10
    python benchmarks/curves.py benchmarks/spaces/regimes_cifar10.yaml       # about 20
    python benchmarks/curves.py benchmarks/spaces/augment_flowers.yaml       # about 15
"""

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
from options import make_parser

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
    """Train, and write the numbers and the drawing."""
    parser = make_parser(__doc__, seeds=3)
    parser.add_argument("space", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    space = load_space(args.space)
    seeds = (
        space.holes[SEED].options_to_check() if SEED in space.holes else tuple(range(args.seeds))
    )
    graphs, found = dict(name_graphs(space)), {}
    thawing = {name: find_thawing_epoch(graph) for name, graph in graphs.items()}
    rows = {}
    for name, graph in graphs.items():
        images = open_data(graph.data)
        found[name] = [train_curves(graph, images, seed) for seed in seeds]
        row = ", ".join(filter(None, name))
        rows[row] = summarise(found[name], thawing[name])
        print(f"{row}: {rows[row]['validation accuracy']['each']}", flush=True)
    draw(found, thawing, args.space.stem)
    measure.write(args.space.stem, {"space": args.space.name, "seeds": len(seeds)}, rows)


def name_graphs(space: SearchSpace) -> Iterator[tuple[Name, Graph]]:
    """Yield every graph of the space with its name.

    The last hole tells apart the curves in a row of panels, the holes before it the rows.
    """
    holes = {path: hole for path, hole in space.holes.items() if path != SEED}
    seed = {SEED: space.holes[SEED].default()} if SEED in space.holes else {}
    for values in itertools.product(*(hole.options_to_check() for hole in holes.values())):
        graph = space.bind(dict(zip(holes, values, strict=True)) | seed)
        *rows, curve = [
            name_option(path, value, graph) for path, value in zip(holes, values, strict=True)
        ]
        if isinstance(values[-1], Mapping):
            rows.append(graph.nodes[graph.target].model)
        yield (", ".join(rows), curve), graph


def name_option(path: str, value: Any, graph: Graph) -> str:
    """Return the name of an option.

    It is frozen / fine-tuned epochs, the training regime of a whole node, or the value itself.
    """
    epochs = graph.train.epochs
    if path.endswith(FROZEN):
        return f"{value}/{epochs - value}"
    if not isinstance(value, Mapping):
        return f"{path.rpartition('.')[2]} {value}"
    if value.get("source", "none") == "none":
        return "scratch"
    return "transfer" if value.get(FROZEN) == epochs else "fine-tuning"


def find_thawing_epoch(graph: Graph) -> int | None:
    """Return the epochs after which the target's backbone thaws; None if never or always frozen."""
    frozen = graph.nodes[graph.target].frozen_epochs
    return frozen if 0 < frozen < graph.train.epochs else None


def train_curves(graph: Graph, images: Dataset, seed: int) -> Curves:
    """Return the accuracies and losses of the target after every epoch."""
    seeded = dataclasses.replace(graph, train=dataclasses.replace(graph.train, seed=seed))
    recorded: Curves = {name: [] for name in PANELS}
    for epoch in Training(seeded, images):
        node = epoch.nodes[graph.target]
        for name in PANELS:
            if name == "train_loss":
                recorded[name].append(epoch.edges[LABEL, graph.target].loss)
            else:
                recorded[name].append(getattr(node, name))
    return recorded


def summarise(runs: list[Curves], thawing: int | None) -> dict[str, Any]:
    """Return mean and standard deviation of one graph over the seeds, and its mean curves."""
    values_of: dict[str, list[float]] = {
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
            values_of[f"{PANELS[name]}, change at unfreezing"] = [
                run[name][thawing] - run[name][thawing - 1] for run in runs
            ]
    result: dict[str, Any] = {name: summarise_values(values) for name, values in values_of.items()}
    result["mean curves"] = {
        name: [
            round(statistics.fmean(values), 4)
            for values in zip(*(run[name] for run in runs), strict=True)
        ]
        for name in runs[0]
    }
    return result


def summarise_values(values: list[float]) -> dict[str, Any]:
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
                low, high = list(map(min, by_epoch)), list(map(max, by_epoch))
                axes.fill_between(epochs, low, high, color=colour, alpha=0.12)
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
