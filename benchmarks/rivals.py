"""Defines what a careful user would try without ktg, on real images, and compares by seed.

Nothing here trains with ktg: networks are timm's, heads scikit-learn's, the loop is forty lines of
torch. Only the images come through ktg, so that all see the same pixels and the same splits. Used
by folder.py and proof.py.
"""

import shutil
import statistics
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import timm
import torch
from lines import Line, append_line
from PIL import Image
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score
from sklearn.model_selection import GridSearchCV
from torch import Tensor, nn
from torch.nn import functional
from torchvision.transforms import v2

from ktg.data.images import Images, join
from ktg.data.open import open_data, open_test
from ktg.graph import Data

Labels = npt.NDArray[np.int64]
LABELLED, UNLABELLED = "photos", "photos/unlabelled"


@dataclass(frozen=True)
class RealSet:
    """A set of images: where it lies below `data/`, and what is taken of it.

    metric: what it is judged by. per_class: labelled images of each class, None for all.
    unlabelled: whether the training images beyond those are given without labels.
    """

    path: str
    metric: str = "accuracy"
    per_class: int | None = None
    unlabelled: bool = False


@dataclass(frozen=True)
class Pretrained:
    """Published weights: the architecture, its arguments, and the file below `weights/`."""

    model: str
    file: str
    args: Mapping[str, Any]


SAME = {"pad_type": "same"}  # as Keras and TensorFlow pad images
# All expect mean = std = 0.5. None has seen images of the sets.
WEIGHTS = {
    "imagenet_035": Pretrained("mobilenetv2_035", "mobilenetv2_035.imagenet.pth", SAME),
    "imagenet_100": Pretrained("mobilenetv2_100", "mobilenetv2_100.imagenet.pth", SAME),
    "birds": Pretrained("mobilenetv2_100", "mobilenetv2_100.inat_bird.pth", SAME),
    "insects": Pretrained("mobilenetv2_100", "mobilenetv2_100.inat_insect.pth", SAME),
    "lite0": Pretrained("tf_efficientnet_lite0", "tf_efficientnet_lite0.imagenet.pth", {}),
}
TARGET = "imagenet_035"
COSTS = (1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0)


@dataclass(frozen=True)
class Task:
    """Labelled images to train on, images without labels, and those to be tested on.

    Images are (N, 3, H, W), uint8.
    """

    train: Tensor
    labels: Labels
    unlabelled: Tensor
    test: Tensor
    truth: Labels

    @property
    def classes(self) -> int:
        """Number of classes."""
        return int(self.labels.max()) + 1


def open_task(folder: Path, size: int) -> Task:
    """Return the images of a folder that `make_folder` made: what ktg trains its last graph on."""
    spec = Data(path=str(folder / LABELLED), size=size)
    if (folder / UNLABELLED).is_dir():
        spec = replace(spec, unlabelled=(str(folder / UNLABELLED),))
    dataset, test = open_data(spec), open_test(spec)
    labelled = join(dataset.train, dataset.val)
    more = torch.empty(0, 3, size, size, dtype=torch.uint8)
    if dataset.unlabelled is not None:
        more = read_pixels(dataset.unlabelled)
    return Task(read_pixels(labelled), labelled.labels, more, read_pixels(test), test.labels)


def make_folder(shared: Path, what: RealSet, place: Path) -> Path:
    """Write a set as a user has it: photos/train/CLASS, photos/test/CLASS, photos/unlabelled.

    A fifth of the images of each class is the test split where the set has none. Which images
    these are, and which have labels, is drawn once, by name and not by content.
    """
    found = list_images(shared / "data" / what.path)
    for number, (split, label) in enumerate(sorted({(split, label) for split, label, _ in found})):
        images = [image for other, of, image in found if (other, of) == (split, label)]
        order = np.random.default_rng(number).permutation(len(images))
        held = len(images) // 5 if split == "all" else len(images) * (split == "test")
        kept = held + (what.per_class or len(images))
        for rank, row in enumerate(order):
            part = f"{LABELLED}/{'test' if rank < held else 'train'}/{label}"
            if rank >= kept and not what.unlabelled:
                continue
            target = place / (part if rank < kept else UNLABELLED)
            target.mkdir(parents=True, exist_ok=True)
            write_image(images[row], target / f"{label}_{row:05}")
    return place


def list_images(source: Path) -> list[tuple[str, str, Any]]:
    """Return (split, class, file or pixels) of a folder or an .npz; `all` without splits."""
    if source.is_dir():
        splits = [source / name for name in ("train", "test")]
        splits = splits if splits[0].is_dir() else [source]
        return [
            (split.name if len(splits) > 1 else "all", file.parent.name, file)
            for split in splits
            for file in sorted(split.glob("*/*"))
        ]
    arrays = np.load(source, allow_pickle=False)
    return [
        (split, str(arrays["classes"][label]), image)
        for split in ("train", "test")
        for image, label in zip(arrays[f"x_{split}"], arrays[f"y_{split}"], strict=True)
    ]


