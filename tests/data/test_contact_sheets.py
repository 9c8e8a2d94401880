import numpy as np
import pytest
import torch
from PIL import Image

from ktg.data.contact_sheets import draw_augment_sheet, draw_formula_sheet, write_sheet
from ktg.data.formula.fractal import make_generator
from ktg.errors import SpecError

SMALL = {"size": 20, "points": 500}


def noise(count: int, side: int, channels: int = 3) -> torch.Tensor:
    shape = (count, channels, side, side)
    random = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, shape, generator=random).to(torch.uint8)


def test_images_lie_in_rows_with_white_between():
    pixels = noise(3, 16)
    drawn = draw_augment_sheet(pixels, ["none", "crop"], seed=0)
    assert drawn.shape == (34, 52, 3)
    for place in range(3):
        shown = drawn[:16, 18 * place : 18 * place + 16]
        assert np.array_equal(shown, pixels[place].permute(1, 2, 0).numpy())
    assert (drawn[16:18] == 255).all() and (drawn[:, 16:18] == 255).all()


def test_grey_images_are_grey_and_a_seed_gives_one_sheet():
    pixels = noise(2, 16, channels=1)
    drawn = draw_augment_sheet(pixels, ["basic"], seed=1)
    assert (drawn == drawn[..., :1]).all()
    assert np.array_equal(drawn, draw_augment_sheet(pixels, ["basic"], seed=1))
    assert not np.array_equal(drawn, draw_augment_sheet(pixels, ["basic"], seed=2))


@pytest.mark.parametrize(
    ("name", "kind"), [("a.png", "PNG"), ("a.JPG", "JPEG"), ("a.webp", "WEBP")]
)
def test_a_sheet_is_written_as_its_ending_says(tmp_path, name, kind):
    write_sheet(tmp_path / name, np.full((4, 6, 3), 200, np.uint8))
    assert [each.name for each in tmp_path.iterdir()] == [name]
    with Image.open(tmp_path / name) as image:
        assert (image.format, image.size) == (kind, (6, 4))


def test_a_row_for_each_class():
    generator = make_generator("fractaldb", 3, **SMALL)
    drawn = draw_formula_sheet(generator, 2, 4, gap=1)
    assert drawn.shape == (41, 83, 3)
    np.testing.assert_array_equal(drawn[21:, 42:62], generator.draw(1, 500))
    assert (drawn[20] == 255).all()


def test_one_picture_a_class_makes_every_picture_another_class():
    generator = make_generator("ofdb", 4, **SMALL)
    drawn = draw_formula_sheet(generator, 2, 2, gap=0)
    np.testing.assert_array_equal(drawn[20:, 20:], generator.draw(3, 0))
    with pytest.raises(SpecError, match="classes: expected 1 to 4, got 6"):
        draw_formula_sheet(generator, 3, 2)
