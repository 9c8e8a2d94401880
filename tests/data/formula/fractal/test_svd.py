import numpy as np
import pytest

from ktg.data.formula.fractal.svd import Svd

SMALL = {"size": 64, "points": 5000}


def test_systems_are_those_of_the_paper():
    systems = [Svd(seed=3).system(label) for label in range(60)]
    assert {len(system) for system in systems} == {2, 3, 4, 5, 6, 7}
    for system in systems:
        singular = np.linalg.svd(system[:, :4].reshape(-1, 2, 2), compute_uv=False)
        weight = (singular @ [1, 2]).sum()
        assert (5 + len(system)) / 2 <= weight <= (6 + len(system)) / 2
        assert singular.max() <= 1 + 1e-12


def test_gray_without_background_is_black_around_the_fractal():
    drawn = Svd(2, colour=False, background=False, **SMALL).draw(0, 0)
    assert (drawn[..., 0] == drawn[..., 1]).all()
    assert drawn.max() == 127
    assert 0.01 < (drawn > 0).mean() < 0.9


def test_a_background_fills_the_picture_behind_it():
    formula = Svd(2, **SMALL)
    black = Svd(2, background=False, **SMALL)
    assert (formula.draw(0, 1).max(axis=2) > 0).mean() > 0.99
    assert (black.draw(0, 1).max(axis=2) > 0).mean() < 0.95


def test_several_fractals_are_smaller_and_of_the_same_class():
    one = Svd(2, colour=False, background=False, **SMALL)
    several = Svd(2, colour=False, background=False, fractals=5, **SMALL)
    covered = [np.mean([formula.draw(0, i) > 0 for i in range(20)]) for formula in (one, several)]
    assert covered[1] < covered[0]
    with_any = [several.draw(0, i).any() for i in range(20)]
    assert np.mean(with_any) > 0.9


def test_pictures_of_a_class_differ():
    formula = Svd(2, **SMALL)
    assert (formula.draw(0, 0) != formula.draw(0, 1)).mean() > 0.5
    assert formula.name(7) == "0007"


def test_no_points_are_lost_to_a_seed():
    with pytest.raises(Exception, match="points"):
        Svd(points=0)
