"""Draws the pictures of the documentation with ktg: graphs, gates, losses, schedules and others.

    python docs/make_pictures.py

It writes them into docs/pictures. A test compares all but the ranking, which trains three networks:
its numbers depend a little on the machine.
"""

import functools
import io
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

import ktg
from ktg.affinity.plots import draw_ranking
from ktg.affinity.ranking import BASELINES
from ktg.cli import commands
from ktg.graph import Node, Train
from ktg.graph.drawing import draw
from ktg.graph.drawing.svg import GATE_STYLES
from ktg.graph.holes import DEFAULT_SCORE
from ktg.graph.yaml_files import load_graph, save
from ktg.models.build import build_network
from ktg.models.stages import split_stages
from ktg.reporting.theme import settings
from ktg.training.gates import GATES
from ktg.training.losses import dkd, js, kl
from ktg.training.node import Learner
from ktg.training.sinkhorn import emd

DOCS = Path(__file__).parent
EPOCHS = 12
MODEL = "resnet8"
SCHEDULES: Mapping[str, Node] = {
    "the default: all learn alike": Node(model=MODEL),
    "frozen_epochs: 4": Node(model=MODEL, frozen_epochs=4),
    "frozen_epochs: 4, backbone_lr_scale: 0.1": Node(
        model=MODEL, frozen_epochs=4, backbone_lr_scale=0.1
    ),
    "frozen_epochs: 4, unfreeze_from: 3": Node(model=MODEL, frozen_epochs=4, unfreeze_from=3),
    "frozen_epochs: 2, unfreeze_every: 2": Node(model=MODEL, frozen_epochs=2, unfreeze_every=2),
    "layer_decay: 0.6": Node(model=MODEL, layer_decay=0.6),
}
INK, GREY = "#212529", "#868E96"


def main() -> None:
    """Write every picture."""
    for name, svg in pictures().items():
        (DOCS / "pictures" / name).write_text(svg, encoding="utf-8")
    augmentations(DOCS / "pictures" / "augment.png")
    with tempfile.TemporaryDirectory() as folder:
        (DOCS / "pictures" / "affinity.svg").write_bytes(affinity(Path(folder)))


def pictures() -> dict[str, str]:
    """Return all pictures as SVG by file name, except the ranking and the contact sheet."""
    graphs = {
        f"{path.stem}.svg": draw(load_graph(path))
        for path in sorted((DOCS / "graphs").glob("*.yaml"))
    }
    figures = {"gates.svg": gates, "losses.svg": losses, "schedules.svg": schedules}
    return graphs | {name: to_svg(make) for name, make in figures.items()}


def to_svg(make: Callable[[], Figure]) -> str:
    """Return a figure as SVG; the same figure gives the same text."""
    with settings():
        text = io.StringIO()
        FigureCanvasSVG(make()).print_svg(
            text, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type"))
        )
        return text.getvalue()


def gates() -> Figure:
    """Return the weights of two images during training, for each gate.

    The source is right about one of them and wrong about the other, whose loss is the larger one,
    and about which two nodes disagree; half of the labels are wrong.
    """
    figure = Figure(figsize=(12.0, 2.1), layout="constrained")
    progress = np.linspace(0, 1, 51)
    first = torch.tensor([True, False])
    seen = SimpleNamespace(right=first, same=first, peer_loss=torch.tensor([0.1, 2.0]), noise=0.5)
    for axes, (name, gate) in zip(
        figure.subplots(1, len(GATES), sharey=True), GATES.items(), strict=True
    ):
        colour, _ = GATE_STYLES.get(name, (GREY, ()))
        weights = np.stack(
            [gate(seen, where, torch.float32).numpy() for where in progress.tolist()]
        )
        axes.plot(progress, weights[:, 0], color=colour, linewidth=2.2)
        axes.plot(progress, weights[:, 1], color=colour, linewidth=2.2, linestyle=(0, (2, 2)))
        axes.set_title(name, fontsize=10, color=INK)
        axes.set_ylim(-0.08, 1.08)
        tidy(axes)
    figure.supxlabel(
        "progress of training (dashed: an image about which the source is wrong, the loss of the "
        "peer is large, and the nodes disagree)",
        fontsize=9,
        color=INK,
    )
    figure.supylabel("weight", fontsize=9, color=INK)
    return figure


def losses() -> Figure:
    """Return losses between nodes as probability moves from the right class to another one.

    Of three classes the teacher gives the first 0.8 and the others 0.1 each. The second class, the
    near one, is five times as near to the first as the third class, the far one.
    """
    distance = torch.tensor(
        [[0.0, 0.2, 1.0], [0.2, 0.0, 1.0], [1.0, 1.0, 0.0]], dtype=torch.float64
    )
    moved = torch.linspace(0, 0.75, 26, dtype=torch.float64)
    log_p = torch.tensor([[0.8, 0.1, 0.1]], dtype=torch.float64).log().expand(len(moved), -1)
    label = torch.zeros(len(moved), dtype=torch.int64)
    values = {"kl": functools.partial(kl, log_p), "js": functools.partial(js, log_p)}
    values |= {"dkd": functools.partial(dkd, log_p, labels=label, alpha=1.0, beta=8.0)}
    values |= {"emd": functools.partial(emd, log_p, distance=distance)}
    figure = Figure(figsize=(9.0, 2.3), layout="constrained")
    for axes, (name, value) in zip(figure.subplots(1, len(values)), values.items(), strict=True):
        for to, colour, style in ((1, "#0072b2", "-"), (2, "#d55e00", (0, (2, 2)))):
            q = log_p.exp().clone()
            q[:, 0] -= moved
            q[:, to] += moved
            lost = value(q.log()).numpy().round(6)  # further digits depend on the machine
            axes.plot(moved.numpy(), lost, color=colour, linewidth=2.2, linestyle=style)
        axes.set_title(name, fontsize=10, color=INK)
        axes.set_ylim(bottom=0)
        tidy(axes)
    figure.supxlabel(
        "probability moved to the near class, and (dashed) to the far one", fontsize=9, color=INK
    )
    figure.supylabel("loss", fontsize=9, color=INK)
    return figure


