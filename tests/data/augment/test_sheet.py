import numpy as np
import torch
from pixels import generator, noise

from ktg.data.augment.sheet import augmented, sheet


def test_images_lie_in_rows_with_white_between():
    pixels = noise(3, 16)
    drawn = sheet(pixels, ["none", "crop"], seed=0)
    assert drawn.shape == (34, 52, 3)
    for place in range(3):
        assert np.array_equal(
            drawn[:16, 18 * place : 18 * place + 16], pixels[place].permute(1, 2, 0).numpy()
        )
    assert (drawn[16:18] == 255).all() and (drawn[:, 16:18] == 255).all()


def test_grey_images_are_grey_and_a_seed_gives_one_sheet():
    pixels = noise(2, 16, channels=1)
    drawn = sheet(pixels, ["basic"], seed=1)
    assert (drawn == drawn[..., :1]).all()
    assert np.array_equal(drawn, sheet(pixels, ["basic"], seed=1))
    assert not np.array_equal(drawn, sheet(pixels, ["basic"], seed=2))


def test_mixtures_are_drawn_mixed():
    pixels = torch.zeros(2, 3, 64, 64, dtype=torch.uint8)
    pixels[1] = 255
    assert augmented(pixels, "cutmix_or_mixup", generator())[0].max() > 0
