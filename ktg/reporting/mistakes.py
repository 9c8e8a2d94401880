"""Finds what the best network gets wrong, by training it again: a search stores no weights."""

import base64
import contextlib
import io
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from ktg.auditing.doubtful_labels import learn_confidently, measure_doubt
from ktg.calibration import (
    compute_calibration_error,
    fit_temperature,
    measure_reliability,
    soften,
    to_logits,
)
from ktg.class_scores import count_confusions, score_classes
from ktg.data import Dataset, name_val_images
from ktg.data.open import open_data
from ktg.errors import KtgError, UserError
from ktg.graph import FORMULAS, Data
from ktg.graph.canonical import with_fold
from ktg.reporting.cost import devices_per_trial
from ktg.searching.stored_search import StoredSearch
from ktg.tracking import attach
from ktg.training import Training

ARTIFACT, VERSION = "mistakes.json", 2
CHEAP_S = 60.0  # a training up to this long is repeated without asking
MOST_WRONG, MOST_PAIRS = 12, 10
MOST_CLASSES = 100  # above, a table of all pairs is too large to read or to keep
_THUMBNAIL = 112  # pixels; larger images are shrunk to it
_LOSSLESS = 48  # images up to this side are stored as PNG

Labels = npt.NDArray[np.int64]
Probabilities = npt.NDArray[np.float32]
EpochCallback = Callable[[int, int], None]


def find_mistakes(
    search: StoredSearch, *, retrain: bool | None, on_epoch: EpochCallback | None = None
) -> dict[str, Any]:
    """Return the confusion matrix (rows: labels) and the most confident mistakes of the best graph.

    Both are of the validation images, and are stored as an artifact of the search. Without it the
    graph is trained again: `retrain` says whether, None: if its training took no more than
    `CHEAP_S`. Where nothing is known, the mapping has only `why`, a sentence.
    on_epoch: called with (epoch, all) while the graph is trained.
    """
    stored = _read_stored(search)
    if stored is not None:
        return stored
    if retrain is False:
        return {"why": "The best graph was not trained again for this page."}
    if retrain is None and search.best.train_s > CHEAP_S:
        return {
            "why": "Its training took long, so it was not repeated for this page; --retrain does."
        }
    try:
        found = _train_again(search, on_epoch)
    except KtgError as error:
        if retrain:
            raise
        return {"why": f"The best graph could not be trained again: {error}"}
    experiment = search.experiment
    # A store that takes nothing costs this training once more next time.
    with contextlib.suppress(UserError):
        attach(experiment.name, experiment.uri, search.run.run, ARTIFACT, json.dumps(found))
    return found


def _read_stored(search: StoredSearch) -> dict[str, Any] | None:
    """Return what an earlier report stored of this very trial, trained in this very way."""
    if ARTIFACT not in search.experiment.artifacts(search.run):
        return None
    try:
        found = json.loads(search.experiment.read_artifact(search.run, ARTIFACT))
    except ValueError:
        return None
    known = isinstance(found, dict) and found.get("version") == VERSION
    if not known or found["trial_run"] != search.best.run.id:
        return None
    # An older ktg kept the best epoch by accuracy, whatever the metric, and did not say so.
    by = found.get("metric", "accuracy")
    same = search.best.graph.train.keep == "last" or by == search.metric
    return found if same else None


def _train_again(search: StoredSearch, on_epoch: EpochCallback | None) -> dict[str, Any]:
    best = search.best
    graph = with_fold(best.graph, search.space.search.folds, best.fold)
    dataset = open_data(graph.data)
    search.check_same_images()
    share, device = devices_per_trial(search)
    on = "cuda" if device == "GPU" and torch.cuda.is_available() else "cpu"
    started = time.perf_counter()
    with _use_threads(max(1, int(share)) if device == "CPU core" else torch.get_num_threads()):
        training = Training(graph, dataset, device=on, metric=search.metric)
        for epoch in training:
            if on_epoch is not None:
                on_epoch(epoch.number, graph.train.epochs)
        probabilities = training.predict(dataset.val).numpy()
    predicted = probabilities.argmax(axis=1)
    places = find_most_wrong(probabilities, dataset.val.labels)
    accuracy = float((predicted == dataset.val.labels).mean())
    return {
        "version": VERSION,
        "trial": best.name,
        "trial_run": best.run.id,
        "metric": search.metric,
        "device": on,
        "train_s": time.perf_counter() - started,
        "val_accuracy": accuracy,
        "recorded_val_accuracy": best.accuracy,
        "images": len(predicted),
        "classes": list(dataset.classes),
        **describe_answers(probabilities, dataset.val.labels, dataset.classes),
        "confused": find_most_confused(dataset.val.labels, predicted, dataset.classes),
        "wrong": _picture(graph.data, dataset, probabilities, places),
        "doubtful": _picture(
            graph.data, dataset, probabilities, find_doubtful(probabilities, dataset.val.labels)
        ),
    }


