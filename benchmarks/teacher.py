"""Measures what an epoch of distillation costs, over the same images, against one without teacher.

With fixed views (`data.views`) a teacher's answers are computed once and kept, so that an epoch
should cost what the student costs alone: at most 1.1 times that. Whole epochs are timed, validation
included, once every view has been shown; they take turns in one process, round by round.

    # MobileNetV2-0.35 taught by MobileNetV2-1.0, 96 x 96; about 5 minutes on one core.
    python benchmarks/teacher.py
    python benchmarks/teacher.py --device cuda --images 4096 --batch 128
    # The trainings of a search of thirty trials with one teacher; about 5 minutes on one core.
    python benchmarks/teacher.py --trials 30 --size 64 --images 160 --batch 16 --views 8
"""

import argparse
import os
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import measure
import numpy as np
import torch
from options import make_parser

from ktg.data import open_data
from ktg.graph import Graph, parse
from ktg.training import Training

CLASSES = 10
# What is timed, and over which epoch of the student alone with as many images.
RATIOS = [
    ("distillation, fixed views", "alone, new views"),
    ("distillation, fixed views", "alone, fixed views"),
    ("distillation, fixed views, unlabelled", "alone, new views, twice the images"),
    ("distillation, new views", "alone, new views"),
    ("distillation from maps, fixed views", "alone, new views"),
    ("distillation from maps, fixed views", "alone, fixed views"),
    ("distillation from attention, fixed views", "alone, new views"),
]


def main() -> None:
    """Measure and write the result."""
    parser = make_parser(__doc__)
    parser.add_argument("--student", default="mobilenetv2_035")
    parser.add_argument("--teacher", default="mobilenetv2_100")
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--images", type=int, default=320, help="labelled, for training")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--views", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--trials", type=int, help="of a search with this teacher")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.trials:
        measure.write(f"teacher_search_{args.device}", vars(args), time_searches(args))
        return
    with tempfile.TemporaryDirectory() as folder:
        os.environ["KTG_CACHE"] = str(Path(folder) / "cache")
        path = write_images(Path(folder), args)
        trainings = {name: start(graph, args) for name, graph in list_graphs(path, args).items()}
        epochs: dict[str, Callable[[], object]] = {
            name: training.__next__ for name, training in trainings.items()
        }
        clock = measure.clock_of(args.device)
        times = measure.interleaved(epochs, args.rounds, warm_up=args.views + 1, clock=clock)
        answers = Path(folder) / "cache/answers"
        kept = sum(file.stat().st_size for file in answers.rglob("*") if file.is_file())
    result: dict[str, Any] = {
        f"{above} over {below}": measure.ratio(times, above, below) for above, below in RATIOS
    }
    result |= {f"{name}, seconds": measure.spread(values) for name, values in times.items()}
    measure.write(f"teacher_{args.device}", vars(args), result | {"answers, bytes": kept})


def time_searches(args: argparse.Namespace) -> dict[str, Any]:
    """Return the seconds of all trials, without a teacher and with one, and their ratios.

    Each trial has a rate of its own and as many epochs as there are views. The teacher is made by
    the first trial of its search, whose time that is part of.
    """
    seconds, clock = {}, measure.clock_of(args.device)
    for name in ("alone, new views", "distillation, fixed views", "distillation, new views"):
        with tempfile.TemporaryDirectory() as folder:
            os.environ["KTG_CACHE"] = str(Path(folder) / "cache")
            graph = list_graphs(write_images(Path(folder), args), args)[name]
            started = clock()
            for trial in range(args.trials):
                lr = 0.01 * 1.1**trial
                train = replace(graph.train, lr=lr, epochs=args.views)
                for _ in start(replace(graph, train=train), args):
                    pass
            seconds[name] = round(clock() - started, 1)
    alone, fixed, new = seconds.values()
    return {"seconds": seconds, "fixed over alone": fixed / alone, "fixed over new": fixed / new}


def write_images(folder: Path, args: argparse.Namespace) -> Path:
    """Write random images: what an epoch costs does not depend on their content."""
    random = np.random.default_rng(0)
    shape = (args.size, args.size, 3)
    parts: dict[str, Any] = {}
    for split, count in (("train", 2 * args.images), ("val", 10 * CLASSES), ("test", CLASSES)):
        parts[f"x_{split}"] = random.integers(0, 256, (count, *shape), dtype=np.uint8)
        parts[f"y_{split}"] = np.arange(count) % CLASSES
    np.savez(folder / "random.npz", **parts)
    return folder / "random.npz"


def list_graphs(path: Path, args: argparse.Namespace) -> dict[str, Graph]:
    """Return the graphs whose epochs are timed."""
    taught = {"label -> n0": {}, "n1 -> n0": {"temperature": 2.0}}
    by_maps = {"label -> n0": {}, "n1 -> n0": {"loss": "feature", "maps": 1}}
    by_attention = {"label -> n0": {}, "n1 -> n0": {"loss": "attention", "maps": 1}}
    fixed = {"views": args.views}

    def make(edges: dict[str, Any], times: int = 1, **data: Any) -> Graph:
        own = {"epochs": 1, "batch_size": args.batch, "lr": 0.01}
        nodes = {"n0": {"model": args.student}, "n1": {"model": args.teacher, **own}}
        images = {"per_class": times * args.images // CLASSES, "batch_size": times * args.batch}
        return parse(
            {
                "data": {"path": str(path), **images, **data},
                "train": {"epochs": 1000, "lr": 0.01},
                "nodes": nodes,
                "edges": edges,
            }
        )

    alone = {"label -> n0": {}}
    return {
        "alone, new views": make(alone),
        "alone, fixed views": make(alone, **fixed),
        "alone, new views, twice the images": make(alone, 2),
        "distillation, fixed views": make(taught, **fixed),
        "distillation, fixed views, unlabelled": make(taught, unlabelled="auto", **fixed),
        "distillation from maps, fixed views": make(by_maps, **fixed),
        "distillation from attention, fixed views": make(by_attention, **fixed),
        "distillation, new views": make(taught),
    }


def start(graph: Graph, args: argparse.Namespace) -> Training:
    """Return a training of the graph, its teacher made."""
    return Training(graph, open_data(graph.data), device=args.device)


if __name__ == "__main__":
    main()
