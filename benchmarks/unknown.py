"""Measures how well a model tells that an image is of none of its classes.

A network learns some classes of a set. Asked then are test images of these classes (known), of the
classes that were left out (`data.only`), and of another set. Compared are three scores of how well
an image is known: the largest probability, the (negative) energy, both of logits divided by the
temperature of the validation split, and the closeness to the nearest class mean of the training
images' features (unit length). Per score: AUROC of known against unknown, and the share of unknown
images that pass where 95 % of the known ones do (FPR at 95 %). Then what `ktg predict --unknown
0.95` does: which share of the known images it answers, how many of these answers are right, and
which share of the unknown ones it declines. One line is appended for each training, so the script
may be interrupted and goes on where it stopped.

    python benchmarks/unknown.py SHARED            # 20 to 60 s on one core for each training
    python benchmarks/unknown.py SHARED --table    # what is in the file, as a table

SHARED holds data/ and weights/.
"""

import argparse
import statistics
import time
from typing import Any

import numpy as np
from lines import append_line, read_lines
from options import make_parser
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import normalize

from ktg.calibration import compute_calibration_error, measure_reliability, score_knowing, soften
from ktg.data import Images
from ktg.data.open import open_data, open_test
from ktg.exporting.held_out import calibrate
from ktg.graph import Graph, parse
from ktg.training import Training
from ktg.version import __version__

MODEL, WEIGHTS = "mobilenetv2_035", "mobilenetv2_035.imagenet.pth"
KNOWN = {
    "flowers": ["daisy", "rose", "sunflower"],
    "rsscn7": ["Field", "Forest", "Industry", "Parking"],
}
OTHER = "cats_dogs"
SCORES = ("probability", "energy", "class means")
WANTED = 0.95


def graph_of(args: argparse.Namespace, name: str, only: list[str] | None, seed: int) -> Graph:
    """Return the graph of one training: the default recipe for pretrained weights."""
    data: dict[str, Any] = {"path": str(args.shared / "data" / name), "size": args.size}
    data |= {"only": only} if only else {}
    weights = {"path": str(args.shared / "weights" / WEIGHTS), "mean": [0.5], "std": [0.5]}
    node = {"model": MODEL, "source": "imagenet", "model_args": {"pad_type": "same"}}
    return parse(
        {
            "data": {**data, "split_seed": seed, "batch_size": 32},
            "train": {"epochs": args.epochs, "seed": seed},
            "weights": {MODEL: weights},
            "nodes": {"n0": node},
            "edges": {"label -> n0": {}},
        }
    )


def find_left_out(args: argparse.Namespace, name: str) -> list[str]:
    """Return the classes of a set that the network does not learn."""
    root = args.shared / "data" / name
    root = root / "train" if (root / "train").is_dir() else root
    return sorted({path.name for path in root.iterdir() if path.is_dir()} - set(KNOWN[name]))


def measure(args: argparse.Namespace, name: str, seed: int) -> dict[str, Any]:
    """Train one network and return what its scores are worth."""
    started = time.perf_counter()
    graph = graph_of(args, name, KNOWN[name], seed)
    dataset, test = open_data(graph.data), open_test(graph.data)
    training = Training(graph, dataset, device="cpu")
    for _ in training:
        pass
    logits = training.logits(dataset.val).numpy()
    found = calibrate(logits, dataset.val.labels, same=True)
    means = _class_means(training, dataset.train)

    def score(images: Images) -> dict[str, np.ndarray]:
        own = training.logits(images).numpy() / found.temperature
        near = (normalize(training.features(images).flatten(1).numpy()) @ means.T).max(axis=1)
        by = {one: score_knowing(one, own) for one in ("probability", "energy")}
        return {**by, "class means": near, "logits": own}

    known = score(test)
    unknown = {
        "left out": score(open_test(graph_of(args, name, find_left_out(args, name), seed).data)),
        "other set": score(open_test(graph_of(args, OTHER, None, seed).data)),
    }
    right = known["logits"].argmax(axis=1) == test.labels
    return {
        "set": name,
        "seed": seed,
        "accuracy": float(right.mean()),
        "temperature": found.temperature,
        "error_test": {
            which: compute_calibration_error(measure_reliability(soften(each), test.labels))
            for which, each in (
                ("before", known["logits"] * found.temperature),
                ("after", known["logits"]),
            )
        },
        "images": {"known": len(test), **{what: len(s["energy"]) for what, s in unknown.items()}},
        "scores": {
            what: {one: _compare(known[one], each[one]) for one in SCORES}
            for what, each in unknown.items()
        },
        "declining": {
            one.by: _decline(one.choose_threshold(WANTED), one.by, known, unknown, right)
            for one in found.rejections
        },
        "seconds": time.perf_counter() - started,
        "ktg": __version__,
        "settings": list_settings(args),
    }


