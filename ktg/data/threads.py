"""Applies one function to many items with a thread per core, and keeps the results in order."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")

_CHUNK = 8  # handing items over one by one would cost more than decoding a small image


def count_cores() -> int:
    """Return how many cores this process may use; in a container fewer than the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def map_in_order(function: Callable[[T], R], items: Sequence[T]) -> Iterator[R]:
    """Yield `function(item)` for every item, in the order of the items.

    Threads suffice for images, because Pillow releases the interpreter lock while it decodes and
    resizes. Only a few chunks are under way at once, so that a slow reader of the results does not
    fill the memory.
    """
    with ThreadPoolExecutor(count_cores()) as pool:
        waiting: deque[Future[list[R]]] = deque()
        for start in range(0, len(items), _CHUNK):
            waiting.append(pool.submit(_each, function, items[start : start + _CHUNK]))
            if len(waiting) > 2 * count_cores():
                yield from waiting.popleft().result()
        while waiting:
            yield from waiting.popleft().result()


def _each(function: Callable[[T], R], items: Sequence[T]) -> list[R]:
    return [function(item) for item in items]
