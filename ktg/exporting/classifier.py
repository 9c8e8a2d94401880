"""Classifies images with a trained model.

>>> model = ktg.load("model.safetensors")  # doctest: +SKIP
>>> [answer.label for answer in model.predict(["cat.jpg", "dog.jpg"])]  # doctest: +SKIP
['cat', 'dog']
"""

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ktg.data.decode import Geometry, Pixels
from ktg.data.threads import map_in_order
from ktg.errors import DataError
from ktg.exporting.metadata import ModelMetadata
from ktg.exporting.pixels import Picture, PictureError, to_pixels

Logits = npt.NDArray[np.float32]
_NOT_FINITE = "the network's answer is not finite; its weights may be damaged"


@dataclass(frozen=True)
class Prediction:
    """The answer for one image: `probabilities` (classes,) float32 in the order of `classes`."""

    classes: tuple[str, ...]
    probabilities: npt.NDArray[np.float32]

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
class Classifier:
    """A trained network with all that it takes to use it; `ktg.load` returns one.

    `about` is the description in its file; `run` maps pixels (B, side, side, C) uint8 to logits
    (B, classes).
    """

    about: ModelMetadata
    run: Callable[[Pixels], Logits]

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes, in the order of the probabilities."""
        return self.about.classes

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
        wanted = self.about.input
        given = Geometry(wanted.side, wanted.channels, wanted.bits)
        every = iter(pictures)
        while batch := list(itertools.islice(every, batch_size)):
            yield from self._answers(list(map_in_order(partial(_attempt, geometry=given), batch)))

    def _answers(self, found: list[Pixels | PictureError]) -> Iterator[Prediction | PictureError]:
        sound = [pixels for pixels in found if not isinstance(pixels, PictureError)]
        probabilities = iter(softmax(self.run(np.stack(sound)))) if sound else iter(())
        for each in found:
            if isinstance(each, PictureError):
                yield each
                continue
            shares = next(probabilities)
            # The largest of nan is the first class, which would look like an answer.
            finite = np.isfinite(shares).all()
            yield Prediction(self.classes, shares) if finite else PictureError(_NOT_FINITE)


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
