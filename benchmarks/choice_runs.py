"""Trains one arrangement of each kind and keeps which images each training gets right.

What a choice by few validation images is worth depends on how often two arrangements differ on an
image, and on how much a new seed changes; neither can be read off accuracies. Five sets with ten
labelled images a class and all others without labels; one split of each, and two seeds of most
trainings. benchmarks/choice.py draws small validation splits from what is written here.

    python benchmarks/choice_runs.py SHARED              # an hour on one busy core

One line is appended for each training, so the script may be interrupted and goes on where it
stopped. SHARED holds data/ and weights/, as for teachers_study.py, whose arms these are, but for
mutual learning (the target and the teacher's network, both taught by the labels and each other).
"""

import argparse
import dataclasses
import itertools
import time
from typing import Any

import numpy as np
import teachers_study
import torch
from lines import append_line, read_lines
from options import make_parser

from ktg.data import Images
from ktg.data.open import open_data, open_test
from ktg.graph import LABEL, Edge, Graph
from ktg.graph.canonical import with_seed
from ktg.training import Training
from ktg.training.scoring import Split, compute_logits

LABELLED_ONLY = "kl, T 2, labelled images only"
ALONE, TAUGHT, MUTUAL = "alone, 100 steps", "kl, T 2", "mutual"
STEPS = {ALONE: 100, TAUGHT: 150, LABELLED_ONLY: 150, MUTUAL: 100}
# In the order in which they are trained, each on all sets; a probe has no seed.
FIRST = ("probe", ALONE, MUTUAL, TAUGHT)
PLAN = [*((arm, 0) for arm in FIRST), (ALONE, 1), (LABELLED_ONLY, 0), (TAUGHT, 1), (MUTUAL, 1)]
KEYS = ("set", "split", "seed", "arm")
SETTINGS = {
    "model": "mobilenetv2_035",
    "teacher": "mobilenetv2_100",
    "size": 64,
    "per_class": 10,
    "source": "imagenet",
    "teacher_size": teachers_study.TEACHER_SIZE,
    "teacher_steps": teachers_study.TEACHER_STEPS,
    "views": teachers_study.VIEWS,
}


def make_graph(args: argparse.Namespace, name: str, split: int, seed: int, arm: str) -> Graph:
    """Return the graph of an arm on a split of a set."""
    like = LABELLED_ONLY if arm == MUTUAL else arm
    graph = with_seed(teachers_study.make_graph(args, name, split, like), seed)
    if arm == "probe":
        return graph
    if arm == MUTUAL:
        nodes = {name: dataclasses.replace(node, epochs=None) for name, node in graph.nodes.items()}
        label = Edge(loss="ce")
        edges = {(LABEL, "n0"): label, (LABEL, "n1"): label}
        edges |= {pair: Edge(loss="kl", temperature=2.0) for pair in (("n1", "n0"), ("n0", "n1"))}
        graph = dataclasses.replace(graph, nodes=nodes, edges=edges)
    return dataclasses.replace(graph, train=dataclasses.replace(graph.train, steps=STEPS[arm]))


def measure_arm(graph: Graph, test: Images) -> dict[str, Any]:
    """Train a graph and return which images of the validation and the test split it gets right."""
    dataset, started = open_data(graph.data), time.process_time()
    training = Training(graph, dataset, final=True, device="cpu")
    for _ in training:
        pass
    found: dict[str, Any] = {"cpu_s": round(time.process_time() - started, 2)}
    for name, images in (("val", dataset.val), ("test", test)):
        split = Split(images, torch.device("cpu"), 64)
        guesses = compute_logits(training.target, split, torch.float32).argmax(1).numpy()
        right = guesses == np.asarray(images.labels)
        found[f"{name}_right"] = np.packbits(right).tobytes().hex()
        found[name] = len(right)
        found[f"{name}_accuracy"] = round(float(right.mean()), 4)
    return found


def main() -> None:
    """Append what is missing."""
    parser = make_parser(__doc__, "choice_runs.jsonl")
    sets = list(teachers_study.SETS)
    parser.add_argument("--sets", nargs="+", default=sets, choices=sets)
    parser.add_argument("--arms", nargs="+", default=["probe", *STEPS], choices=["probe", *STEPS])
    parser.add_argument("--splits", type=int, default=1)
    parser.set_defaults(**SETTINGS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    done = {tuple(line[key] for key in KEYS) for line in read_lines(args.output)}
    for split, (arm, seed), name in itertools.product(range(args.splits), PLAN, args.sets):
        key = (name, split, seed, arm)
        if arm in args.arms and key not in done:
            graph = make_graph(args, name, split, seed, arm)
            figures = measure_arm(graph, open_test(graph.data))
            append_line(args.output, dict(zip(KEYS, key, strict=True)) | figures)


if __name__ == "__main__":
    main()
