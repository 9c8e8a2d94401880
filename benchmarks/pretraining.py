"""Measures whether pretraining on formulas helps small data sets, and up to which size.

For every number of training images and every source, optimizer and rate are chosen on the
validation split (with a seed that is not used again). Then three seeds train on training and
validation images, and the test split is read once for each. Differences from training without
pretraining are paired by seed and have a 95 % interval of Student's t.

    ktg source pretrain fractaldb --preset tiny --model resnet20
    ktg source pretrain fractaldb --preset tiny --model mobilenetv2_035
    python benchmarks/pretraining.py cifar10_small      # about 20 minutes on one core
    python benchmarks/pretraining.py flowers            # about 30
    python benchmarks/pretraining.py digits --seeds 10  # about 10
"""

import dataclasses
import os
from pathlib import Path
from typing import Any

import measure
import torch
from options import make_parser
from pretraining_study import summarise

from ktg.data import open_data
from ktg.graph import Data, Edge, Graph, Node, SourceFile, Train
from ktg.graph.vocabulary import OptimizerName
from ktg.searching.seeds import train_seeds
from ktg.tracking import MemoryTracker
from ktg.training import Training

SHARED = Path(os.environ.get("KTG_SHARED", Path(__file__).parents[2] / "shared"))
KERAS = SourceFile(
    path=str(SHARED / "weights" / "mobilenetv2_035.imagenet.pth"),
    mean=(0.5,),
    std=(0.5,),
    origin="Keras Applications",
)
SAME = {"pad_type": "same"}  # as Keras pads images
# SGD alone flatters pretraining: on ten digits a class AdamW makes up for what it gives.
RECIPES: tuple[tuple[OptimizerName, float], ...] = (
    ("sgd", 0.1),
    ("sgd", 0.03),
    ("sgd", 0.01),
    ("adamw", 0.003),
    ("adamw", 0.001),
)
CHOOSING_SEED = 100

# Each task has images, nodes by source, and the epochs for each number of training images a class.
TASKS: dict[str, tuple[Data, dict[str, Node], dict[int, int]]] = {
    "cifar10_small": (
        Data(path=str(SHARED / "data" / "cifar10_small" / "cifar10_small.npz")),
        {source: Node(model="resnet20", source=source) for source in ("none", "fractaldb")},
        {10: 60, 30: 40, 100: 25},
    ),
    "digits": (  # what search_spaces/quickstart_sources.yaml searches
        Data(name="digits", size=32),
        {source: Node(model="resnet20", source=source) for source in ("none", "zoo/fractals")},
        {10: 20, 30: 20},
    ),
    "flowers": (
        Data(path=str(SHARED / "data" / "flowers"), size=64),
        {source: Node(model="mobilenetv2_035", source=source) for source in ("none", "fractaldb")}
        | {"imagenet": Node(model="mobilenetv2_035", source="keras", model_args=SAME)},
        {10: 60, 30: 40, 100: 20},
    ),
}


def main() -> None:
    """Train and write benchmarks/results/pretraining_TASK.json."""
    parser = make_parser(__doc__, seeds=3)
    parser.add_argument("task", choices=TASKS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    data, nodes, sizes = TASKS[args.task]
    result: dict[str, Any] = {}
    for per_class, epochs in sizes.items():
        few = dataclasses.replace(data, per_class=per_class, batch_size=min(64, 2 * per_class))
        graphs = {
            source: choose_recipe(make_graph(few, node, epochs)) for source, node in nodes.items()
        }
        tested = {source: test_accuracies(graph, args.seeds) for source, graph in graphs.items()}
        result[f"{per_class} of each class, {epochs} epochs"] = {
            source: {
                "optimizer": graphs[source].train.optimizer,
                "lr": graphs[source].train.lr,
                **summarise(values, tested["none"]),
            }
            for source, values in tested.items()
        }
    measure.write(
        f"pretraining_{args.task}", {"seeds": args.seeds, "recipes": RECIPES}, {"test": result}
    )


def make_graph(data: Data, node: Node, epochs: int) -> Graph:
    """Return the graph of one node that learns from the labels."""
    edges = {("label", "n0"): Edge(loss="ce")}
    train, sources = Train(epochs=epochs), {"keras": KERAS}
    return Graph(data=data, train=train, nodes={"n0": node}, edges=edges, sources=sources)


def choose_recipe(graph: Graph) -> Graph:
    """Return the graph with the optimizer and rate of the highest validation accuracy."""
    dataset = open_data(graph.data)

    def put(recipe: tuple[OptimizerName, float], seed: int) -> Graph:
        optimizer, lr = recipe
        train = dataclasses.replace(graph.train, optimizer=optimizer, lr=lr, seed=seed)
        return dataclasses.replace(graph, train=train)

    def validated(recipe: tuple[OptimizerName, float]) -> float:
        *_, last = Training(put(recipe, CHOOSING_SEED), dataset)
        return last.nodes["n0"].val_accuracy or 0.0

    return put(max(RECIPES, key=validated), graph.train.seed)


def test_accuracies(graph: Graph, seeds: int) -> list[float]:
    """Return the test accuracy for every seed."""
    return [run.accuracy for run in train_seeds(graph, seeds, MemoryTracker()).runs]


if __name__ == "__main__":
    main()
