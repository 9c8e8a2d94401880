"""Labelled images: found, split, decoded once into a memory-mapped cache, and fed to a device.

`open_data` gives train and val, `open_test` alone reads test images. torch is imported with
`Batches` only.
"""

from typing import TYPE_CHECKING, Any

from ktg.data.dataset import Dataset, Summary, merge, val_names
from ktg.data.images import Images
from ktg.data.open import open_data, open_test, summary
from ktg.data.source import check_batch

if TYPE_CHECKING:
    from ktg.data.batches import Batches

__all__ = [
    "Batches",
    "Dataset",
    "Images",
    "Summary",
    "check_batch",
    "merge",
    "open_data",
    "open_test",
    "summary",
    "val_names",
]


def __getattr__(name: str) -> Any:
    """Import `Batches`, and torch with it, when it is first asked for."""
    if name == "Batches":
        from ktg.data.batches import Batches

        return Batches
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
