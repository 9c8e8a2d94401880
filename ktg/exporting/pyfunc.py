"""Answers the requests of MLflow's scoring server with a model file.

POST /invocations with {"dataframe_split": {"columns": ["image"], "data": [["<base64 of a file>"],
...]}} answers {"predictions": [{"label": ..., "probability": ..., "probabilities": {class: ...}},
...]}; an image that cannot be read has {"error": ...} in its place.

The name of this module is stored in every registered model, which MLflow loads by it: it must
stay. Nothing of MLflow is imported here.
"""

import base64
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from ktg.calibration import ScoreName
from ktg.exporting.classifier import Classifier, Prediction
from ktg.exporting.load_model import load_model
from ktg.exporting.pixels import PictureError
from ktg.tracking.serving import COLUMN, DEVICE, UNKNOWN, serve_model


class Scorer:
    """The model that MLflow calls: `predict` on a data frame with the column `image`."""

    def __init__(self, classifier: Classifier) -> None:
        self.classifier = classifier

    def predict(self, frame: Any) -> list[dict[str, Any]]:
        """Return one answer for each row."""
        contents = [_decode(str(text)) for text in frame[COLUMN]]
        answers = self.classifier.stream(
            content for content in contents if isinstance(content, bytes)
        )
        return [
            self._to_plain(next(answers) if isinstance(content, bytes) else content)
            for content in contents
        ]

    def _to_plain(self, answer: Prediction | PictureError) -> dict[str, Any]:
        if isinstance(answer, PictureError):
            return {"error": str(answer)}
        probabilities = dict(zip(answer.classes, map(float, answer.probabilities), strict=True))
        return {
            "label": answer.label,
            "probability": answer.probability,
            "probabilities": probabilities,
            **({} if self.classifier.limit is None else {"unknown": not answer.known}),
        }


def _load_pyfunc(path: str) -> Scorer:
    model = load_model(path, os.environ.get(DEVICE) or None)
    share, _, by = (os.environ.get(UNKNOWN) or "").partition(" ")
    return Scorer(model.with_unknown(float(share), cast(ScoreName, by)) if share else model)


def serve(
    model: str | Path,
    port: int = 5001,
    *,
    device: str | None = None,
    unknown: float | None = None,
    by: ScoreName = "probability",
    ready: Callable[[str], None] | None = None,
) -> None:
    """Answer requests for a model file on http://127.0.0.1:PORT/invocations until Ctrl-C.

    The server is MLflow's; `ready` is called with its address once it answers. unknown, by: see
    `Classifier.with_unknown`; answers then say whether the image is unknown. Raises WeightsError
    for a file that is no model, UserError when the port is taken or the share cannot be had.
    """
    # So that errors are raised here, and not lost in the server's log.
    classifier = load_model(model, "cpu")
    if unknown is not None:
        classifier.with_unknown(unknown, by)
    asked = None if unknown is None else f"{unknown} {by}"
    serve_model(Path(model).absolute(), __name__, port, ready, device, asked)


def _decode(text: str) -> bytes | PictureError:
    """Return the bytes of a file from base64, with or without the head of a data: URL."""
    try:
        return base64.b64decode(
            text.partition(",")[2] if text.startswith("data:") else text, validate=True
        )
    except ValueError:  # binascii.Error, or a character beyond ASCII
        return PictureError("is not base64")
