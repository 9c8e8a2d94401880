import itertools

import numpy as np
import pytest

from ktg.data.formula.fractal.catalogue import (
    MIN_FILL,
    SEARCH_POINTS,
    _load_shipped,
    load_categories,
    measure_fill,
    save_categories,
    search_categories,
)
from ktg.errors import SpecError


def test_the_search_finds_the_official_categories_in_order():
    known = load_categories(4)
    for found, expected in zip(itertools.islice(search_categories(), 4), known, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_the_thousand_that_come_with_ktg_are_the_published_ones(shared):
    with np.load(shared / "reference/fractaldb/categories.npz", allow_pickle=False) as file:
        published, counts = file["transforms"], file["count"]
    for ours, theirs, count in zip(load_categories(1000), published, counts, strict=True):
        np.testing.assert_allclose(ours, theirs[:count], rtol=1e-12)


def test_a_search_goes_on_from_what_was_kept(tmp_path):
    generator = np.random.RandomState(1)
    first = list(itertools.islice(search_categories(generator), 2))
    save_categories(tmp_path / "categories.npz", first, generator)
    kept, resumed = _load_shipped(tmp_path / "categories.npz")
    for found, expected in zip(
        [*kept, next(search_categories(resumed))], load_categories(3), strict=True
    ):
        np.testing.assert_array_equal(found, expected)


def test_more_than_are_known_are_searched_and_told_of():
    told = []
    more = load_categories(1001, lambda found, wanted: told.append((found, wanted)))
    assert told == [(1001, 1001)]
    assert 2 <= len(more[1000]) <= 7
    assert more[1000][:, 6].sum() == pytest.approx(1)


def test_filling_rate_is_that_of_the_points():
    corners = np.array([[0, 0, 0, 0, x, y, 0.25] for x in (-1, 1) for y in (-1, 1)])
    assert (
        measure_fill(corners, np.random.RandomState(0).random_sample(SEARCH_POINTS)) == 5 / 512**2
    )
    assert (
        measure_fill(load_categories(1)[0], np.random.RandomState(0).random_sample(SEARCH_POINTS))
        > MIN_FILL * 0.9
    )


def test_no_categories_are_refused():
    with pytest.raises(SpecError, match="categories: expected at least 1"):
        load_categories(0)
