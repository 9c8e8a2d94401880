"""Measures what `ktg data audit` finds: wrong labels, planted copies, and false alarms.

Wrong labels: those that people gave CIFAR-10 (39 % of cifar10n are wrong, two milder sets of labels
beside it), and 5 % of the labels of flowers and aerial pictures permuted, three seeds. AUROC of the
doubt, precision among the first 200, what confident learning takes for wrong, and the noise that it
estimates. Copies: 40 of each kind beside 600 images. Clean sets: what is still taken for wrong.

    python benchmarks/audit.py SHARED    # writes results/audit.json; some minutes on one core

SHARED holds data/ and weights/. Features are computed once for each set.
"""

import io
import json
import os
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from options import make_parser
from PIL import Image
from sklearn.metrics import roc_auc_score

from ktg.auditing.doubtful_labels import doubt_labels
from ktg.auditing.features import compute_features, compute_plain_features
from ktg.auditing.networks import build_viewer
from ktg.auditing.pool import ImagePool, gather
from ktg.auditing.strangers import find_strangers, measure_strangeness
from ktg.auditing.twins import find_twins, number_groups
from ktg.data.decode import Geometry, fit
from ktg.data.images import Images
from ktg.graph import Data, Node, SourceFile
from ktg.version import __version__

SETS = {"cifar10n": "cifar10n/cifar10n.npz", "flowers": "flowers", "rsscn7": "rsscn7"}
SIZE, SEEDS, FIRST = 128, 3, 200
ORIGINALS, COPIES = 600, 40
CPU = torch.device("cpu")


def main() -> None:
    """Measure everything and write the results."""
    args = make_parser(__doc__, "audit.json").parse_args()
    torch.set_num_threads(1)
    file = SourceFile(
        path=str(args.shared / "weights/mobilenetv2_100.imagenet.pth"),
        mean=(0.5,),
        std=(0.5,),
    )
    node = Node(model="mobilenetv2_100", source="imagenet", model_args={"pad_type": "same"})
    labels: list[dict[str, Any]] = []
    twins: list[dict[str, Any]] = []
    for name, path in SETS.items():
        size = None if path.endswith(".npz") else SIZE
        pool = gather(Data(path=str(args.shared / "data" / path), size=size))
        network = build_viewer(node, pool, {"imagenet": file}).network
        assert network is not None
        started = time.process_time()
        features = compute_features(network, pool.images, CPU)
        seconds = time.process_time() - started
        own = np.array([split != "test" for split in pool.splits])
        seen = {
            "mobilenetv2_100": features[own],
            "no network": compute_plain_features(pool.images)[own],
        }
        for seen_by, values in seen.items():
            for kind, given, truth in list_labellings(name, args.shared, pool, own):
                found = {"set": name, "seen_by": seen_by, "labels": kind, "images": len(truth)}
                labels.append(found | measure_labels(values, given, truth))
                print(json.dumps(labels[-1]), flush=True)
        strange = find_strangers(measure_strangeness(features))
        twins.append({"set": name} | measure_twins(pool, network))
        print(json.dumps(twins[-1]), flush=True)
        twins[-1] |= {
            "features_cpu_s": round(seconds, 1),
            "twins_there": len(find_twins(pool.images, features)),
            "strangers_there": int(strange.sum()),
            "images": len(pool),
        }
    where = {"machine": platform.machine(), "cores": os.cpu_count(), "torch": torch.__version__}
    written = {
        "ktg": __version__,
        "date": time.strftime("%Y-%m-%d"),
        **where,
        "config": {"network": node.model, "size": SIZE, "seeds": SEEDS, "first": FIRST},
        "labels": labels,
        "twins": twins,
    }
    args.output.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")


def list_labellings(
    name: str, shared: Path, pool: ImagePool, own: np.ndarray
) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """Return (kind, given labels, true labels) of the images outside the test split."""
    labels = pool.labels[own]
    if name == "cifar10n":
        with np.load(shared / "data" / SETS[name]) as file:
            rows = [
                int(image.split()[1]) for image, each in zip(pool.names, own, strict=True) if each
            ]
            truth = file["y_train_clean"][rows]
            kinds = ("y_train", "y_train_random1", "y_train_aggregate", "y_train_clean")
            return [(kind, file[kind][rows], truth) for kind in kinds]
    found = [("clean", labels, labels)]
    for seed in range(SEEDS):
        random = np.random.default_rng(seed)
        rows = random.permutation(len(labels))[: round(0.05 * len(labels))]
        given = labels.copy()
        given[rows] = random.permutation(labels[rows])
        found.append((f"5 % permuted, seed {seed}", given, labels))
    return found


