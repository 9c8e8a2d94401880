import numpy as np
import pytest

from ktg.data.formula.fractal.brush import mix_words
from ktg.data.formula.fractal.kernels import SHIFT, apply_hashed_masks


def hashed_masks(seed, points):
    """Return the masks (points,) that apply_hashed_masks uses, read bit by bit."""
    masks = np.zeros(points, np.int64)
    for bit in range(9):
        drawn = np.empty(points, np.uint8)
        apply_hashed_masks(
            ((np.arange(points, dtype=np.int32) + 1) << SHIFT) + np.int32(bit),
            np.uint32(seed),
            drawn,
        )
        masks |= drawn.astype(np.int64) << bit
    return masks


@pytest.mark.parametrize("seed", [0, 1, mix_words(7, 3) >> 32])
def test_hashed_masks_are_uniform_and_never_empty(seed):
    points = 511 * 200
    found = np.bincount(hashed_masks(seed, points), minlength=512)
    assert found[0] == 0
    assert len(found) == 512
    # Chi-square of 510 degrees of freedom: mean 510, standard deviation 32.
    assert 510 - 5 * 32 < ((found[1:] - 200) ** 2 / 200).sum() < 510 + 5 * 32


def test_hashed_masks_of_two_seeds_are_independent():
    one, other = (hashed_masks(mix_words(0, 0, 0, count) >> 32, 20_000) for count in (0, 1))
    agree = np.mean([((one ^ other) >> bit & 1) == 0 for bit in range(9)])
    assert agree == pytest.approx(0.5, abs=0.01)
    assert np.corrcoef(one[1:], one[:-1])[0, 1] == pytest.approx(0, abs=0.03)


def test_mixed_depends_on_every_word_and_its_place():
    seeds = {mix_words(*words) for words in [(0,), (1,), (0, 0), (0, 1), (1, 0), (-1,)]}
    assert len(seeds) == 6
