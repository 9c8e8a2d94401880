"""Keeps the values used last in memory, up to a number of bytes."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Generic, TypeVar

V = TypeVar("V")


class ByteLRU(Generic[V]):
    """A least-recently-used cache that counts bytes, not entries. Threads may share it.

    size_bytes: returns the memory that one value takes.
    limit_bytes: the most that all values together may take; 0 caches nothing.

    Callers share what `get` returns: copy a value before changing it. A pickle of the cache holds
    its limit and no values, so each process fills its own.
    """

    def __init__(self, size_bytes: Callable[[V], int], limit_bytes: int = 0) -> None:
        self.size_bytes = size_bytes
        self.limit_bytes = limit_bytes
        self.used_bytes = 0
        self._values: OrderedDict[Hashable, V] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Hashable, make: Callable[[], V]) -> V:
        """Return the value of `key`, from the cache or else from `make`."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
                return self._values[key]
        # Without the lock, because making a value is slow and other keys need not wait for it. Two
        # threads may therefore both make one; the first to finish stores its own.
        value = make()
        size = self.size_bytes(value)
        with self._lock:
            # A value above the limit would push out all others and then itself.
            if key not in self._values and size <= self.limit_bytes:
                self._values[key] = value
                self.used_bytes += size
                self._shrink()
        return value

    def set_limit(self, limit_bytes: int) -> None:
        """Change the limit, and drop the values that no longer fit."""
        with self._lock:
            self.limit_bytes = limit_bytes
            self._shrink()

    def _shrink(self) -> None:
        while self.used_bytes > self.limit_bytes:
            _, oldest = self._values.popitem(last=False)
            self.used_bytes -= self.size_bytes(oldest)

    def __getstate__(self) -> tuple[Callable[[V], int], int]:
        return self.size_bytes, self.limit_bytes

    def __setstate__(self, state: tuple[Callable[[V], int], int]) -> None:
        self.__init__(*state)  # type: ignore[misc]
