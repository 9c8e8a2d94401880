"""A model file as MLflow's scoring server asks for it.

POST /invocations with {"dataframe_split": {"columns": ["image"], "data": [["<base64 of a file>"],
...]}} answers {"predictions": [{"label": ..., "probability": ..., "probabilities": {class: ...}},
...]}; an image that cannot be read has {"error": ...} in its place. MLflow imports this module by
its name; nothing of MLflow is imported here.
"""

import base64
import binascii
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ktg.exporting.classifier import Classifier, Prediction, load
from ktg.exporting.pixels import PictureError
from ktg.tracking.serving import COLUMN, DEVICE, serve_model


class Scorer:
    """What MLflow calls: `predict` on a data frame with the column `image`."""

    def __init__(self, classifier: Classifier) -> None:
        self.classifier = classifier

    def predict(self, frame: Any) -> list[dict[str, Any]]:
        """Return one answer for each row."""
        contents = [_decoded(str(text)) for text in frame[COLUMN]]
        answers = self.classifier.stream(
            content for content in contents if isinstance(content, bytes)
        )
        return [
            _plain(next(answers) if isinstance(content, bytes) else content) for content in contents
        ]


def _load_pyfunc(path: str) -> Scorer:
    return Scorer(load(path, os.environ.get(DEVICE) or None))


def serve(
    model: str | Path,
    port: int = 5001,
    *,
    device: str | None = None,
    ready: Callable[[str], None] | None = None,
) -> None:
    """Answer requests for a model file on http://127.0.0.1:PORT/invocations until Ctrl-C.

    The server is MLflow's; `ready` hears its address once it answers. Raises WeightsError for a
    file that is no model, UserError when the port is taken.
    """
    load(model, "cpu")  # what is wrong with it is said here, and not in the server's log
    serve_model(Path(model).absolute(), __name__, port, ready, device)


def _decoded(text: str) -> bytes | PictureError:
    """Return the bytes of a file from base64; the head of a data: URL is passed over."""
    try:
        return base64.b64decode(
            text.partition(",")[2] if text.startswith("data:") else text, validate=True
        )
    except binascii.Error:
        return PictureError("is not base64")


def _plain(answer: Prediction | PictureError) -> dict[str, Any]:
    if isinstance(answer, PictureError):
        return {"error": str(answer)}
    probabilities = dict(zip(answer.classes, map(float, answer.probabilities), strict=True))
    return {
        "label": answer.label,
        "probability": answer.probability,
        "probabilities": probabilities,
    }