def write_image(image: Any, stem: Path) -> None:
    """Copy a file, or write pixels as PNG."""
    if isinstance(image, Path):
        shutil.copyfile(image, stem.with_suffix(image.suffix))
    else:
        Image.fromarray(np.squeeze(image)).save(stem.with_suffix(".png"))


def read_pixels(images: Images) -> Tensor:
    """Return all pixels, three channels also of grey images."""
    pixels = torch.from_numpy(images.read(np.arange(len(images)))).permute(0, 3, 1, 2)
    return pixels.expand(-1, 3, -1, -1).contiguous()


def normalise(pixels: Tensor) -> Tensor:
    """Return pixels as all networks of WEIGHTS expect them."""
    return pixels.float() / 127.5 - 1


def make_network(shared: Path, of: Pretrained, classes: int) -> nn.Module:
    """Return a timm network with published weights and a new head; no head for 0 classes."""
    network: nn.Module = timm.create_model(of.model, num_classes=classes, **of.args)
    state = torch.load(shared / "weights" / of.file, weights_only=True)
    body = {name: value for name, value in state.items() if not name.startswith("classifier.")}
    missing, unexpected = network.load_state_dict(body, strict=False)
    if unexpected or any(not name.startswith("classifier.") for name in missing):
        raise SystemExit(f"{of.file} does not fit {of.model}: {missing} {unexpected}")
    return network


def probe(task: Task, shared: Path, of: Pretrained) -> tuple[Labels, float]:
    """Return the predictions of logistic regression on frozen features, and its CV accuracy.

    C is chosen by cross-validation with five folds.
    """
    network = make_network(shared, of, 0).eval()
    seen, unseen = compute_features(network, task.train), compute_features(network, task.test)
    folds = min(5, int(np.bincount(task.labels).min()))
    search = GridSearchCV(LogisticRegression(max_iter=2000), {"C": COSTS}, cv=folds)
    search.fit(seen, task.labels)
    return search.predict(unseen), float(search.best_score_)


@torch.no_grad()
def compute_features(network: nn.Module, pixels: Tensor) -> npt.NDArray[np.float32]:
    """Return what a network without a head makes of images, as rows."""
    parts = [network(normalise(part)).flatten(1) for part in pixels.split(128)]
    return torch.cat(parts).numpy()


def probe_best(task: Task, shared: Path) -> tuple[Labels, str]:
    """Return the predictions of the probe with the best cross-validated accuracy, and its name."""
    found = {name: probe(task, shared, of) for name, of in WEIGHTS.items()}
    best = max(found, key=lambda name: found[name][1])
    return found[best][0], best


def fine_tune(
    task: Task, shared: Path, of: Pretrained, seed: int, seconds: float, head_share: float = 0.0
) -> tuple[nn.Module, int]:
    """Return a network fine-tuned on the labels for so many seconds, and the epochs; see `fit`."""
    torch.manual_seed(seed)
    network, labels = make_network(shared, of, task.classes), torch.from_numpy(task.labels)

    def loss_of(rows: Tensor, images: Tensor) -> Tensor:
        return functional.cross_entropy(network(images), labels[rows])

    return network, fit(network, task.train, loss_of, seconds, head_share)


def distil(
    task: Task, shared: Path, of: Pretrained, seed: int, seconds: float
) -> tuple[nn.Module, int]:
    """Return a network taught by a fine-tuned larger one on all images, and the epochs.

    A third of the time is the teacher's, whose weights are those of the best probe. The student
    sees its softened probabilities (temperature 2) on labelled and unlabelled images, no labels.
    """
    best = probe_best(task, shared)[1]
    teacher = fine_tune(task, shared, WEIGHTS[best], seed, seconds / 3)[0].eval()
    network = make_network(shared, of, task.classes)

    def loss_of(_: Tensor, images: Tensor) -> Tensor:
        with torch.no_grad():
            wanted = functional.softmax(teacher(images) / 2, dim=1)
        said = functional.log_softmax(network(images) / 2, dim=1)
        return 4 * functional.kl_div(said, wanted, reduction="batchmean")

    return network, fit(network, torch.cat([task.train, task.unlabelled]), loss_of, 2 * seconds / 3)


