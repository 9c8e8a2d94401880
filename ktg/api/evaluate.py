"""Measures a trained model on labelled images."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from ktg.api.inputs import check_device
from ktg.api.listener import QUIET, Listener
from ktg.api.predict import load
from ktg.errors import UserError, join_names
from ktg.wording import count

if TYPE_CHECKING:
    from ktg.exporting.classifier import Classifier
    from ktg.exporting.evaluate import Evaluated as Evaluated
    from ktg.exporting.labelled_images import LabelledFiles


def evaluate(
    model: "Classifier | str | Path",
    folder: str | Path,
    *,
    split: str | None = None,
    labels: str | None = None,
    batch_size: int = 64,
    device: str | None = None,
    listener: Listener = QUIET,
) -> "Evaluated":
    """Return how well a model knows labelled images: metrics, confusions and what is wrong.

    folder: one folder per class, or an .npz; classes are those of the model, by name, or some of
    them. split: train, val or test where there are such; default: test. labels: a table of labels
    in the folder or beside it, as `data.labels` names one; default: for what the model was trained
    on its own. Of the data of the model the classes that its `data.only` left out are left out
    here, too, and the listener is told. Images that cannot be read are left out, and named in the
    result. The listener is warned of images that the model has learned from or was chosen by.
    """
    if batch_size < 1:
        raise UserError(f"--batch-size: {batch_size} is not allowed; allowed: 1 or more")
    check_device(device)
    # Pillow warns about odd files; one that cannot be decoded is named in the result anyway.
    warnings.filterwarnings("ignore", module=r"PIL\b")
    from ktg.exporting.classifier import Classifier
    from ktg.exporting.evaluate import evaluate

    classifier = model if isinstance(model, Classifier) else load(model, device)
    images = find_images(classifier, Path(folder), split, labels, listener)
    return evaluate(
        classifier,
        images,
        batch_size,
        lambda done, total: listener.count("labelling", done, total),
    )


def find_images(
    classifier: "Classifier",
    folder: Path,
    split: str | None,
    labels: str | None,
    listener: Listener,
) -> "LabelledFiles":
    """Return the labelled images in a folder or an .npz; say what makes their figures odd."""
    from ktg.exporting.labelled_images import find_labelled

    data = classifier.about.graph.data
    trained = None if data.path is None else Path(data.path)
    own = trained is not None and folder.resolve() == trained.resolve()
    inside = trained is not None and folder.resolve().is_relative_to(trained.resolve())
    images = find_labelled(
        folder,
        classifier.classes,
        split,
        labels=data.labels if labels is None and own else labels,
        leave_out=inside and data.only is not None,
    )
    if images.left_out:
        counted = join_names(
            [f"{name} ({count(number, 'image')})" for name, number in images.left_out]
        )
        listener.warn(f"{images.place}: left out, as data.only of the model does: {counted}")
    # By another table images of the training may be in its test split.
    relabelled = own and labels not in (None, data.labels)
    if trained is not None and (images.is_part_of(trained) or relabelled):
        listener.warn(
            f"{images.place} is what the model was trained on, or chosen by: most of these images "
            "it has seen, so that it knows new ones less well than these figures say"
        )
    return images
