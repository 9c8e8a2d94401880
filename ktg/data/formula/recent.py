"""A memory of what was made last, bounded in bytes."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Any

import numpy as np
import numpy.typing as npt


class Recent:
    """Keeps the arrays asked for most recently, at most `limit_bytes` of them. Safe among threads.

    A pickle of it is empty: each process keeps its own.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.limit_bytes = limit_bytes
        self.used_bytes = 0
        self._kept: OrderedDict[Hashable, npt.NDArray[Any]] = OrderedDict()
        self._lock = Lock()

    def get(
        self, key: Hashable, make: Callable[[], npt.NDArray[np.int32]]
    ) -> npt.NDArray[np.int32]:
        """Return the array of `key`, made now if it is not here. Two threads may both make it."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        made = make()
        with self._lock:
            if key not in self._kept and made.nbytes <= self.limit_bytes:
                self._kept[key] = made
                self.used_bytes += made.nbytes
            while self.used_bytes > self.limit_bytes:
                self.used_bytes -= self._kept.popitem(last=False)[1].nbytes
        return made

    def __getstate__(self) -> int:
        return self.limit_bytes

    def __setstate__(self, limit_bytes: int) -> None:
        self.__init__(limit_bytes)  # type: ignore[misc]
