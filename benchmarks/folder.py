"""Compares `ktg search FOLDER` with what a careful user tries, in the same time, on real sets.

For each set `ktg search FOLDER --budget B --target mobilenetv2_035` searches once, with a zoo of
published weights, and its best graph is trained again with every seed. Against it stand the probe
(logistic regression on frozen features) of the target's weights and of the best weights, and a
plain fine-tuning with timm and AdamW that takes the same time. All see the same images, at 96
pixels, and are judged on the same test images. With `--size 0` the search is told neither size nor
target, and its rivals get, for nothing, the size and the weights that it came to.

    python benchmarks/folder.py SHARED                      # all that is missing; hours
    python benchmarks/folder.py SHARED --sets wbc4 --arms probe timm
    python benchmarks/folder.py SHARED --size 0             # `ktg search FOLDER --budget 6m`
    python benchmarks/folder.py SHARED --table              # what is in the file, as a table

One line is appended for each training, so the script may be interrupted and goes on where it was.
SHARED holds data/ and weights/.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import rivals
import torch
from lines import Line, read_lines
from options import make_parser
from rivals import TARGET, WEIGHTS, RealSet

from ktg.data.open import open_data, open_test
from ktg.graph import Graph, dump, parse
from ktg.graph.canonical import with_seed
from ktg.graph.yaml_files import load_graph
from ktg.local import cache_folder
from ktg.training import Training
from ktg.zoo import Zoo

SETS = {
    "cats_dogs": RealSet("cats_dogs"),
    "flowers": RealSet("flowers"),
    "rsscn7": RealSet("rsscn7"),
    "wbc4": RealSet("wbc4", metric="balanced_accuracy"),
    "magtile": RealSet("magtile", metric="balanced_accuracy"),
    "cifar10_small": RealSet("cifar10_small/cifar10_small.npz"),
}
SIZE = 96
OURS, RIVALS = "search", ("probe", "best probe", "timm")
PLACE = "PLACE"  # stands for the folder of a run in a stored graph
SECONDS = {"s": 1, "m": 60, "h": 3600}


def main() -> None:
    """Measure what is missing, or show the table."""
    args = read_arguments(__doc__, SETS, (OURS, *RIVALS), "folder.jsonl", "6m")
    if args.table:
        print("\n".join(rivals.compare(read_budget(args), SETS, OURS, RIVALS)))
        return
    torch.set_num_threads(args.threads)
    for name in args.sets:
        for arm in args.arms:
            search = partial(search_folder, args) if arm == OURS else None
            measure = partial(measure_rival, args, arm)
            measure_arm(args, name, SETS[name], find_missing(args, name, arm), search, measure)


def read_arguments(
    about: str | None, sets: Any, arms: tuple[str, ...], file: str, budget: str
) -> argparse.Namespace:
    """Return the options that folder.py and proof.py share."""
    parser = make_parser(about, file, seeds=5, table=True)
    parser.add_argument("--budget", default=budget, help="of the search and of fine-tuning")
    parser.add_argument("--sets", nargs="+", default=list(sets), choices=sets)
    parser.add_argument("--arms", nargs="+", default=list(arms), choices=arms)
    parser.add_argument("--size", type=int, default=SIZE)
    cores = os.cpu_count() or 1
    about_threads = "of one training; with fewer than cores a rival has as many core-seconds"
    parser.add_argument("--threads", type=int, default=cores, help=about_threads)
    args = parser.parse_args()
    args.seconds = float(args.budget[:-1]) * SECONDS[args.budget[-1]] * cores / args.threads
    return args


def read_budget(args: argparse.Namespace) -> list[Line]:
    """Return the lines of this budget and size; the probe at a given size has no budget."""
    return [
        line
        for line in read_measured(args.output)
        if line["size"] == args.size and line["budget"] in (None, args.budget)
    ]


def read_measured(file: Path) -> list[Line]:
    """Return all lines; the probes of what searches came to, which had no budget, with theirs."""
    lines = read_lines(file)
    for line in lines:
        if not line["size"] and line["budget"] is None:
            line["budget"] = "6m"
    return lines


def find_missing(
    args: argparse.Namespace, name: str, arm: str
) -> tuple[Line, list[Line], list[int]]:
    """Return what all lines of an arm on a set have in common, these lines, and missing seeds.

    The probe draws nothing, so it has one seed; and no budget, unless the search of this budget
    chooses how it sees images.
    """
    drawn = "probe" not in arm
    budget = args.budget if drawn or not args.size else None
    keys = {"set": name, "arm": arm, "size": args.size, "budget": budget}
    lines = [
        line
        for line in read_measured(args.output)
        if all(line[key] == value for key, value in keys.items())
    ]
    done = {line["seed"] for line in lines}
    return keys, lines, [seed for seed in range(args.seeds if drawn else 1) if seed not in done]


def find_given(args: argparse.Namespace, name: str) -> tuple[int, rivals.Pretrained]:
    """Return the side at which rivals see a set, and their weights.

    Without a size these are what the search came to, for it had to choose and they need not.
    """
    if args.size:
        return args.size, WEIGHTS[TARGET]
    for line in find_missing(args, name, OURS)[1]:
        if line["seed"] is None:
            data, node = line["graph"]["data"], line["graph"]["nodes"]["n0"]
            return node.get("input_size", data["size"]), WEIGHTS[node["source"].split("/")[1]]
    raise SystemExit(f"{name}: with --size 0 the arm {OURS!r} comes first")


def measure_arm(
    args: argparse.Namespace,
    name: str,
    what: RealSet,
    found: tuple[Line, list[Line], list[int]],
    search: Callable[[Path], Line] | None,
    measure: Callable[[rivals.Task, rivals.Pretrained, int], Line],
) -> None:
    """Append the missing lines of an arm on a set.

    found: see `find_missing`. search: returns the best graph of a folder, for an arm that searches;
    measure: returns the figures of one training, for one that does not.
    """
    keys, lines, missing = found
    if not missing:
        return
    with tempfile.TemporaryDirectory() as temporary:
        place = rivals.make_folder(args.shared, what, Path(temporary).resolve())
        if search is not None:
            os.environ["KTG_ZOO"] = str(make_zoo(args.shared))
            if not any(line["seed"] is None for line in lines):
                lines.append({**keys, "seed": None, **search(place)})
                rivals.record(args.output, lines[-1])
        for seed in missing:
            started = time.perf_counter()
            if search is not None:
                figures = train_graph(take_graph(lines, place), seed)
            else:
                size, weights = find_given(args, name)
                figures = measure(rivals.open_task(place, size), weights, seed)
            took = {"seconds": round(time.perf_counter() - started, 1), "threads": args.threads}
            rivals.record(args.output, {**keys, "seed": seed, **figures, **took})


def take_graph(lines: list[Line], place: Path) -> Graph:
    """Return the graph of a search's line, for the images in a folder; its seed is null.

    The table of groups went with the search's folder. It said which images to choose by, and these
    are trained on now.
    """
    (stored,) = (line["graph"] for line in lines if line["seed"] is None)
    graph = parse(json.loads(json.dumps(stored).replace(PLACE, str(place))))
    return replace(graph, data=replace(graph.data, groups=None))


def measure_rival(
    args: argparse.Namespace, arm: str, task: rivals.Task, of: rivals.Pretrained, seed: int
) -> Line:
    """Return the figures of one training without ktg."""
    more: Line = {}
    if arm == "probe":
        predicted = rivals.probe(task, args.shared, of)[0]
    elif arm == "best probe":
        predicted, more["weights"] = rivals.probe_best(task, args.shared)
    else:
        network, more["epochs"] = rivals.fine_tune(task, args.shared, of, seed, args.seconds)
        predicted = rivals.predict(network, task.test)
    return rivals.score(task.truth, predicted) | more


def train_graph(graph: Graph, seed: int) -> Line:
    """Train a graph on all but the test split and return its figures there."""
    dataset, test = open_data(graph.data), open_test(graph.data)
    training = Training(with_seed(graph, seed), dataset, final=True, device="cpu")
    for _ in training:
        pass
    return rivals.score(test.labels, training.predict(test).argmax(1).numpy())


def search_folder(args: argparse.Namespace, place: Path) -> Line:
    """Run `ktg search FOLDER`; return its best graph and what the delivered model does."""
    options = ["--budget", args.budget, "--out", "out"]
    if args.size:
        options += ["--target", WEIGHTS[TARGET].model, "--size", str(args.size)]
    started = time.perf_counter()
    run_ktg("search", rivals.LABELLED, *options, place=place)
    seconds = round(time.perf_counter() - started, 1)
    model = str(place / "out" / "model.safetensors")
    said = json.loads(run_ktg("evaluate", model, rivals.LABELLED, "--json", place=place))
    delivered = {name: said[name] for name in ("accuracy", "balanced_accuracy", "macro_f1")}
    graph = json.dumps(dump(load_graph(place / "out" / "best.yaml"))).replace(str(place), PLACE)
    return {"seconds": seconds, "delivered": delivered, "graph": json.loads(graph)}


def make_zoo(shared: Path) -> Path:
    """Return a zoo of the published weights, made once, in ktg's cache."""
    zoo = cache_folder() / "benchmark_zoo"
    there = {card.name for card in Zoo(zoo).list_cards()}
    for name, of in WEIGHTS.items():
        if name not in there:
            words = [str(shared / "weights" / of.file), "--model", of.model, "--zoo", str(zoo)]
            for argument, value in of.args.items():
                words += ["--model-arg", f"{argument}={value}"]
            run_ktg("zoo", "add", name, *words, "--mean", "0.5", "--std", "0.5", place=Path())
    return zoo


def run_ktg(*words: str, place: Path) -> str:
    """Run a command of ktg in a folder and return what it printed; its progress is shown."""
    command = [sys.executable, "-c", "from ktg.cli import main; main()", *words]
    done = subprocess.run(command, cwd=place, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


if __name__ == "__main__":
    main()
