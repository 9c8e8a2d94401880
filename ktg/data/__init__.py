"""Finds labelled images, splits them, decodes them once into a cache, and feeds them to a device.

    open.py        the one door: open_data (train, val), open_test, summarize
    locate.py      which data set is meant: set_names + torchvision_sets, folder, npz
    folder.py      folders of images: walk (links, endings), split_folders; remarks: what is odd
    label_table.py tables of labels: table_rows, label_lines, image_names; unread_tables
    found_data.py  what a data set offers before decoding; class_subset, split: parts of it
    cache.py       decoded pixels in memory-mapped files: decode, image_index, threads
    images.py      one split, read by row; batches.py: its batches on a device
    augment/       random changes on the device; formula/: pictures that are drawn, not found

torch is imported with `Batches` only.
"""

from typing import TYPE_CHECKING, Any

from ktg.data.dataset import Dataset, Summary, check_batch, merge
from ktg.data.images import Images
from ktg.data.open import name_val_images, open_data, open_test, summarize

if TYPE_CHECKING:
    from ktg.data.batches import Batches

__all__ = [
    "Batches",
    "Dataset",
    "Images",
    "Summary",
    "check_batch",
    "merge",
    "name_val_images",
    "open_data",
    "open_test",
    "summarize",
]


def __getattr__(name: str) -> Any:
    """Import `Batches`, and torch with it, when it is first asked for."""
    if name == "Batches":
        from ktg.data.batches import Batches

        return Batches
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
