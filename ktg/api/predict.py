"""Labels images with a trained model: loads it, asks it, and serves it over HTTP."""

import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ktg.api.inputs import check_device
from ktg.errors import UserError

if TYPE_CHECKING:
    from ktg.calibration import ScoreName
    from ktg.exporting.classifier import Classifier, Prediction
    from ktg.exporting.classifier import Limit as Limit
    from ktg.exporting.pixels import Picture, PictureError

    Answer = tuple[str, Prediction | PictureError]


def load(model: str | Path, device: str | None = None) -> "Classifier":
    """Return a trained model, a .safetensors or .onnx file of ktg.

    It has `.predict(images)`, `.stream(images)`, `.classes` and `.about`.
    """
    from ktg.exporting.load_model import load_model

    return load_model(model, device)


def predict(
    model: "Classifier | str | Path",
    images: "Picture | Iterable[Picture]",
    *,
    batch_size: int = 64,
    unknown: float | None = None,
    unknown_by: "ScoreName" = "probability",
    device: str | None = None,
) -> "list[Prediction]":
    """Return what a model says of images.

    images: paths, folders, patterns, bytes, arrays (H, W[, 3]) uint8, or Pillow images. Raises
    DataError at the first that cannot be read; `ktg.load(model).stream(images)` goes on instead.
    unknown, unknown_by: decline (`.known` is False) where less than this share of the answers would
    be right; see `Classifier.with_unknown`.
    """
    from ktg.exporting.classifier import Classifier
    from ktg.exporting.image_files import expand_paths

    classifier = model if isinstance(model, Classifier) else load(model, device)
    classifier = classifier if unknown is None else classifier.with_unknown(unknown, unknown_by)
    return classifier.predict(expand_paths(images), batch_size)


@dataclass(frozen=True)
class Labelling:
    """Images that are being labelled: the classes, how many images, and (file, answer) by turns.

    An answer is an error where the file is no readable image. limit: where the model declines.
    """

    classes: tuple[str, ...]
    total: int
    answers: "Iterator[Answer]"
    limit: "Limit | None" = None


def label_files(
    model: str | Path,
    places: Iterable[str],
    *,
    batch_size: int = 64,
    unknown: float | None = None,
    by: "ScoreName" = "probability",
    device: str | None = None,
) -> Labelling:
    """Return the labels of all image files that `places` name, computed as they are read.

    places: files, folders, patterns. unknown, by: see `Classifier.with_unknown`. Raises UserError
    where they name no image at all.
    """
    check_device(device)
    # Pillow warns about odd files; one that cannot be decoded has its line in the output anyway.
    warnings.filterwarnings("ignore", module=r"PIL\b")
    from ktg.exporting.image_files import find_images

    classifier = load(model, device)
    if unknown is not None:
        classifier = classifier.with_unknown(unknown, by)
    found = list(find_images(places))
    if not found:
        raise UserError("no images are named: standard input was empty")

    def answers() -> "Iterator[Answer]":
        readable = (name for name, fault in found if fault is None)
        rest = classifier.stream(readable, batch_size)
        for name, fault in found:
            yield name, fault if fault is not None else next(rest)

    return Labelling(classifier.classes, len(found), answers(), classifier.limit)


def serve(
    model: str | Path,
    port: int = 5001,
    *,
    device: str | None = None,
    unknown: float | None = None,
    unknown_by: "ScoreName" = "probability",
    ready: Callable[[str], None] | None = None,
) -> None:
    """Answer requests for labels over HTTP, for this machine only, until Ctrl-C.

    The server is MLflow's. unknown, unknown_by: see `Classifier.with_unknown`; answers then say
    whether the image is unknown. ready: called with its address once it answers.
    """
    check_device(device)
    from ktg.exporting.pyfunc import serve as run

    run(model, port, device=device, unknown=unknown, by=unknown_by, ready=ready)
