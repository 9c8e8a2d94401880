"""Who is told how the look at a folder goes."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from ktg.data import Dataset
from ktg.data.open import open_data
from ktg.graph import Data


@dataclass
class Hearing:
    """Functions that are told how it goes: what is being done, and images that are decoded.

    decoding_s: how long images were decoded, in seconds, which no budget counts.
    """

    status: Callable[[str], None]
    decoding: Callable[[int, int], None]
    decoding_s: float = 0.0

    def open_data(self, data: Data) -> Dataset:
        """Return the images, decoded into the cache where they are not there."""
        with self.while_decoding():
            return open_data(data, progress=self.decoding)

    @contextmanager
    def while_decoding(self) -> Iterator[None]:
        """Count the seconds of a block, in which images are decoded."""
        started = time.monotonic()
        yield
        self.decoding_s += time.monotonic() - started
