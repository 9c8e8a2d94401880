"""Measures a trained model on labelled images."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from ktg.api.inputs import check_device
from ktg.api.listener import QUIET, Listener
from ktg.api.predict import load
from ktg.errors import UserError

if TYPE_CHECKING:
    from ktg.exporting.classifier import Classifier
    from ktg.exporting.evaluate import Evaluated as Evaluated


def evaluate(
    model: "Classifier | str | Path",
    folder: str | Path,
    *,
    split: str | None = None,
    batch_size: int = 64,
    device: str | None = None,
    listener: Listener = QUIET,
) -> "Evaluated":
    """Return how well a model knows labelled images: metrics, confusions and what is wrong.

    folder: one folder per class, or an .npz; classes are those of the model, by name, or some of
    them. split: train, val or test where there are such; default: test. Images that cannot be read
    are left out, and named in the result. The listener is warned of the images of the training.
    """
    if batch_size < 1:
        raise UserError(f"--batch-size: {batch_size} is not allowed; allowed: 1 or more")
    check_device(device)
    # Pillow warns about odd files; one that cannot be decoded is named in the result anyway.
    warnings.filterwarnings("ignore", module=r"PIL\b")
    from ktg.exporting.classifier import Classifier
    from ktg.exporting.evaluate import evaluate
    from ktg.exporting.labelled_images import find_labelled

    classifier = model if isinstance(model, Classifier) else load(model, device)
    images = find_labelled(folder, classifier.classes, split)
    trained_on = classifier.about.graph.data.path
    if trained_on is not None and Path(images.place).resolve() == Path(trained_on).resolve():
        listener.warn(
            f"{images.place} is what the model was trained on: most of these images it has seen, "
            "so that it knows new ones less well than these figures say"
        )
    return evaluate(
        classifier,
        images,
        batch_size,
        lambda done, total: listener.count("labelling", done, total),
    )