def _picture(
    spec: Data, dataset: Dataset, probabilities: Probabilities, places: list[int]
) -> list[dict[str, Any]]:
    """Return what is shown of validation images: the likeliest class, and that of the label."""
    names = [None] * len(places) if spec.name in FORMULAS else name_val_images(spec, places)
    return [
        {
            "file": name and name.encode("utf-8", "backslashreplace").decode(),
            "label": dataset.classes[dataset.val.labels[place]],
            "predicted": dataset.classes[probabilities[place].argmax()],
            "confidence": float(probabilities[place].max()),
            "label_confidence": float(probabilities[place, dataset.val.labels[place]]),
            "side": max(pixels.shape[:2]),
            "picture": make_thumbnail(pixels),
        }
        for place, name, pixels in zip(places, names, dataset.val.read(places), strict=True)
    ]


@contextlib.contextmanager
def _use_threads(count: int) -> Iterator[None]:
    """Train on as many threads as the trial had, on which the order of sums depends."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def describe_answers(
    probabilities: Probabilities, labels: Labels, classes: Sequence[str]
) -> dict[str, Any]:
    """Return the confusions, the scores of each class, and how far probabilities can be trusted.

    probabilities: (N, C). There are no `confusion`s above `MOST_CLASSES`. `calibration` is that of
    the network as it is, and with the temperature that these very images ask for.
    """
    predicted = probabilities.argmax(axis=1)
    scores = score_classes(labels, predicted, classes)
    table = count_confusions(labels, predicted, len(classes))
    logits = to_logits(probabilities)
    temperature = fit_temperature(logits, labels)
    bins = {
        name: measure_reliability(soften(logits, each), labels)
        for name, each in (("before", 1.0), ("after", temperature))
    }
    return {
        "confusion": [list(row) for row in table] if len(classes) <= MOST_CLASSES else None,
        "scores": [{"class": name, **vars(each)} for name, each in scores.items()],
        "calibration": {
            "temperature": temperature,
            "errors": {name: compute_calibration_error(each) for name, each in bins.items()},
            "bins": {name: [vars(one) for one in each] for name, each in bins.items()},
        },
    }


def find_most_confused(
    labels: Labels, predicted: Labels, classes: Sequence[str]
) -> list[dict[str, Any]]:
    """Return the most frequent pairs of label and wrong class, with their numbers of images."""
    wrong = Counter((int(a), int(b)) for a, b in zip(labels, predicted, strict=True) if a != b)
    sizes = np.bincount(labels, minlength=len(classes))
    return [
        {"label": classes[a], "predicted": classes[b], "images": count, "of": int(sizes[a])}
        for (a, b), count in sorted(wrong.items(), key=lambda pair: (-pair[1], pair[0]))[
            :MOST_PAIRS
        ]
    ]


def find_most_wrong(
    probabilities: Probabilities, labels: Labels, most: int = MOST_WRONG
) -> list[int]:
    """Return the places of the misclassified images, the most confident mistake first.

    probabilities: (N, C).
    """
    wrong = np.flatnonzero(probabilities.argmax(axis=1) != labels)
    order = np.argsort(-probabilities[wrong].max(axis=1), kind="stable")
    return [int(place) for place in wrong[order[:most]]]


def find_doubtful(
    probabilities: Probabilities, labels: Labels, most: int = MOST_WRONG
) -> list[int]:
    """Return the places of images whose labels are probably wrong, the most doubtful first.

    probabilities: (N, C), of a network that has not seen these images. Confident learning doubts a
    label where another class reaches what images of that class usually have; the most doubtful has
    the least probable label for its likeliest class. A surest mistake need not be among them: a
    class that the network is always sure of, wrongly, has a high bar.
    """
    given = np.asarray(probabilities, np.float64)
    doubted, _ = learn_confidently(given, labels)
    doubt, _ = measure_doubt(given, labels)
    places = np.flatnonzero(doubted)
    order = np.argsort(-doubt[places], kind="stable")
    return [int(place) for place in places[order[:most]]]


def make_thumbnail(pixels: npt.NDArray[np.uint8]) -> str:
    """Return an image (H, W, C) as a data URI, shrunk to a thumbnail."""
    image = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    image.thumbnail((_THUMBNAIL, _THUMBNAIL))
    kind = "png" if max(image.size) <= _LOSSLESS else "jpeg"
    target = io.BytesIO()
    image.save(target, kind, quality=85)
    return f"data:image/{kind};base64,{base64.b64encode(target.getvalue()).decode()}"
