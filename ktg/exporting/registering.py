"""Registers a trained network in MLflow's model registry.

Loaded from there, it predicts what `ktg.load` of its file predicts.
"""

import base64
import io
import re
from pathlib import Path

import numpy as np
from PIL import Image

from ktg.exporting import pyfunc
from ktg.exporting.metadata import POOLED, ModelInput, ModelMetadata
from ktg.exporting.model_card import quote_text
from ktg.local import cache_folder
from ktg.tracking.models import TrainedModel, register_model
from ktg.tracking.serving import COLUMN


def register_network(file: Path, metadata: ModelMetadata, name: str, uri: str) -> str:
    """Store a model file as a new version of the model `name`; return `models:/NAME/VERSION`.

    It is linked to the trial and the search that its graph comes from, where the store has them.
    Raises UserError.
    """
    origin = metadata.graph.provenance
    measured = metadata.accuracy
    model = TrainedModel(
        file=file,
        loader=pyfunc.__name__,
        example=make_example_image(metadata.input),
        description=_description(metadata),
        runs=[str(origin[run]) for run in ("trial_run", "search_run") if run in origin],
        tags=_tags(metadata),
        metrics={} if measured is None else {f"model.{measured.split}_accuracy": measured.mean},
    )
    return register_model(model, name, uri)


def temporary_file(name: str) -> Path:
    """Return where a network lies between its training and its registration."""
    folder = cache_folder() / "unregistered"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{re.sub(r'[^A-Za-z0-9_.-]', '_', name)}.safetensors"


def make_example_image(given: ModelInput) -> str:
    """Return a picture that the model takes, a PNG in base64: a ramp, so no image leaks out."""
    ramp = np.tile(np.linspace(0, 255, given.side).astype(np.uint8), (given.side, 1))
    file = io.BytesIO()
    Image.fromarray(ramp).save(file, "png")
    return base64.b64encode(file.getvalue()).decode()


def _description(metadata: ModelMetadata) -> str:
    accuracy = (
        "not measured"
        if metadata.accuracy is None
        else f"{metadata.accuracy.format()} ({metadata.accuracy.split} split)"
    )
    data, training, origin = metadata.graph.data, metadata.training, metadata.graph.provenance
    found = (
        f"\n\nFound by the search *{quote_text(str(origin['experiment']))}*: "
        f"{quote_text(str(trials))}."
        if (trials := origin.get("trial", origin.get(POOLED)))
        else ""
    )
    name = data.name or Path(data.path or "").name
    return (
        f"**{quote_text(metadata.models)}**, {len(metadata.classes)} classes; accuracy {accuracy}. "
        f"Trained by ktg {quote_text(training.ktg)} on {training.images:,} images of "
        f"{quote_text(name)} "
        f"({training.splits}).{found}\n\n"
        f"`predict` of `mlflow.pyfunc.load_model` takes a data frame with the column `{COLUMN}`: "
        "files of images, in base64. The model file itself, for `ktg.load`, is the one that ends "
        "in .safetensors."
    )


def _tags(metadata: ModelMetadata) -> dict[str, str]:
    tags = {
        "model": metadata.models,
        "data.fingerprint": metadata.training.fingerprint,
        "ktg": metadata.training.ktg,
    }
    origin = metadata.graph.provenance
    return tags | {key: str(origin[key]) for key in ("experiment", "trial") if key in origin}
