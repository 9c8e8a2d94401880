import colorsys
import pickle

import numpy as np
import pytest

from ktg.data.formula.fractal import FractalDB, OneInstance, load_categories, render
from ktg.data.formula.fractal.brush import compute_rainbow
from ktg.data.formula.fractal.database import VARIANTS, scale_variant
from ktg.errors import SpecError

SYSTEMS = load_categories(3)
SMALL = {"size": 48, "points": 3000}


def test_points_are_the_official_pictures():
    formula = FractalDB(SYSTEMS, patch=False, **SMALL)
    for label, row in [(0, 0), (1, 2), (2, 24)]:
        expected = render(SYSTEMS[label], scale=0.4, row=row, **SMALL)
        drawn = formula.draw(label, 4 * row)
        assert drawn.shape == (48, 48, 3)
        np.testing.assert_array_equal(
            drawn, np.repeat((expected * np.uint8(127))[..., None], 3, axis=2)
        )


def test_patches_cover_what_official_patches_may_cover():
    keys = render(SYSTEMS[0], scale=0.4, row=2, **SMALL)
    reach = np.zeros_like(keys)
    for y, x in np.argwhere(np.flipud(keys)):
        reach[y + 1 : y + 4, x + 1 : x + 4] = True
    drawn = [FractalDB(SYSTEMS, seed=seed, **SMALL).draw(0, 80)[..., 0] > 0 for seed in range(40)]
    assert not (np.mean(drawn, axis=0) > 0)[~np.flipud(reach)].any()
    # Each bit of a mask is set in 256 of 511.
    assert np.mean(drawn, axis=0)[np.flipud(reach)].mean() == pytest.approx(256 / 511, abs=0.01)


def test_flips_and_masks_and_variants_in_the_official_order():
    formula = FractalDB(SYSTEMS, **SMALL)
    assert (formula.classes, formula.instances) == (3, 1000)
    assert [formula.name(i) for i in (0, 1, 4, 40, 999)] == [
        "00_count_0_flip0",
        "00_count_0_flip1",
        "00_count_1_flip0",
        "01_count_0_flip0",
        "24_count_9_flip3",
    ]
    plain, upside_down, mirrored, both = (formula.draw(1, 80 + flip) for flip in range(4))
    np.testing.assert_array_equal(upside_down, plain[::-1])
    np.testing.assert_array_equal(mirrored, plain[:, ::-1])
    np.testing.assert_array_equal(both, plain[::-1, ::-1])
    assert (formula.draw(1, 84) != plain).any()
    assert FractalDB(SYSTEMS, patch=False, **SMALL).instances == 100


def test_a_picture_is_the_same_in_any_order_and_process():
    formula = FractalDB(SYSTEMS, seed=5, **SMALL)
    first = formula.draw(2, 123)
    formula.draw(0, 7)
    copy = pickle.loads(pickle.dumps(formula))
    for other in (formula, copy, FractalDB(SYSTEMS, seed=5, memory_bytes=0, **SMALL)):
        np.testing.assert_array_equal(other.draw(2, 123), first)
    assert (FractalDB(SYSTEMS, seed=6, **SMALL).draw(2, 123) != first).any()


def test_colours_go_round_once_in_128_points():
    for number, colour in enumerate(compute_rainbow().tolist()):
        blue_green_red = colorsys.hsv_to_rgb(number / 128, 0.75, 0.75)[::-1]
        np.testing.assert_allclose(colour, np.array(blue_green_red) * 255, atol=1)
    drawn = FractalDB(SYSTEMS, patch=False, colour=True, **SMALL).draw(0, 8)
    gray = FractalDB(SYSTEMS, patch=False, **SMALL).draw(0, 8)
    np.testing.assert_array_equal(drawn.any(axis=2), gray.any(axis=2))
    used = {tuple(colour) for colour in drawn[drawn.any(axis=2)].tolist()}
    assert len(used) > 100
    assert used <= {tuple(colour) for colour in compute_rainbow().tolist()}


def test_the_last_point_gives_the_colour():
    stay = np.array(
        [[1.0, 0, 0, 1, 0, 0, 0.0], [0.0, 0, 0, 0, 1, 1, 1.0]]
    )  # from (0, 0) to (1, 1) for ever
    drawn = FractalDB((stay,), patch=False, colour=True, size=13, points=130).draw(0, 8)
    assert drawn[6, 6].tolist() == compute_rainbow()[0].tolist()
    assert drawn[5, 7].tolist() == compute_rainbow()[129 % 128].tolist()


def test_memory_is_bounded():
    formula = FractalDB(SYSTEMS, memory_bytes=3 * 48 * 48 * 4, **SMALL)
    for instance in range(0, 1000, 40):
        formula.draw(0, instance)
        assert formula._walks.used_bytes <= formula.memory_bytes
    assert formula._walks.used_bytes == formula.memory_bytes


def test_one_instance_is_the_first_of_each_category():
    one = OneInstance(SYSTEMS, **SMALL)
    assert (one.classes, one.instances, one.name(0)) == (3, 1, "00_count_0_flip0")
    np.testing.assert_array_equal(one.draw(2, 0), FractalDB(SYSTEMS, scale=0.1, **SMALL).draw(2, 0))


def test_no_masks_are_refused():
    with pytest.raises(SpecError, match="masks: expected at least 1"):
        FractalDB(SYSTEMS, masks=0)


@pytest.mark.parametrize(
    ("scale", "factors"), [(0.1, [0.8, 0.9, 1.1, 1.2]), (0.4, [0.2, 0.6, 1.4, 1.8])]
)
def test_the_rows_of_the_official_table(scale, factors):
    table = [scale_variant(np.ones((2, 7)), scale, row) for row in range(VARIANTS)]
    assert all((rows[0] == rows[1]).all() and rows[0, 6] == 1 for rows in table)
    a = [*factors[:2], 1.0, *factors[2:]]
    assert [rows[0, 0] for rows in table[:5]] == a
    for parameter in range(1, 6):
        rows = table[1 + 4 * parameter : 5 + 4 * parameter]
        assert [row[0, parameter] for row in rows] == factors
        assert all(np.delete(row[0], parameter).tolist() == [1] * 6 for row in rows)
