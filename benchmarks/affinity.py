"""Measures the time and memory of affinity scores at the size of a published experiment.

The features are AlexNet's conv5 (43,264 numbers an image) of as many images as Caltech-101 has. S1
to S5 are compared with the forward pass and with a plain numpy loop, LogME with a form that does a
singular value decomposition for each class. It runs on any machine and uses no GPU; two cores need
minutes for --images 500 and a quarter of an hour for 3000.

    python benchmarks/affinity.py --images 500 -o benchmarks/results/affinity.json
"""

import datetime
import json
import platform
import resource
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from options import make_parser

from ktg.affinity import score
from ktg.affinity.features import extract
from ktg.affinity.sample import Sample
from ktg.data.decode import Geometry
from ktg.data.images import Images
from ktg.graph import Node
from ktg.models.build import build_network

CLASSES = 102
SCORES = ("s1", "s2", "s3", "s4", "s5")


class Noise:
    """Draws images (224, 224, 3) when they are read, so that they take no memory."""

    geometry = Geometry(224, 3)

    def read(self, rows: np.ndarray) -> np.ndarray:
        """Return the pixels of these rows."""
        return np.stack(
            [np.random.default_rng(row).integers(0, 256, (224, 224, 3), np.uint8) for row in rows]
        )


class PeakMemory:
    """Measures in a thread how many bytes this process takes beyond its memory at the start."""

    def __enter__(self) -> "PeakMemory":
        self._start, self.bytes, self._done = read_memory(), 0, threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._done.wait(0.01):
            self.bytes = max(self.bytes, read_memory() - self._start)


def read_memory() -> int:
    """Return the bytes of memory that this process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def measure_time(work: Callable[[], Any]) -> tuple[Any, dict[str, float]]:
    """Return what `work` returns, with its seconds and peak of extra memory."""
    with PeakMemory() as peak:
        start = time.perf_counter()
        result = work()
        seconds = time.perf_counter() - start
    return result, {"seconds": round(seconds, 2), "peak_mib": round(peak.bytes / 2**20)}


def score_plainly(maps: np.ndarray, labels: np.ndarray) -> dict[str, float]:
    """Return S1 to S5 by definition, image by image and pair by pair, with all maps in float64."""
    flat = maps.reshape(len(maps), -1).astype(np.float64)
    classes = [flat[labels == label] for label in np.unique(labels)]
    pairs = np.triu_indices(maps.shape[1], 1)
    with np.errstate(invalid="ignore"):  # a constant channel: 0 / 0
        s3 = sum(
            np.abs(np.nan_to_num(np.corrcoef(image.reshape(len(image), -1))))[pairs].sum()
            for image in maps
        )
    return {
        "s1": flat.var(axis=0).sum(),
        "s2": np.stack([part.mean(axis=0) for part in classes]).var(axis=0).sum(),
        "s3": s3,
        "s4": sum(
            np.linalg.norm(flat[row + 1 :] - flat[row], axis=1).sum()
            for row in range(len(flat) - 1)
        ),
        "s5": sum(part.var(axis=0).sum() for part in classes),
    }


def svd_per_class(features: np.ndarray, labels: np.ndarray) -> float:
    """Return LogME as it was first published, with a decomposition for every class."""
    values = []
    for label in np.unique(labels):
        target = (labels == label).astype(np.float64)
        u, s, _ = np.linalg.svd(features, full_matrices=False)
        x2, squares, alpha, beta = (u.T @ target) ** 2, s**2, 1.0, 1.0
        rest = max(target.sum() - x2.sum(), 0)
        for _ in range(11):
            t = alpha / beta
            m2 = (squares * x2 / (t + squares) ** 2).sum()
            res2 = (x2 * (t / (t + squares)) ** 2).sum() + rest
            gamma = (squares / (squares + t)).sum()
            alpha, beta = gamma / m2, (len(target) - gamma) / res2
            if abs(alpha / beta - t) <= 0.01 * t:
                break
        log_det = np.log(alpha + beta * squares).sum() - len(squares) * np.log(alpha)
        evidence = len(target) * np.log(beta / (2 * np.pi)) - log_det - beta * res2 - alpha * m2
        values.append(evidence / (2 * len(target)))
    return float(np.mean(values))


def run(images: int, threads: int, loop: bool) -> dict[str, Any]:
    """Return all figures as plain data."""
    torch.set_num_threads(threads)
    labels = np.arange(images) % CLASSES
    node, sized = Node(model="torchvision/alexnet"), {"classes": 2, "image_size": 224}
    network = build_network(node, {}, **sized, mean=[0.5], std=[0.25], seed=0)
    split = Images(Noise(), np.arange(images), labels)
    found, forward = measure_time(
        lambda: extract(network, split, torch.arange(images), torch.device("cpu"))
    )
    result: dict[str, Any] = {"forward": forward, "scores": {}, "values": {}}
    for name in SCORES:
        result["values"][name], result["scores"][name] = measure_time(
            lambda name=name: score(name, found.maps, labels)
        )
    _, result["all five, moments shared"] = measure_time(lambda: score_all(found.maps, labels))
    pooled = found.maps.mean(dim=(2, 3))
    result["values"]["logme"], result["logme"] = measure_time(
        lambda: score("logme", pooled, labels)
    )
    ours = result["values"]["logme"]
    theirs, result["logme, SVD for each class"] = measure_time(
        lambda: svd_per_class(pooled.double().numpy(), labels)
    )
    result["logme, relative difference"] = abs(ours / theirs - 1)
    if loop:
        values, result["plain numpy loop, all five"] = measure_time(
            lambda: score_plainly(found.maps.numpy(), labels)
        )
        differences = {name: abs(values[name] / result["values"][name] - 1) for name in SCORES}
        result["largest relative difference"] = max(differences.values())
    return result


def score_all(maps: torch.Tensor, labels: np.ndarray) -> None:
    """Compute the five scores of one sample, as a ranking does."""
    from ktg.affinity import measure

    sample = Sample.of(maps, labels)
    for name in SCORES:
        measure(name, sample)


def main() -> None:
    """Run the benchmark and write its figures with what they depend on."""
    parser = make_parser(__doc__)
    parser.add_argument("--images", type=int, default=3000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--no-loop",
        action="store_true",
        help="Skip the plain numpy loop, which needs all in float64.",
    )
    parser.add_argument("-o", "--output", type=Path, default=Path(__file__).with_suffix(".json"))
    given = parser.parse_args()
    result = {
        "what": "AlexNet conv5, 256 x 13 x 13, fresh weights (seed 0), "
        f"{given.images} images of noise (seed: row)",
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": f"{platform.machine()}, {given.threads} threads, torch {torch.__version__}, "
        f"numpy {np.__version__}",
        **run(given.images, given.threads, not given.no_loop),
    }
    given.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
