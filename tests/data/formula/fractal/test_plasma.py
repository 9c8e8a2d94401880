import colorsys

import numpy as np

from ktg.data.formula.fractal.plasma import draw_background, draw_plasma, hsv_to_rgb


def test_plasma_is_smooth_and_wraps_around():
    texture = draw_plasma(64, 0.8, np.random.default_rng(0))
    assert texture.shape == (64, 64)
    for axis in (0, 1):
        steps = np.abs(np.diff(texture, axis=axis))
        seam = np.abs(np.take(texture, 0, axis) - np.take(texture, -1, axis))
        assert seam.mean() < 2 * steps.mean() < 0.2 * np.ptp(texture)


def test_a_larger_roughness_exponent_is_smoother():
    rough, smooth = (
        draw_plasma(128, exponent, np.random.default_rng(3)) for exponent in (0.3, 0.9)
    )
    assert np.abs(np.diff(rough)).mean() > 2 * np.abs(np.diff(smooth)).mean()


def test_colours_are_those_of_the_standard_library():
    hue = np.linspace(-1, 2, 40).reshape(5, 8)
    expected = [[colorsys.hsv_to_rgb(h % 1, 0.6, 0.8) for h in row] for row in hue.tolist()]
    np.testing.assert_allclose(hsv_to_rgb(hue, 0.6, 0.8), np.array(expected) * 255, atol=5)


def test_background_of_any_size_by_seed():
    one, same, other = (draw_background(50, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one.shape == (50, 50, 3)
    assert one.dtype == np.uint8
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()
