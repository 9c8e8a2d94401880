"""Draws augmented views of images once and keeps them, so that all see the same: nodes, trainings.

A teacher and its student should be shown the same views (Beyer et al., "Knowledge Distillation: A
Good Teacher is Patient and Consistent", CVPR 2022). Where these are drawn once, what the teacher
answers need not be computed again.
"""

import functools
import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from ktg.data.augment import AUGMENTS
from ktg.data.cache_entries import make_entry
from ktg.data.cache_kinds import VIEWS
from ktg.data.decode import Pixels
from ktg.data.images import Images, MappedPixels
from ktg.errors import DataError
from ktg.graph.vocabulary import ViewName

FORMAT = 1  # of the entries: raise it when the same words begin to mean other pixels
DRAWN_AT_ONCE = 256
PIXELS = "pixels.npy"  # the file of an entry


def open_view(images: Images, augment: ViewName, seed: int, number: int) -> Images:
    """Return one augmented view of all images, as images: drawn now, unless it is kept.

    The pixels are those of the augmentation, rounded to 8 bits, and the same on every device. A
    view depends on images, augmentation, seed and number, not on how many others there are.
    `images` must have digests. Raises DataError where there is no room or no right to write.
    """
    text = f"{FORMAT} {torch.__version__} {augment} {seed} {number}"
    key = hashlib.sha256(f"{text} {images.fingerprint}".encode()).hexdigest()[:32]
    entry = VIEWS.place(key)
    try:
        held = make_entry(entry, functools.partial(_draw, images, augment, text), read=_map)
    except OSError as error:
        remedy = "make room there, set KTG_CACHE to another folder, or leave out data.views"
        raise DataError(
            f"data.views: views cannot be kept in {entry.parent} ({error}); {remedy}"
        ) from error
    assert images.digests is not None  # noqa: S101 - said above
    hashes = [hashlib.sha256(text.encode() + each.tobytes()).digest() for each in images.digests]
    digests = np.frombuffer(b"".join(hashes), np.uint8).reshape(-1, 32)
    form = replace(images.geometry, side=_map(entry).shape[1])  # some cut a piece out
    store = MappedPixels(entry / PIXELS, form, held)
    return Images(store, np.arange(len(images)), images.labels, digests, images.weights)


def _map(entry: Path) -> Pixels:
    mapped: Pixels = np.load(entry / PIXELS, mmap_mode="r", allow_pickle=False)
    return mapped


def _draw(images: Images, augment: ViewName, text: str, folder: Path) -> None:
    # Written, not memory-mapped: through a map a full disk would be a SIGBUS, not an OSError.
    with (folder / PIXELS).open("wb") as file:
        for start in range(0, len(images), DRAWN_AT_ONCE):
            rows = np.arange(start, min(start + DRAWN_AT_ONCE, len(images)))
            seed = hashlib.sha256(f"{text} {start}".encode()).digest()
            generator = torch.Generator().manual_seed(int.from_bytes(seed[:8], "big") >> 1)
            pixels = torch.from_numpy(images.read(rows)).permute(0, 3, 1, 2).contiguous()
            view = AUGMENTS[augment](pixels, generator).mul(255).round().clamp(0, 255)
            planes = view.to(torch.uint8).permute(0, 2, 3, 1).contiguous().numpy()
            if start == 0:
                shape = (len(images), *planes.shape[1:])
                header = {"descr": "|u1", "fortran_order": False, "shape": shape}
                np.lib.format.write_array_header_1_0(file, header)
            file.write(planes.tobytes())