def list_settings(args: argparse.Namespace) -> dict[str, Any]:
    """Return what all lines must have in common that are counted together."""
    return {"size": args.size, "epochs": args.epochs, "model": MODEL}


def _class_means(training: Training, images: Images) -> np.ndarray:
    """Return the mean feature of each class (C, D), of unit length."""
    features = normalize(training.features(images).flatten(1).numpy())
    labels = images.labels
    return normalize([features[labels == label].mean(axis=0) for label in np.unique(labels)])


def _compare(known: np.ndarray, unknown: np.ndarray) -> dict[str, float]:
    labels = np.r_[np.ones(len(known)), np.zeros(len(unknown))]
    auroc = roc_auc_score(labels, np.r_[known, unknown])
    return {"auroc": float(auroc), "fpr95": float((unknown >= np.quantile(known, 0.05)).mean())}


def _decline(
    chosen: tuple[float, int, int] | None,
    by: str,
    known: dict[str, np.ndarray],
    unknown: dict[str, dict[str, np.ndarray]],
    right: np.ndarray,
) -> dict[str, float] | None:
    if chosen is None:
        return None
    answered = known[by] >= chosen[0]
    declined = {what: float((each[by] < chosen[0]).mean()) for what, each in unknown.items()}
    return {
        "answered": float(answered.mean()),
        "right": float(right[answered].mean()) if answered.any() else float("nan"),
        **{f"declined, {what}": share for what, share in declined.items()},
    }


def print_table(rows: list[dict[str, Any]]) -> None:
    """Print means over the seeds as Markdown."""

    def mean(values: list[float]) -> str:
        return f"{100 * statistics.fmean(values):.1f}"

    print("| set | unknown | " + " | ".join(f"{one}: AUROC / FPR95" for one in SCORES) + " |")
    print("|---|---|" + "---|" * len(SCORES))
    for name in KNOWN:
        own = [row for row in rows if row["set"] == name]
        for what in ("left out", "other set") if own else ():
            cells = [
                " / ".join(
                    mean([row["scores"][what][one][figure] for row in own])
                    for figure in ("auroc", "fpr95")
                )
                for one in SCORES
            ]
            print(f"| {name} ({len(own)} seeds) | {what} | " + " | ".join(cells) + " |")
    print(
        f"\n--unknown {WANTED}, by | set | known answered | right | declined: left out, other set"
    )
    for name in KNOWN:
        for by in ("probability", "energy"):
            own = [row["declining"][by] for row in rows if row["set"] == name]
            own = [one for one in own if one is not None]
            if own:
                cells = [mean([one[key] for one in own]) for key in own[0]]
                print(f"{by} | {name} ({len(own)} seeds) | " + " | ".join(cells))
    for name in KNOWN:
        own = [row for row in rows if row["set"] == name]
        if own:
            errors = [
                mean([row["error_test"][which] for row in own]) for which in ("before", "after")
            ]
            accuracy = mean([row["accuracy"] for row in own])
            told = f"calibration error {errors[0]} -> {errors[1]} %"
            print(f"{name}: accuracy {accuracy} %, {told} on test images")


def main() -> None:
    """Measure what is not in the file yet, or print what is."""
    parser = make_parser(__doc__, "unknown.jsonl", seeds=3, table=True)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--epochs", type=int, default=10)
    args = parser.parse_args()
    rows = [row for row in read_lines(args.output) if row["settings"] == list_settings(args)]
    done = {(row["set"], row["seed"]) for row in rows}
    for seed in () if args.table else range(args.seeds):
        for name in KNOWN:
            if (name, seed) not in done:
                row = measure(args, name, seed)
                append_line(args.output, row)
                rows.append(row)
    print_table(rows)


if __name__ == "__main__":
    main()
