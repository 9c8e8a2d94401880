import numpy as np
import pytest

from ktg.data.formula.fractal import make_formula
from ktg.data.formula.sheet import sheet
from ktg.errors import SpecError

SMALL = {"size": 20, "points": 500}


def test_a_row_for_each_class():
    formula = make_formula("fractaldb", 3, **SMALL)
    drawn = sheet(formula, 2, 4, gap=1)
    assert drawn.shape == (41, 83, 3)
    np.testing.assert_array_equal(drawn[21:, 42:62], formula.draw(1, 500))
    assert (drawn[20] == 255).all()


def test_one_picture_a_class_makes_every_picture_another_class():
    formula = make_formula("ofdb", 4, **SMALL)
    drawn = sheet(formula, 2, 2, gap=0)
    np.testing.assert_array_equal(drawn[20:, 20:], formula.draw(3, 0))
    with pytest.raises(SpecError, match="classes: expected 1 to 4, got 6"):
        sheet(formula, 3, 2)