def augmentations(path: Path) -> None:
    """Write the contact sheet of all augmentations of digits, as `ktg data show digits` does."""
    words = ["data", "show", "digits", "--size", "48", "--columns", "10", "-o", str(path)]
    commands(words, standalone_mode=False)


def schedules() -> Figure:
    """Return the learning rate of each stage in each epoch, for several settings of a node."""
    figure = Figure(figsize=(9.0, 3.6), layout="constrained")
    panels = figure.subplots(2, 3, sharex=True, sharey=True)
    for axes, (title, node) in zip(panels.flat, SCHEDULES.items(), strict=True):
        rates = stage_rates(node)
        count = rates.shape[1]
        cells = axes.pcolormesh(
            np.arange(EPOCHS + 1),
            np.arange(count + 1),
            np.ma.masked_equal(rates.T, 0),
            cmap="viridis_r",
            vmin=0,
            vmax=1,
            edgecolors="white",
            linewidth=1.0,
        )
        axes.set_facecolor("#E9ECEF")
        axes.set_yticks(
            np.arange(count) + 0.5, ["stem", *(f"stage {n}" for n in range(1, count - 1)), "head"]
        )
        axes.set_title(title, fontsize=9, color=INK, loc="left")
        axes.tick_params(labelsize=8, colors=GREY, length=0)
        axes.spines[:].set_visible(False)
    bar = figure.colorbar(cells, ax=panels, fraction=0.03)
    bar.set_label("learning rate, as a share of the peak\n(grey: frozen)", fontsize=8, color=INK)
    bar.ax.tick_params(labelsize=8, colors=GREY)
    bar.outline.set_visible(False)
    figure.supxlabel("epoch", fontsize=9, color=INK)
    return figure


def stage_rates(node: Node) -> npt.NDArray[np.float64]:
    """Return the learning rates (epochs, stages) of a node's network, 0 for a frozen stage.

    They are those of the middle of each epoch, set by the node's own learner.
    """
    network = build_network(node, {}, classes=10, image_size=32, mean=(0.5,), std=(0.5,), seed=0)
    learner = Learner(network, node, Train(epochs=EPOCHS, lr=1.0))
    parameters = dict(network.body.named_parameters())
    firsts = [sorted(names)[0] for names in split_stages(network.body)]
    rates = np.zeros((EPOCHS, len(firsts)))
    for epoch in range(EPOCHS):
        learner.begin_epoch(epoch)
        learner.step((epoch + 0.5) / EPOCHS)
        of = {
            id(parameter): group["lr"]
            for group in learner.optimizer.param_groups
            for parameter in group["params"]
        }
        learning = learner.select_parameters(epoch)
        for stage, name in enumerate(firsts):
            rates[epoch, stage] = of[id(parameters[name])] if name in learning else 0.0
    return rates


def affinity(folder: Path) -> bytes:
    """Return the ranking of four sources for five digits, as `ktg affinity rank` draws it.

    The zoo and the cache of the sources are made in `folder`.
    """
    torch.set_num_threads(1)
    os.environ |= {"KTG_ZOO": str(folder / "zoo"), "KTG_CACHE": str(folder / "cache")}
    graph = {
        "data": {"name": "digits", "only": list("56789"), "batch_size": 32},
        "train": {"epochs": 10, "lr": 0.1},
        "nodes": {"n0": {"model": MODEL}},
        "edges": {"label -> n0": {}},
    }
    save(folder / "digits.yaml", graph)
    formula = {"preset": "tiny", "size": 24, "classes": 10, "points": 5000, "scale": 0.1}
    ktg.pretrain(str(folder / "digits.yaml"), name="digits-5-to-9", tracking_uri=None)
    ktg.pretrain(str(folder / "digits.yaml"), name="digits-one-epoch", epochs=1, tracking_uri=None)
    ktg.pretrain("fractaldb", model=MODEL, **formula, epochs=12, tracking_uri=None)
    save(
        folder / "target.yaml",
        graph | {"data": {"name": "digits", "only": list("01234"), "per_class": 15}},
    )
    sources = ("none", "fractaldb", "zoo/digits-one-epoch", "zoo/digits-5-to-9")
    candidates = [f"{MODEL}@{source}" for source in sources]
    found = ktg.rank(folder / "target.yaml", candidates, device="cpu")
    panels = {
        name: [one.value(name) for one in found.values()] for name in (DEFAULT_SCORE, *BASELINES)
    }
    return draw_ranking(
        f"Pretrained weights for the digits 0 to 4, by {DEFAULT_SCORE}", list(found), panels
    )


def tidy(axes: Axes) -> None:
    """Remove the parts of a panel that do not help to read it."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8, colors=GREY)
    axes.grid(color="#E9ECEF", linewidth=0.8)
    axes.set_axisbelow(True)


if __name__ == "__main__":
    main()
