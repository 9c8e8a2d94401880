"""Measures how the gain of a teacher grows with images without labels, and with labels.

Five kinds of flowers and seven of aerial pictures: 5, 10 or 25 labelled images a class, and 0, 100,
300 or 1,000 of the others without labels. Then with only some of the classes, where the pool holds
images of these, of the other classes of the set, or of both: a neighbouring domain. Target, teacher
and their trainings are those of teachers_study.py; the seed also draws the labelled images and the
pool, and a larger pool holds the smaller ones. Compared with the target alone, trained for 300
steps, on the same test images.

    python benchmarks/growth.py SHARED               # 2 sets x 5 seeds; hours on one core
    python benchmarks/growth.py SHARED --seeds 2 --no-neighbours
    python benchmarks/growth.py SHARED --table
    python benchmarks/growth.py SHARED --draw docs/pictures/growth.svg

One line is appended for each training, so the script may be interrupted and goes on where it was.
SHARED holds data/ and weights/.
"""

import argparse
import shutil
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import teachers_study as study
import torch
from lines import Line, append_line, read_lines
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from options import make_parser

from ktg.data.open import open_data, open_test
from ktg.graph import Graph
from ktg.intervals import paired_mean_interval
from ktg.training import Training

# Of each set: how many of its classes, in the order of their names, are those of the neighbours
# study; the images of the others are the neighbouring domain.
SETS = {"flowers": 3, "rsscn7": 4}
TITLES = {"flowers": "flowers of five kinds", "rsscn7": "aerial pictures of seven kinds"}
LABELLED, POOLS = (5, 10, 25), (0, 100, 300, 1000)
NEIGHBOURS = {"own": (300, 0), "own and neighbours": (300, 300), "neighbours": (0, 300)}
ALONE, TEACHER = "alone", "teacher"
ALONE_STEPS = 300
TARGET, LARGER = "mobilenetv2_035", "mobilenetv2_100"
SIDE = 64
KEYS = ("set", "classes", "per_class", "seed", "arm")


def main() -> None:
    """Append what is missing, or show what there is."""
    parser = make_parser(__doc__, "growth.jsonl", seeds=5, table=True)
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=SETS)
    parser.add_argument("--no-neighbours", action="store_true")
    parser.add_argument("--draw", type=Path, metavar="SVG")
    args = parser.parse_args()
    if args.draw:
        draw(read_lines(args.output), args.draw)
    elif args.table:
        print("\n".join(tabulate(read_lines(args.output))))
    else:
        torch.set_num_threads(1)
        measure(args)


def measure(args: argparse.Namespace) -> None:
    """Train what is missing, seed by seed."""
    done = {tuple(line[key] for key in KEYS) for line in read_lines(args.output)}
    for seed in range(args.seeds):
        for name, few in SETS.items():
            if name not in args.sets:
                continue
            classes = len(list_classes(args.shared, name))
            cells = [(classes, per_class, pools()) for per_class in LABELLED]
            if not args.no_neighbours:
                cells.append((few, 10, NEIGHBOURS))
            for kept, per_class, arms in cells:
                keys = [(name, kept, per_class, seed, arm) for arm in (ALONE, TEACHER, *arms)]
                if all(key in done for key in keys):
                    continue
                with tempfile.TemporaryDirectory() as folder:
                    lists = make_folder(args.shared, name, kept, per_class, seed, Path(folder))
                    for key in keys:
                        if key not in done:
                            found = train(args, Path(folder), lists, arms.get(key[-1]), key)
                            append_line(args.output, dict(zip(KEYS, key, strict=True)) | found)


def pools() -> dict[str, tuple[int, int]]:
    """Return the arms of the first study: how many images of the own classes, and of others."""
    return {f"{images} unlabelled": (images, 0) for images in POOLS}


def list_classes(shared: Path, name: str) -> list[str]:
    """Return the names of a set's classes."""
    folder = shared / "data" / name
    folder = folder / "train" if (folder / "train").is_dir() else folder
    return sorted(child.name for child in folder.iterdir() if child.is_dir())


def make_folder(
    shared: Path, name: str, kept: int, per_class: int, seed: int, place: Path
) -> tuple[list[Path], list[Path]]:
    """Write photos/train and photos/test of the first `kept` classes.

    Returns the files that are left without labels: of these classes, and of the others, shuffled.
    The test split is the set's own, or a fifth of each class, the same for all seeds.
    """
    source, own, others = shared / "data" / name, [], []
    split = (source / "train").is_dir()
    for number, label in enumerate(list_classes(shared, name)):
        files = sorted((source / "train" / label if split else source / label).iterdir())
        held = sorted((source / "test" / label).iterdir()) if split else files[::5]
        rest = [file for file in files if file not in set(held)]
        order = np.random.default_rng([seed, number]).permutation(len(rest))
        drawn = [rest[row] for row in order]
        if number >= kept:
            others += drawn
            continue
        own += drawn[per_class:]
        for part, images in (("train", drawn[:per_class]), ("test", held)):
            folder = place / "photos" / part / label
            folder.mkdir(parents=True)
            for image in images:
                shutil.copy(image, folder)
    shuffle = np.random.default_rng(seed).permutation
    return [own[row] for row in shuffle(len(own))], [others[row] for row in shuffle(len(others))]


