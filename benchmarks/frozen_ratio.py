"""Sweep the ratio of frozen epochs: does more fine-tuning win, does accuracy dip at unfreezing, does it overfit.

Trains the graph of a space for every option of `nodes.n0.frozen_epochs`, with several seeds, and keeps every epoch. The
validation split is only looked at: nothing is chosen by it. Writes benchmarks/results/NAME.json and NAME.svg, with the
moment of unfreezing marked.

    python benchmarks/frozen_ratio.py benchmarks/spaces/frozen_cats_dogs.yaml       # about 15 minutes on one core
    python benchmarks/frozen_ratio.py benchmarks/spaces/frozen_rose_tulip.yaml
"""

import argparse
import dataclasses
import statistics
from pathlib import Path
from typing import Any

import measure
import torch
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from ktg.data import Dataset, open_data
from ktg.engine import Training
from ktg.space import load_space
from ktg.spec import LABEL, Graph

HOLE = "nodes.n0.frozen_epochs"
PANELS = {"train_accuracy": "training accuracy", "val_accuracy": "validation accuracy", "val_loss": "validation loss"}
COLOURS = ("#0072b2", "#009e73", "#d55e00", "#cc79a7", "#7f6bb3", "#b8860b")
Curves = dict[str, list[float]]


def main() -> None:
    """Train, and write the figures and the drawing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("space", type=Path)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    space = load_space(args.space)
    graphs = {frozen: space.bind({HOLE: frozen}) for frozen in space.holes[HOLE].options_to_check()}
    images = open_data(next(iter(graphs.values())).data)
    found = {}
    for frozen, graph in graphs.items():
        found[frozen] = [curves(graph, images, seed) for seed in range(args.seeds)]
        print(f"{frozen} frozen epochs: {[round(run['val_accuracy'][-1], 4) for run in found[frozen]]}", flush=True)
    draw(found, args.space.stem)
    total = next(iter(graphs.values())).train.epochs
    rows = {f"{frozen}/{total - frozen}": figures(runs, frozen) for frozen, runs in found.items()}
    measure.write(args.space.stem, {"space": args.space.name, "seeds": args.seeds}, rows)


def curves(graph: Graph, images: Dataset, seed: int) -> Curves:
    """Return the figures of the target after every epoch."""
    seeded = dataclasses.replace(graph, train=dataclasses.replace(graph.train, seed=seed))
    kept: Curves = {name: [] for name in (*PANELS, "train_loss")}
    for epoch in Training(seeded, images):
        node = epoch.nodes[graph.target]
        for name in PANELS:
            kept[name].append(getattr(node, name))
        kept["train_loss"].append(epoch.edges[LABEL, graph.target].loss)
    return kept


def figures(runs: list[Curves], frozen: int) -> dict[str, Any]:
    """Return what is asked of one ratio: mean and standard deviation over the seeds, and the mean curves."""
    asked: dict[str, list[float]] = {
        "validation accuracy": [run["val_accuracy"][-1] for run in runs],
        "validation loss": [run["val_loss"][-1] for run in runs],
        "training accuracy": [run["train_accuracy"][-1] for run in runs],
        "validation loss above its least, which says overfitting": [
            run["val_loss"][-1] - min(run["val_loss"]) for run in runs
        ],
    }
    if frozen:  # the last frozen epoch against the first that is not
        for name in ("train_accuracy", "val_accuracy"):
            asked[f"{PANELS[name]}, change at unfreezing"] = [run[name][frozen] - run[name][frozen - 1] for run in runs]
    result: dict[str, Any] = {name: mean_and_std(values) for name, values in asked.items()}
    result["mean curves"] = {
        name: [round(statistics.fmean(values), 4) for values in zip(*(run[name] for run in runs), strict=True)]
        for name in runs[0]
    }
    return result


def mean_and_std(values: list[float]) -> dict[str, Any]:
    """Return n, mean and standard deviation, and each value."""
    std = statistics.stdev(values) if len(values) > 1 else None
    rounded = [round(value, 4) for value in values]
    return {"n": len(values), "mean": statistics.fmean(values), "std": std, "each": rounded}


def draw(found: dict[int, list[Curves]], name: str) -> None:
    """Draw mean curves with their range over the seeds; a dotted line is the moment of unfreezing."""
    figure = Figure(figsize=(10, 3.2), layout="constrained")
    for axes, (column, title) in zip(figure.subplots(1, len(PANELS)), PANELS.items(), strict=True):
        for colour, (frozen, runs) in zip(COLOURS, found.items(), strict=False):
            by_epoch = list(zip(*(run[column] for run in runs), strict=True))
            epochs = range(1, len(by_epoch) + 1)
            mean = [statistics.fmean(values) for values in by_epoch]
            axes.plot(epochs, mean, color=colour, linewidth=1.4, label=f"{frozen} / {len(by_epoch) - frozen}")
            axes.fill_between(epochs, list(map(min, by_epoch)), list(map(max, by_epoch)), color=colour, alpha=0.12)
            if frozen:
                axes.axvline(frozen + 0.5, color=colour, linewidth=0.9, linestyle=":")
        axes.set_title(title, fontsize=10)
        axes.set_xlabel("epoch")
        axes.spines[["top", "right"]].set_visible(False)
    axes.legend(title="frozen / fine-tuned", fontsize=8, title_fontsize=8, frameon=False)
    FigureCanvasSVG(figure).print_svg(measure.RESULTS / f"{name}.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
