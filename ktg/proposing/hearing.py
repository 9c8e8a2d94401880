"""Who is told how the look at a folder goes."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Hearing:
    """Functions that are told how it goes: what is being done, and images that are decoded."""

    status: Callable[[str], None]
    decoding: Callable[[int, int], None]