def fit(
    network: nn.Module,
    pixels: Tensor,
    loss_of: Callable[[Tensor, Tensor], Tensor],
    seconds: float,
    head_share: float = 0.0,
) -> int:
    """Train a network as in a tutorial and return the epochs that fitted into the time.

    AdamW, weight decay 0.05, peak rate 0.0005 (0.001 for the head), one epoch of warm-up and a
    cosine; batches of 32, random crops and flips. In a first share of the time only the head
    learns. The first epochs tell how many there will be, and so does the first after the head's,
    which takes longer.
    """
    started, epochs, epoch, frozen = time.perf_counter(), 2, 0, head_share > 0
    body = [value for name, value in network.named_parameters() if "classifier" not in name]
    head = [value for name, value in network.named_parameters() if "classifier" in name]
    groups = [{"params": body, "peak": 5e-4}, {"params": head, "peak": 1e-3}]
    optimizer = torch.optim.AdamW(groups, lr=5e-4, weight_decay=0.05)
    crop = v2.RandomResizedCrop(pixels.shape[-1], scale=(0.5, 1), antialias=True)
    augment = v2.Compose([crop, v2.RandomHorizontalFlip()])
    while epoch < epochs and time.perf_counter() - started < seconds:
        begun, was_frozen = time.perf_counter(), frozen
        frozen = frozen and epoch < head_share * epochs
        network.train(not frozen).requires_grad_(not frozen)
        for value in head:
            value.requires_grad_(True)
        batches = [part for part in torch.randperm(len(pixels)).split(32) if len(part) > 1]
        for number, rows in enumerate(batches):
            place = epoch + number / len(batches)
            scale = min(1.0, place + 1 / len(batches)) * (1 + np.cos(np.pi * place / epochs)) / 2
            for group in optimizer.param_groups:
                group["lr"] = group["peak"] * scale
            images = torch.stack([augment(pixels[row]) for row in rows])
            loss = loss_of(rows, normalise(images))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        epoch += 1
        ended = time.perf_counter()
        if epoch == 1 or frozen:
            epochs = max(2, int(0.97 * seconds * epoch / (ended - started)))
        elif was_frozen:
            epochs = epoch + int((0.97 * seconds - (ended - started)) / (ended - begun))
    return epoch


@torch.no_grad()
def predict(network: nn.Module, pixels: Tensor) -> Labels:
    """Return the class that a network says for each image."""
    network.eval()
    parts = [network(normalise(part)).argmax(1) for part in pixels.split(128)]
    return torch.cat(parts).numpy()


def score(truth: Labels, predicted: Labels) -> dict[str, float]:
    """Return accuracy, balanced accuracy and macro F1."""
    return {
        "accuracy": float(accuracy_score(truth, predicted)),
        "balanced_accuracy": float(balanced_accuracy_score(truth, predicted)),
        "macro_f1": float(f1_score(truth, predicted, average="macro")),
    }


def record(file: Path, line: Line) -> None:
    """Append a measurement and print what it is."""
    append_line(file, line)
    shown = f"{line['accuracy']:.3f}" if "accuracy" in line else "searched"
    print(line["set"], line["arm"], line["seed"], shown, flush=True)


def compare(
    lines: Iterable[Line], sets: Mapping[str, RealSet], ours: str, rivals: Sequence[str]
) -> list[str]:
    """Return a table in Markdown: each set's means, and ours minus each rival with its interval.

    Differences are paired by seed; 95 %, Student's t. An arm without seeds has one value for all.
    """
    values: dict[tuple[str, str], dict[int, float]] = {}
    for line in lines:
        metric = sets[line["set"]].metric if line["set"] in sets else ""
        if metric in line:
            values.setdefault((line["set"], line["arm"]), {})[line["seed"]] = line[metric]
    head = ["set", ours, *(f"{arm} | {ours} minus it" for arm in rivals)]
    rows = [f"| {' | '.join(head)} |", "|" + "---|" * (2 + 2 * len(rivals))]
    gains: dict[str, list[float]] = {arm: [] for arm in rivals}
    for name, what in sets.items():
        mine = values.get((name, ours), {})
        cells = [name + (", balanced" if "balanced" in what.metric else ""), show_values(mine)]
        for arm in rivals:
            theirs = values.get((name, arm), {})
            gain = pair(mine, theirs)
            cells += [show_values(theirs), show_gain(gain)]
            if gain:
                gains[arm].append(statistics.fmean(gain))
        rows.append(f"| {' | '.join(cells)} |")
    cells = ["mean", "", *(cell for arm in rivals for cell in ("", show_gain(gains[arm])))]
    return [*rows, f"| {' | '.join(cells)} |"]


def pair(mine: Mapping[int, float], theirs: Mapping[int, float]) -> list[float]:
    """Return the differences of the same seeds; a single value of theirs is for every seed."""
    if len(theirs) == 1:
        theirs = dict.fromkeys(mine, next(iter(theirs.values())))
    return [value - theirs[seed] for seed, value in mine.items() if seed in theirs]


def show_values(values: Mapping[int, float]) -> str:
    """Return mean and spread in percent: {0: 0.5, 1: 0.7} is 60.0 +- 14.1."""
    if not values:
        return "-"
    spread = f" +- {100 * statistics.stdev(values.values()):.1f}" if len(values) > 1 else ""
    return f"{100 * statistics.fmean(values.values()):.1f}{spread}"


def show_gain(gain: Sequence[float]) -> str:
    """Return the mean difference in points with its 95 % interval."""
    if not gain:
        return "-"
    mean = statistics.fmean(gain)
    if len(gain) == 1:
        return f"{100 * mean:+.1f}"
    half = stats.t.ppf(0.975, len(gain) - 1) * stats.sem(gain)
    return f"{100 * mean:+.1f} ({100 * (mean - half):+.1f} to {100 * (mean + half):+.1f})"