def make_graph(
    args: argparse.Namespace,
    place: Path,
    unlabelled: Sequence[Path],
    taught: bool,
    key: tuple[Any, ...],
) -> Graph:
    """Return the graph of an arm: the target alone, or cut from the labels and taught."""
    _, classes, per_class, seed, _ = key
    batch = min(study.BATCH, classes * per_class)
    data: dict[str, Any] = {
        "path": str(place / "photos"),
        "size": max(SIDE, study.TEACHER_SIZE),
        "batch_size": batch,
    }
    nodes: dict[str, Any] = {"n0": {"model": TARGET, "input_size": SIDE}}
    edges: dict[str, Any] = {"label -> n0": {}}
    if taught:
        nodes["n1"] = {
            "model": LARGER,
            "input_size": study.TEACHER_SIZE,
            "epochs": study.TEACHER_STEPS * batch // (classes * per_class),
        }
        edges = {"label -> n0": {"gate": "cutoff"}, "n1 -> n0": dict(study.KL)}
        data["views"] = 8
    if unlabelled:
        names = place / "unlabelled.txt"
        names.write_text("".join(f"{file}\n" for file in unlabelled), encoding="utf-8")
        share = study.BATCH / (study.BATCH + batch)
        data |= {"unlabelled": [str(names)], "unlabelled_share": share}
    steps = study.TAUGHT_STEPS if taught else ALONE_STEPS
    length = {"seed": seed, "epochs": study.EPOCHS, "steps": steps}
    return study.assemble(args, data, length, nodes, edges)


def train(
    args: argparse.Namespace,
    place: Path,
    lists: tuple[list[Path], list[Path]],
    pool: tuple[int, int] | None,
    key: tuple[Any, ...],
) -> Line:
    """Train one arm; return its figures on the test images.

    pool: how many images without labels of the own classes and of others; None for arms without.
    """
    own, others = pool or (0, 0)
    taught = key[-1] != ALONE
    graph = make_graph(args, place, [*lists[0][:own], *lists[1][:others]], taught, key)
    dataset, test = open_data(graph.data), open_test(graph.data)
    started = time.process_time()
    training = Training(graph, dataset, final=True, device="cpu")
    network: Any = training.target
    if key[-1] == TEACHER:
        network = next(iter(training.teachers.values()))
    else:
        for _ in training:
            pass
    seconds = round(time.process_time() - started, 2)
    return {"cpu_s": seconds, "pool": [own, others]} | study.score(network, test, "test")


def collect(lines: Sequence[Line], key: str) -> dict[tuple[Any, ...], dict[int, float]]:
    """Return by set, classes, labels and arm the scores in percent by seed."""
    found: dict[tuple[Any, ...], dict[int, float]] = defaultdict(dict)
    for line in lines:
        cell = line["set"], line["classes"], line["per_class"], line["arm"]
        found[cell][line["seed"]] = 100 * line[key]
    return found


def subtract_alone(
    cells: dict[tuple[Any, ...], dict[int, float]], cell: tuple[Any, ...]
) -> list[float]:
    """Return by seed what an arm has over the target alone, in points."""
    alone = cells.get((*cell[:3], ALONE), {})
    return [score - alone[seed] for seed, score in cells[cell].items() if seed in alone]


def tabulate(lines: Sequence[Line]) -> list[str]:
    """Return the rows of a table: each arm's mean, and what it has over alone with its interval."""
    cells = collect(lines, "test_balanced_accuracy")
    rows = []
    for cell in sorted(cells, key=str):
        values, differences = list(cells[cell].values()), subtract_alone(cells, cell)
        row = f"{cell[0]:8} {cell[1]} classes, {cell[2]:2} each, {cell[3]:20}"
        row += f" {statistics.fmean(values):5.1f} n={len(values)}"
        if len(differences) > 1 and cell[3] != ALONE:
            low, high = paired_mean_interval(differences)
            row += f"  {statistics.fmean(differences):+.1f} ({low:+.1f} to {high:+.1f})"
        rows.append(row)
    return rows


def draw(lines: Sequence[Line], path: Path) -> None:
    """Draw what the teacher adds to the target alone, over the number of unlabelled images."""
    cells = collect(lines, "test_balanced_accuracy")
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    FigureCanvasSVG(figure)
    panels = figure.subplots(1, len(SETS), sharey=True)
    for axes, name in zip(panels, SETS, strict=True):
        classes = max((cell[1] for cell in cells if cell[0] == name), default=0)
        for per_class in LABELLED:
            points = []
            for place, arm in enumerate(pools()):
                cell = (name, classes, per_class, arm)
                gains = subtract_alone(cells, cell) if cell in cells else []
                if gains:
                    spread = statistics.stdev(gains) if len(gains) > 1 else 0.0
                    points.append((place, statistics.fmean(gains), spread / len(gains) ** 0.5))
            if points:
                places, means, errors = zip(*points, strict=True)
                axes.errorbar(places, means, errors, marker="o", capsize=3, label=f"{per_class}")
        axes.axhline(0, color="#868E96", linewidth=0.8)
        axes.set_xticks(range(len(POOLS)), [f"{images:,}" for images in POOLS])
        axes.set_title(TITLES[name])
        axes.set_xlabel("images without labels")
    panels[0].set_ylabel("points over the target alone")
    panels[-1].legend(title="labels a class", frameon=False, loc="upper left")
    figure.savefig(path, format="svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
