"""The random 3x3 masks of patch rendering: a replay of Python's `random`, and seeds for the hashed ones."""

import random

import numpy as np
import numpy.typing as npt

Masks = npt.NDArray[np.uint16]

_GOLDEN = 0x9E3779B97F4A7C15
_64_BITS = 2**64 - 1


def python_masks(seed: int, count: int) -> Masks:
    """Return what `random.seed(seed)` and then `random.randrange(1, 512)`, `count` times, would give: (count,).

    `randrange` takes the top 9 bits of each 32-bit output of the Mersenne Twister and rejects 511.
    """
    _, state, _ = random.Random(seed).getstate()  # noqa: S311 - pictures, no secrets
    twister = np.random.MT19937()
    twister.state = {
        "bit_generator": "MT19937",
        "state": {"key": np.array(state[:-1], np.uint32), "pos": state[-1]},
    }
    kept = np.empty(0, np.uint16)
    while len(kept) < count:
        drawn = (twister.random_raw(count - len(kept) + 64) >> np.uint64(23)).astype(np.uint16)
        kept = np.concatenate([kept, drawn[drawn < 511] + np.uint16(1)])
    return kept[:count]


def mixed(*words: int) -> int:
    """Return a 64-bit hash of whole numbers, to seed what depends on all of them: splitmix64 after each word."""
    state = 0
    for word in words:
        state = (state ^ (word & _64_BITS)) + _GOLDEN & _64_BITS
        state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & _64_BITS
        state = (state ^ state >> 27) * 0x94D049BB133111EB & _64_BITS
        state ^= state >> 31
    return state
