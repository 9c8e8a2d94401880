import pickle
from typing import get_args

import numpy as np
import pytest

from ktg.data.formula.fractal import GENERATORS, list_settings, make_generator
from ktg.errors import SpecError
from ktg.graph import FormulaName

SMALL = {"size": 40, "points": 2000}


def test_every_name_has_a_generator():
    assert tuple(GENERATORS) == get_args(FormulaName)


@pytest.mark.parametrize("name", GENERATORS)
def test_what_every_generator_keeps_to(name):
    formula = make_generator(name, 3, seed=4, **SMALL)
    last = formula.instances - 1
    assert formula.classes == 3
    drawn = formula.draw(2, last)
    assert drawn.shape == formula.shape == (40, 40, 3)
    assert drawn.dtype == np.uint8
    assert drawn.any()
    formula.draw(0, 0)
    for other in (
        formula,
        pickle.loads(pickle.dumps(formula)),
        make_generator(name, 4, seed=4, **SMALL),
    ):
        np.testing.assert_array_equal(other.draw(2, last), drawn)
    assert (formula.draw(1, last) != drawn).any()
    assert (make_generator(name, 3, seed=5, **SMALL).draw(2, last) != drawn).any()
    names = [formula.name(instance) for instance in range(formula.instances)]
    assert len(set(names)) == len(names)
    assert names == sorted(names)


@pytest.mark.parametrize("name", GENERATORS)
def test_settings_tell_how_pictures_look_and_make_them_again(name):
    settings = list_settings(make_generator(name, 2, seed=1, **SMALL))
    assert settings.pop("formula") == name
    assert settings["size"] == 40
    again = make_generator(name, 2, **settings)
    np.testing.assert_array_equal(
        again.draw(1, 0), make_generator(name, 2, seed=1, **SMALL).draw(1, 0)
    )


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        (
            "fractalbd",
            {},
            "formula: 'fractalbd' is not a generator; allowed: .* Did you mean 'fractaldb'",
        ),
        (
            "onep",
            {"sgima": 3.0},
            "onep: 'sgima' is not a setting; allowed: .* Did you mean 'sigma'",
        ),
        ("svd", {"size": 5}, "size: expected at least 13"),
        ("svd", {"fractals": 0}, "fractals: expected at least 1"),
    ],
)
def test_what_there_is_not_is_refused(name, settings, message):
    with pytest.raises(SpecError, match=message):
        make_generator(name, 2, **settings)


def test_no_classes_are_refused():
    with pytest.raises(SpecError, match="classes: expected at least 1, got 0"):
        make_generator("svd", 0)
