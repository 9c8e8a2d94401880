"""Measures how much slower a training step of a graph is than one of its bare networks.

A step of the graph computes the losses of all edges, gates, metrics of every edge and node, and
schedules. A bare step is the forward, backward and optimizer step of the same networks with
cross-entropy alone. They take turns in one process, round by round.

    # 3 x resnet32, 32 x 32, batch 64; about 2 minutes on two cores.
    python benchmarks/step_time.py
    python benchmarks/step_time.py --device cuda --rounds 100
"""

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import measure
import numpy as np
import torch
from options import make_parser

from ktg.data import Dataset, open_data
from ktg.graph import Data, Graph, parse
from ktg.training import Training
from ktg.training.graph_model import choose_precision
from ktg.training.node import OPTIMIZERS
from ktg.training.schedule import Clock
from ktg.training.training_batches import TrainingBatch


def main() -> None:
    """Measure and write the result."""
    parser = make_parser(__doc__)
    parser.add_argument("--model", default="resnet32")
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--classes", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--compile", action="store_true")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = images(Path(folder), args.size, args.classes, args.batch)
        dataset = open_data(Data(path=str(path)))
        through, last = all_through(path, args), torch.channels_last
        steps = {"bare": bare(through, dataset, args.device, last)}
        steps["bare, default memory format"] = bare(
            through, dataset, args.device, torch.contiguous_format
        )
        for name, graph in graphs(path, args).items():
            steps[name] = graph_step(graph, dataset, args.device)
        times = measure.interleaved(steps, args.rounds)
    result: dict[str, object] = {
        f"{name} over bare": measure.ratio(times, name, "bare") for name in steps
    }
    result |= {f"{name}, seconds": measure.spread(values) for name, values in times.items()}
    result["images_per_s"] = args.batch / measure.spread(times["all through"])["median"]
    usual = (args.device, args.precision, args.compile) == ("cpu", "float32", False)
    suffix = ("" if usual else f"_{args.precision}") + ("_compiled" if args.compile else "")
    measure.write(f"step_time_{args.device}_{args.model}{suffix}", vars(args), result)


def images(folder: Path, size: int, classes: int, batch: int) -> Path:
    """Write random images: the time of a step does not depend on their content."""
    random = np.random.default_rng(0)
    count = max(10 * classes, 4 * batch)
    x = random.integers(0, 256, (count, size, size, 3), dtype=np.uint8)
    np.savez(folder / "random.npz", x=x, y=np.arange(count) % classes)
    return folder / "random.npz"


def make(path: Path, args: argparse.Namespace, edges: dict[str, dict[str, str]]) -> Graph:
    """Return a graph of three equal nodes."""
    train = {"epochs": 10, "lr": 0.1, "precision": args.precision, "compile": args.compile}
    nodes = {f"n{i}": {"model": args.model} for i in range(3)}
    data = {"path": str(path), "batch_size": args.batch}
    return parse({"data": data, "train": train, "nodes": nodes, "edges": edges})


def all_through(path: Path, args: argparse.Namespace) -> Graph:
    """Return deep mutual learning."""
    return make(path, args, {"label -> any": {}, "any -> any": {}})


def graphs(path: Path, args: argparse.Namespace) -> dict[str, Graph]:
    """Return the graphs to measure."""
    return {
        "all through": all_through(path, args),
        "all correct": make(path, args, {"label -> any": {}, "any -> any": {"gate": "correct"}}),
        "dead auxiliaries": make(path, args, {"label -> any": {}, "n1 -> n2": {}}),
    }


def batch_of(dataset: Dataset, size: int, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Return one batch on the device."""
    pixels = torch.from_numpy(dataset.train.read(np.arange(size))).permute(0, 3, 1, 2) / 255
    pixels = pixels.contiguous(memory_format=torch.channels_last)
    return pixels.to(device), torch.from_numpy(dataset.train.labels[:size]).to(device)


def graph_step(graph: Graph, dataset: Dataset, device: str) -> Callable[[], object]:
    """Return a function that trains a graph on one batch."""
    training = Training(graph, dataset, device=device)
    pixels, labels = batch_of(dataset, graph.data.batch_size, device)
    for learner in training.learners.values():
        learner.begin_epoch(0)
    batch = TrainingBatch(dict.fromkeys(training.graph.nodes, pixels), {}, labels)
    return lambda: training.step(batch, Clock(step=50, total=101))


def bare(
    graph: Graph, dataset: Dataset, device: str, memory_format: torch.memory_format
) -> Callable[[], object]:
    """Return a function that takes one step of the same networks with nothing around them."""
    networks = [
        n.to(memory_format=memory_format)
        for n in Training(graph, dataset, device=device).networks.values()
    ]
    optimizers = [
        OPTIMIZERS["sgd"]([{"params": list(n.parameters())}], 0.1, graph.train) for n in networks
    ]
    precision = choose_precision(graph, torch.device(device))
    pixels, labels = batch_of(dataset, graph.data.batch_size, device)
    pixels = pixels.contiguous(memory_format=memory_format)
    calls = [
        torch.compile(network.train()) if graph.train.compile else network.train()
        for network in networks
    ]

    def step() -> None:
        with torch.autocast(device, dtype=precision, enabled=precision != torch.float32):
            logits = [call(pixels) for call in calls]
        losses = [torch.nn.functional.cross_entropy(each, labels) for each in logits]
        torch.stack(losses).sum().backward()
        for optimizer in optimizers:
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    return step


if __name__ == "__main__":
    main()
