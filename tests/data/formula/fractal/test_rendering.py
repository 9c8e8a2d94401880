import random
from pathlib import Path

import numpy as np
import plain_fractal
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ktg.data.formula.fractal import load_categories, render
from ktg.data.formula.fractal.rendering import replay_python_masks
from ktg.errors import DataError, SpecError

OFFICIAL = np.load(Path(__file__).with_name("renders.npz"), allow_pickle=False)


@pytest.mark.parametrize("case", range(24))
def test_official_pictures_pixel_for_pixel(case):
    category, scale, row, size, points, patch, seed = OFFICIAL["meta"][case].tolist()
    size = int(size)
    expected = np.unpackbits(OFFICIAL[f"img{case:02d}"])[: size * size].reshape(size, size)
    how = {
        "scale": scale,
        "row": int(row),
        "size": size,
        "points": int(points),
        "patch": bool(patch),
    }
    drawn = render(load_categories(1000)[int(category)], **how, seed=int(seed) if patch else None)
    assert drawn.dtype == bool
    np.testing.assert_array_equal(drawn, expected)


def systems(largest):
    parameters = st.floats(-largest, largest, width=32)
    maps = st.integers(1, 6).flatmap(lambda n: arrays(np.float64, (n, 6), elements=parameters))
    return maps.map(lambda abcdef: np.column_stack([abcdef, np.full(len(abcdef), 1 / len(abcdef))]))


@settings(max_examples=30)
@given(systems(1.0), st.integers(13, 40), st.integers(1, 400), st.none() | st.integers(0, 2**40))
def test_any_system_equals_the_plain_program(system, size, points, seed):
    drawn = render(
        system, scale=0.1, row=2, size=size, points=points, patch=seed is not None, seed=seed
    )
    np.testing.assert_array_equal(drawn, plain_fractal.render(system, size, points, seed))


DIVERGING = {
    "to infinity, never NaN": [[1.5, 0, 0, 0.5, 0.1, 0.1, 1.0]],
    "to minus infinity": [[1.5, 0, 0, 0.5, -0.1, 0.1, 1.0]],
    "both axes": [[1.5, 0.2, 0.3, 1.4, 0.1, -0.1, 1.0]],
    "turning, hence NaN": [[1.5, 1.5, -1.5, 1.5, 0.1, 0.1, 1.0]],
    "by chance": [[1.9, 0.4, -0.8, 1.2, 0.1, 0.1, 0.6], [-0.4, 1.3, 1.1, 0.2, -0.3, 0.6, 0.4]],
}


@pytest.mark.parametrize("name", DIVERGING)
@pytest.mark.parametrize("seed", [None, 3])
def test_a_diverging_system_loses_the_points_that_the_plain_program_loses(name, seed):
    system = np.array(DIVERGING[name])
    xs, ys = plain_fractal.walk(system, np.random.RandomState(100).random_sample(4000))
    assert not np.isfinite([xs[-1], ys[-1]]).all()
    drawn = render(
        system, scale=0.1, row=2, size=32, points=4000, patch=seed is not None, seed=seed
    )
    np.testing.assert_array_equal(drawn, plain_fractal.render(system, 32, 4000, seed))


def test_probabilities_below_one_stay_where_they_are():
    system = np.array([[0.5, 0, 0, 0.5, 0.3, 0.2, 0.3], [0.4, 0.1, 0, 0.5, -0.3, 0.2, 0.3]])
    drawn = render(system, scale=0.1, row=2, size=32, points=300)
    np.testing.assert_array_equal(drawn, plain_fractal.render(system, 32, 300))


def test_a_system_that_leaves_no_point_is_refused():
    system = np.array([[1e9, 1e9, -1e9, 1e9, 1, 1, 1.0]])
    with pytest.raises(DataError, match="overflows within 100 points"):
        render(system, scale=0.1, row=2, size=32, points=1000)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"row": 25}, "row: expected 0 to 24, got 25"),
        ({"size": 12}, "size: expected at least 13"),
        ({"points": 0}, "points: expected 1 to"),
        ({"scale": float("nan")}, "scale: expected a number"),
        ({"patch": True}, "seed: patch rendering draws random masks"),
    ],
)
def test_arguments_out_of_range_are_refused(change, message):
    how = {"scale": 0.1, "row": 2, "size": 32, "points": 100}
    with pytest.raises(SpecError, match=message):
        render(np.ones((2, 7)), **(how | change))


def test_transforms_of_another_shape_are_refused():
    with pytest.raises(SpecError, match=r"transforms: expected \(N, 7\)"):
        render(np.ones((2, 6)), scale=0.1, row=2, size=32, points=100)


@given(st.integers(0, 2**64), st.integers(0, 1500))
def test_the_replay_of_python(seed, count):
    source = random.Random(seed)
    assert replay_python_masks(seed, count).tolist() == [
        source.randrange(1, 512) for _ in range(count)
    ]
