"""Feeds batches of images to a device, from a tensor there or read ahead by worker processes."""

from collections.abc import Iterator, Sequence
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler
from torch.utils.data import Dataset as TorchDataset

from ktg.data.images import Images
from ktg.data.undecoded import Rows

_READ_AT_ONCE = 1024
# By split, and weakly: the pixels leave the device when nothing refers to the split any more.
_RESIDENT: WeakKeyDictionary[Images, dict[torch.device, Tensor]] = WeakKeyDictionary()


class Batches:
    """Yields the batches of one pass when called: images (B, C, H, W) uint8 and labels (B,) int64.

    Both are on `device`, as is `labels` (N,), the labels of all images.

    A split of at most `resident_bytes` is kept on the device: a batch is then one gather there,
    without any synchronisation with the host. A larger one is read batch by batch, by `workers`
    processes (0: this one), through pinned memory where the device is a GPU. A resident split stays
    for as long as `images` lives, and all `Batches` of the same `images` share it.
    """

    def __init__(
        self, images: Images, device: torch.device, *, resident_bytes: int = 2**31, workers: int = 0
    ) -> None:
        self._device = device
        self.labels = torch.from_numpy(images.labels).to(device)
        self._resident = _resident(images, device) if images.nbytes <= resident_bytes else None
        self._plan = _Plan()
        self._loader = DataLoader(
            _Reader(images),
            batch_size=None,  # the sampler gives whole batches
            sampler=self._plan,
            num_workers=workers,
            persistent_workers=workers > 0,
            pin_memory=device.type == "cuda" and self._resident is None,
        )

    def __len__(self) -> int:
        return len(self.labels)

    def __call__(self, rows: Tensor | Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield a batch for each row of `rows` (steps, B), or for each tensor (B,) in a sequence.

        The row numbers are moved to the device once, for the whole pass.
        """
        steps = list(rows.unbind() if isinstance(rows, Tensor) else rows)
        if not steps:
            return
        here = self.on_device(steps)
        for chosen, images in zip(here, self._pixels(steps, here), strict=True):
            yield images, self.labels[chosen]

    def on_device(self, steps: Sequence[Tensor]) -> Sequence[Tensor]:
        """Return the row numbers of each step (B,) on the device, moved there all at once."""
        return torch.split(
            torch.cat(list(steps)).to(self._device, non_blocking=True),
            [len(step) for step in steps],
        )

    def _pixels(self, steps: list[Tensor], here: Sequence[Tensor]) -> Iterator[Tensor]:
        if self._resident is not None:
            for chosen in here:
                yield self._resident[chosen]
            return
        self._plan.steps = [step.cpu().numpy() for step in steps]
        for images in self._loader:
            yield images.to(self._device, non_blocking=True)


class _Plan(Sampler[Rows]):
    """The row numbers of the batches of the coming pass.

    They are replaced for each pass, because a new sampler would need a new loader, and that new
    worker processes.
    """

    def __init__(self) -> None:
        self.steps: list[Rows] = []

    def __iter__(self) -> Iterator[Rows]:
        return iter(self.steps)

    def __len__(self) -> int:
        return len(self.steps)


class _Reader(TorchDataset[Tensor]):
    """The images for workers of the loader. An item is a whole batch, so nothing is collated."""

    def __init__(self, images: Images) -> None:
        self._images = images

    def __getitem__(self, rows: Rows) -> Tensor:
        return _planes(self._images, rows)


def _planes(images: Images, rows: Rows) -> Tensor:
    """Return these images as (B, C, H, W), contiguous."""
    return torch.from_numpy(images.read(rows)).permute(0, 3, 1, 2).contiguous()


def _resident(images: Images, device: torch.device) -> Tensor:
    """Return all images on the device; the next trial of a search finds them there."""
    places = _RESIDENT.setdefault(images, {})
    if device not in places:
        places[device] = _on_device(images, device)
    return places[device]


def _on_device(images: Images, device: torch.device) -> Tensor:
    height, width, channels = images.shape
    resident = torch.empty((len(images), channels, height, width), dtype=torch.uint8, device=device)
    # In pieces: reading all at once would hold a second copy in the memory of the host.
    for start in range(0, len(images), _READ_AT_ONCE):
        rows = np.arange(start, min(start + _READ_AT_ONCE, len(images)))
        resident[start : start + len(rows)] = _planes(images, rows)
    return resident
