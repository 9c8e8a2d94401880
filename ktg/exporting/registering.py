"""A trained network into MLflow's model registry: loaded from there, it says what `ktg.load` of its file says."""

import base64
import io
import re
from pathlib import Path

import numpy as np
from PIL import Image

from ktg.exporting import pyfunc
from ktg.exporting.metadata import About, Input
from ktg.local import cache_folder
from ktg.tracking.models import TrainedModel, register_model
from ktg.tracking.serving import COLUMN


def register(file: Path, about: About, name: str, uri: str) -> str:
    """Store a model file as a new version of the model `name`, and return its address `models:/NAME/VERSION`.

    It is linked to the trial and the search that its graph comes from, where the store has them.
    Raises UserError.
    """
    origin = about.graph.provenance
    measured = about.accuracy
    model = TrainedModel(
        file=file,
        loader=pyfunc.__name__,
        example=example_image(about.input),
        description=_description(about),
        runs=[str(origin[run]) for run in ("trial_run", "search_run") if run in origin],
        tags=_tags(about),
        metrics={} if measured is None else {f"model.{measured.split}_accuracy": measured.mean},
    )
    return register_model(model, name, uri)


def waiting_file(name: str) -> Path:
    """Return where a network lies between its training and its registration."""
    folder = cache_folder() / "unregistered"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{re.sub(r'[^A-Za-z0-9_.-]', '_', name)}.safetensors"


def example_image(given: Input) -> str:
    """Return a picture that the model takes, a grey ramp, as a PNG in base64; of the data nothing leaves."""
    ramp = np.tile(np.linspace(0, 255, given.side).astype(np.uint8), (given.side, 1))
    file = io.BytesIO()
    Image.fromarray(ramp).save(file, "png")
    return base64.b64encode(file.getvalue()).decode()


def _description(about: About) -> str:
    accuracy = (
        "not measured"
        if about.accuracy is None
        else f"{about.accuracy.text()} ({about.accuracy.split} split)"
    )
    data, training, origin = about.graph.data, about.training, about.graph.provenance
    found = (
        f"\n\nFound by the search *{origin['experiment']}*: {origin['trial']}."
        if "trial" in origin
        else ""
    )
    return (
        f"**{about.models}**, {len(about.classes)} classes; accuracy {accuracy}. Trained by ktg {training.ktg} on "
        f"{training.images:,} images of {data.name or Path(data.path or '').name} ({training.splits}).{found}\n\n"
        f"`predict` of `mlflow.pyfunc.load_model` takes a data frame with the column `{COLUMN}`: files of images, in "
        "base64. The model file itself, for `ktg.load`, is the one that ends in .safetensors."
    )


def _tags(about: About) -> dict[str, str]:
    tags = {
        "model": about.models,
        "data.fingerprint": about.training.fingerprint,
        "ktg": about.training.ktg,
    }
    origin = about.graph.provenance
    return tags | {key: str(origin[key]) for key in ("experiment", "trial") if key in origin}