def measure_labels(features: np.ndarray, given: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    """Return how well wrong labels are found."""
    started = time.process_time()
    found, wrong = doubt_labels(features, given), given != truth
    first = np.argsort(-found.doubt)[:FIRST]
    taken = found.wrong
    figures: dict[str, Any] = {
        "wrong": round(float(wrong.mean()), 4),
        "noise": round(found.noise, 4),
        "taken_for_wrong": int(taken.sum()),
        "cpu_s": round(time.process_time() - started, 1),
    }
    if wrong.any():
        figures |= {
            "auroc": round(float(roc_auc_score(wrong, found.doubt)), 4),
            "precision_first": round(float(wrong[first].mean()), 4),
            "precision": round(float(wrong[taken].mean()), 4),
            "recall": round(float(taken[wrong].mean()), 4),
            "proposed_right": round(float((found.proposed[wrong] == truth[wrong]).mean()), 4),
        }
    return figures


def measure_twins(pool: ImagePool, network: Any) -> dict[str, Any]:
    """Return the recall of each kind of copy, and how many groups hold different images."""
    rows = np.random.default_rng(0).permutation(len(pool))[:ORIGINALS]
    originals = [Image.fromarray(pixels) for pixels in pool.images.read(rows)]
    made, origin, kinds = [], [*range(len(originals))], []
    for kind, (name, copy) in enumerate(KINDS.items()):
        for place in range(kind * COPIES, (kind + 1) * COPIES):
            made.append(copy(originals[place]))
            origin.append(place)
            kinds.append(name)
    side = pool.images.shape[0]
    pixels = np.stack([fit(image.convert("RGB"), Geometry(side, 3)) for image in originals + made])
    images = Images(InMemory(pixels), np.arange(len(pixels)), np.zeros(len(pixels), np.int64))
    figures: dict[str, Any] = {"originals": len(originals), "copies_of_a_kind": COPIES}
    features = compute_features(network, images, CPU)
    for seen_by, values in (("network", features), ("pixels alone", None)):
        twins = find_twins(images, values)
        group = number_groups(twins, len(images))
        found = [
            group[len(originals) + i] == group[origin[len(originals) + i]] for i in range(len(made))
        ]
        mixed = sum(len({origin[row] for row in each.rows}) > 1 for each in twins)
        recall = {
            name: round(
                float(np.mean([f for f, k in zip(found, kinds, strict=True) if k == name])), 3
            )
            for name in KINDS
        }
        figures[seen_by] = {
            "recall": recall,
            "groups": len(twins),
            "groups_of_different_images": mixed,
        }
    return figures


class InMemory:
    """Pixels in memory, as a store that `Images` reads."""

    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels, self.geometry = pixels, Geometry(pixels.shape[1], 3)

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Return these rows."""
        return self.pixels[rows]


def shrink(image: Image.Image) -> Image.Image:
    """Return the image at 60 % of its size."""
    size = [max(4, round(0.6 * side)) for side in image.size]
    return image.resize(size, Image.Resampling.BICUBIC)


def encode(image: Image.Image) -> Image.Image:
    """Return the image after JPEG of quality 50."""
    file = io.BytesIO()
    image.convert("RGB").save(file, "jpeg", quality=50)
    return Image.open(io.BytesIO(file.getvalue()))


def crop(image: Image.Image, left: float = 0.01, right: float = 0.01) -> Image.Image:
    """Return the image without a share of each dimension, at least one pixel on a side."""
    width, height = image.size
    low = [max(1, round(left * side)) for side in image.size]
    high = [max(1, round(right * side)) if right else 0 for side in image.size]
    return image.crop((low[0], low[1], width - high[0], height - high[1]))


KINDS = {
    "exact": Image.Image.copy,
    "resized": shrink,
    "re-encoded": encode,
    "cropped 2 %": crop,
    "cut at a corner 2 %": lambda image: crop(image, 0.02, 0.0),
    "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
}


if __name__ == "__main__":
    main()
