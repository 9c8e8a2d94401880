"""Measures what a frozen phase costs when the features of the backbone are computed once.

Times in one process and in turn: thirty frozen epochs with stored features, one frozen epoch
without, and one forward pass over the same images, which is the least possible cost. It also times
an epoch that trains the head on stored features. On a CPU the seconds are processor time.

    # mobilenetv2_100, 96 x 96, 1,000 images; about 2 minutes on one core.
    python benchmarks/frozen_phase.py
    python benchmarks/frozen_phase.py --device cuda --model resnet50 --size 224
"""

import argparse
import functools
import tempfile
from collections.abc import Callable
from pathlib import Path

import measure
import step_time
import torch
from options import make_parser

from ktg.data import Dataset, open_data
from ktg.graph import Data, Graph, parse
from ktg.training import Training
from ktg.training import loop as training_module
from ktg.training.frozen_features import FrozenFeatures


def main() -> None:
    """Measure and write the result."""
    parser = make_parser(__doc__)
    parser.add_argument("--model", default="mobilenetv2_100")
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--batch", type=int, default=50)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    with tempfile.TemporaryDirectory() as folder:
        path = step_time.images(Path(folder), args.size, classes=10, batch=args.images // 4)
        dataset = open_data(Data(path=str(path)))
        graph = transfer(path, args)
        steps = {
            "forward pass": forward_pass(graph, dataset, args.device),
            "epoch without features": train_epochs(graph, dataset, args.device, 1, keep=False),
            "frozen phase with features": train_epochs(
                graph, dataset, args.device, args.epochs, keep=True
            ),
        }
        times = measure.interleaved(
            steps, args.rounds, warm_up=1, clock=measure.clock_of(args.device)
        )
        head = [time_head_epoch(graph, dataset, args.device) for _ in range(args.rounds)]
    with_them, without = times["frozen phase with features"], times["epoch without features"]
    result: dict[str, object] = {
        "phase with features over one forward pass": measure.ratio(
            times, "frozen phase with features", "forward pass"
        ),
        "phase without features over the phase with them": measure.spread(
            [args.epochs * one / phase for one, phase in zip(without, with_them, strict=True)]
        ),
    }
    result |= {f"{name}, seconds": measure.spread(values) for name, values in times.items()}
    result |= {"epoch of the head alone, seconds": measure.spread(head)}
    measure.write(f"frozen_phase_{args.device}_{args.model}", vars(args), result)


def transfer(path: Path, args: argparse.Namespace) -> Graph:
    """Return one node whose backbone is always frozen, and images without augmentation."""
    return parse(
        {
            "data": {"path": str(path), "batch_size": args.batch, "augment": "none"},
            "train": {"epochs": args.epochs, "lr": 0.001},
            "nodes": {"n0": {"model": args.model, "frozen_epochs": args.epochs}},
            "edges": {"label -> n0": {}},
        }
    )


def make(graph: Graph, dataset: Dataset, device: str, *, keep: bool) -> Training:
    """Return the training of the graph, with or without room for features."""
    features = FrozenFeatures if keep else functools.partial(FrozenFeatures, memory_bytes=0)
    training_module.FrozenFeatures = features  # type: ignore[misc,assignment]
    return Training(graph, dataset, device=device)


def train_epochs(
    graph: Graph, dataset: Dataset, device: str, count: int, *, keep: bool
) -> Callable[[], object]:
    """Return a function that trains and validates the first epochs of the graph from the start."""
    ready = [make(graph, dataset, device, keep=keep) for _ in range(2)]
    fresh = ready[0].state_dict()

    def run() -> None:
        training = ready[1]
        training.load_state_dict(fresh)
        training._features._release(graph.train.epochs)
        for _ in range(count):
            next(training)

    return run


def forward_pass(graph: Graph, dataset: Dataset, device: str) -> Callable[[], object]:
    """Return a function that passes training and validation images through the network once."""
    training = make(graph, dataset, device, keep=False)

    def run() -> None:
        for split in (dataset.train, dataset.val):
            training.test(split)

    return run


def time_head_epoch(graph: Graph, dataset: Dataset, device: str) -> float:
    """Return the seconds of the second epoch, for which all features are stored."""
    training = make(graph, dataset, device, keep=True)
    next(training)
    clock = measure.clock_of(device)
    measure.synchronise()
    started = clock()
    next(training)
    measure.synchronise()
    return clock() - started


if __name__ == "__main__":
    main()
