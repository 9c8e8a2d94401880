"""Serves the images of a training: as they are, or in views that are drawn once and shown in turn.

A place is an image in one of its views. Where every epoch has new views there is only view 0, the
image as it is, of which the new ones are made.
"""

import itertools
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ktg.data import Batches, Images
from ktg.data.views import open_view
from ktg.graph.vocabulary import ViewName

RESIDENT_BYTES = 2**31


class Places:
    """Where the images of one step are: `views` and `rows`, int64 (B,), on the CPU."""

    def __init__(self, views: Tensor, rows: Tensor) -> None:
        self.views, self.rows = views, rows

    def __len__(self) -> int:
        return len(self.rows)

    def as_they_are(self) -> "Places":
        """Return the places of the same images in view 0."""
        return Places(torch.zeros_like(self.views), self.rows)

    def split(self) -> list[tuple[int, Tensor]]:
        """Return the rows in pieces of one view each, with these, so that together they keep order.

        A view returns where a step goes through all of them: few images, of which it shows many.
        """
        views, counts = torch.unique_consecutive(self.views, return_counts=True)
        return list(zip(views.tolist(), torch.split(self.rows, counts.tolist()), strict=True))


class ShownImages:
    """The training images, or those without labels.

    `views`: how many views there are of each image, None where every epoch draws new ones; they
    depend on `seed`.
    """

    def __init__(
        self,
        images: Images,
        device: torch.device,
        *,
        workers: int = 0,
        views: int | None = None,
        seed: int = 0,
    ) -> None:
        self.source, self.views, self._seed = images, views, seed
        self._device = device
        self._open: dict[tuple[ViewName, int], Batches] = {}
        self.plain = Batches(images, device, workers=workers)

    def __len__(self) -> int:
        return len(self.source)

    def turn(self, number: int) -> int:
        """Return which view is shown in a pass over the images, counted from 0."""
        return number % (self.views or 1)

    def draws_once(self, augment: ViewName) -> bool:
        """Return whether images that are augmented so have fixed views, which are kept."""
        return augment != "none" and self.views is not None

    def images(self, augment: ViewName, view: int) -> Images:
        """Return one fixed view of all images, for images that have such: see `draws_once`."""
        if augment == "none":
            return self.source
        return open_view(self.source, augment, self._seed, view)

    def batches(self, augment: ViewName, view: int) -> Batches:
        """Return the batches of one fixed view."""
        if augment == "none":
            return self.plain
        key = (augment, view)
        if key not in self._open:
            room = RESIDENT_BYTES // (self.views or 1)
            # Without workers: nothing is left to decode, and each view would have its own.
            self._open[key] = Batches(self.images(*key), self._device, resident_bytes=room)
        return self._open[key]

    def pixels(self, augment: ViewName, steps: Sequence[Places]) -> Iterator[Tensor]:
        """Yield the images (B, C, H, W) uint8 of every step, in fixed views."""
        split = [step.split() for step in steps]
        rows = dict[int, list[Tensor]]()
        for view, piece in itertools.chain.from_iterable(split):
            rows.setdefault(view, []).append(piece)
        passes = {view: self.batches(augment, view)(pieces) for view, pieces in rows.items()}
        for pieces in split:
            parts = [next(passes[view])[0] for view, _ in pieces]
            yield parts[0] if len(parts) == 1 else torch.cat(parts)
