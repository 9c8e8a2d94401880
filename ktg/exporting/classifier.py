"""Classifies images with a trained model.

>>> model = ktg.load("model.safetensors")  # doctest: +SKIP
>>> [answer.label for answer in model.predict(["cat.jpg", "dog.jpg"])]  # doctest: +SKIP
['cat', 'dog']
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ktg.calibration import LogitScore, ScoreName, score_knowing
from ktg.data.decode import Geometry, Pixels
from ktg.data.threads import map_in_order
from ktg.errors import DataError, UserError
from ktg.exporting.metadata import ModelMetadata
from ktg.exporting.pixels import Picture, PictureError, to_pixels

Logits = npt.NDArray[np.float32]
Scores = npt.NDArray[np.float64]
_NOT_FINITE = "the network's answer is not finite; its weights may be damaged"


@dataclass(frozen=True)
class Prediction:
    """The answer for one image: `probabilities` (classes,) float32 in the order of `classes`.

    `known` is False where the model may decline (`Classifier.with_unknown`) and does.
    """

    classes: tuple[str, ...]
    probabilities: npt.NDArray[np.float32]
    known: bool = True

    @property
    def label(self) -> str:
        """The most probable class."""
        return self.classes[int(self.probabilities.argmax())]

    @property
    def probability(self) -> float:
        """The probability of the most probable class, in [0, 1]."""
        return float(self.probabilities.max())

    def top(self, k: int) -> list[tuple[str, float]]:
        """Return the `k` most probable classes, or all if fewer, the most probable first."""
        order = np.argsort(-self.probabilities, kind="stable")[:k]
        return [(self.classes[place], float(self.probabilities[place])) for place in order]


@dataclass(frozen=True)
class Limit:
    """Where a model declines: below `threshold`; of `images` held out, `right` of `answered`."""

    by: ScoreName
    threshold: float
    answered: int
    right: int
    images: int


@dataclass(frozen=True)
class Classifier:
    """A trained network with all that it takes to use it; `ktg.load` returns one.

    `about` is the description in its file; `run` maps pixels (B, side, side, C) uint8 to calibrated
    logits (B, classes): their softmax is what is answered. `limit`: where it declines to answer.
    `look`: maps pixels to these logits and to the closeness (B,) to the classes; None for a form
    that gives no features.
    """

    about: ModelMetadata
    run: Callable[[Pixels], Logits]
    limit: Limit | None = None
    look: Callable[[Pixels], tuple[Logits, Scores]] | None = None

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the probabilities."""
        return self.about.classes

    def with_unknown(self, precision: float, by: ScoreName = "probability") -> "Classifier":
        """Return the model such that it declines to answer where it would be wrong too often.

        precision: the share of its answers, in (0, 1], that was right of the held-out images, which
        all were of its classes; things of no class make it lower. by: what is compared with the
        threshold, the largest probability, the (negative) energy, or how close the features are to
        those of a class. Raises UserError where the share cannot be had.
        """
        if not 0 < precision <= 1:
            raise UserError(f"--unknown: must be above 0 and at most 1, got {precision:g}")
        if by == "closeness" and self.look is None:
            why = "this model gives no features to compare with those of its classes"
            raise UserError(f"--unknown-by: {why}; allowed here: probability, energy")
        measured = self.about.calibration
        found = (
            next((each for each in measured.rejections if each.by == by), None)
            if measured
            else None
        )
        if found is None:
            why = "this model file does not say what thresholds do; write it anew with `ktg export`"
            raise UserError(f"--unknown: {why}")
        chosen = found.choose_threshold(precision)
        if chosen is None:
            rows = zip(found.right, found.answered, strict=True)
            most = max(right / answered for right, answered in rows)
            problem = f"no threshold reaches {precision:g} on {found.answered[0]} held-out images"
            raise UserError(f"--unknown: {problem}; at most {most:.4g} can be had")
        return replace(self, limit=Limit(by, *chosen, found.answered[0]))

    def predict(self, pictures: Sequence[Picture], batch_size: int = 64) -> list[Prediction]:
        """Return the prediction for every image.

        pictures: paths, bytes of files, arrays (H, W[, 3]) uint8 or Pillow images.
        Raises DataError, which names it, at the first image that cannot be read; `stream` goes on
        instead.
        """
        if isinstance(pictures, str | Path | bytes):
            raise DataError("predict takes a list of images; write [image] for one")
        found = []
        for place, answer in enumerate(self.stream(pictures, batch_size)):
            if isinstance(answer, PictureError):
                picture = pictures[place]
                raise DataError(
                    f"{picture if isinstance(picture, str | Path) else f'image {place}'}: {answer}"
                )
            found.append(answer)
        return found

    def stream(
        self, pictures: Iterable[Picture], batch_size: int = 64
    ) -> Iterator[Prediction | PictureError]:
        """Yield one answer for each image, in order: a prediction, or why there is none.

        Images are decoded on all cores as they are needed; at most a few batches are in memory.
        """
        given = self.about.input.geometry
        every = iter(pictures)
        while batch := list(itertools.islice(every, batch_size)):
            yield from self._answers(list(map_in_order(partial(_attempt, geometry=given), batch)))

    def _answers(self, found: list[Pixels | PictureError]) -> Iterator[Prediction | PictureError]:
        sound = [pixels for pixels in found if not isinstance(pixels, PictureError)]
        answers: Iterator[tuple[Any, Any]] = iter(())
        if sound:
            logits, known = self._ask(np.stack(sound))
            answers = zip(softmax(logits), known, strict=True)
        for each in found:
            if isinstance(each, PictureError):
                yield each
                continue
            shares, known = next(answers)
            # The largest of nan is the first class, which would look like an answer.
            finite = np.isfinite(shares).all()
            answer = Prediction(self.classes, shares, bool(known))
            yield answer if finite else PictureError(_NOT_FINITE)

    def _ask(self, pixels: Pixels) -> tuple[Logits, npt.NDArray[np.bool_]]:
        """Return logits (B, classes), and whether each image is known well enough (B,)."""
        if self.limit is None:
            logits = self.run(pixels)
            return logits, np.ones(len(logits), dtype=bool)
        if self.limit.by == "closeness" and self.look is not None:
            logits, scores = self.look(pixels)
        else:
            logits = self.run(pixels)
            by: LogitScore = "energy" if self.limit.by == "energy" else "probability"
            with np.errstate(invalid="ignore"):
                scores = score_knowing(by, logits)
        return logits, np.asarray(scores >= self.limit.threshold)


def softmax(logits: Logits) -> npt.NDArray[np.float32]:
    """Return probabilities (B, classes) of logits: [0, ln 3] -> [0.25, 0.75]."""
    # Less the largest logit, so that no power overflows; the quotient is the same.
    with np.errstate(invalid="ignore"):  # an infinite logit has no probability, and gives nan
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True), dtype=np.float32)


def _attempt(picture: Picture, geometry: Geometry) -> Pixels | PictureError:
    try:
        return to_pixels(picture, geometry)
    except PictureError as error:
        return error
