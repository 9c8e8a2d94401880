import numpy as np
import pytest

from ktg.data.formula.fractal.onep import OneFractal
from ktg.errors import DataError

SMALL = {"size": 64, "points": 20_000}


def test_the_fractal_has_two_contracting_maps_of_the_given_weight():
    base = OneFractal(sigma=3.5, seed=8).base()
    singular = np.linalg.svd(base[:, :4].reshape(-1, 2, 2), compute_uv=False)
    assert base.shape == (2, 7)
    assert 3.4 <= (singular @ [1, 2]).sum() <= 3.6


def test_classes_are_the_fractal_scaled_by_at_most_delta():
    formula = OneFractal(50, delta=0.2, **SMALL)
    factors = np.array(
        [formula.system(label)[:, :6] / formula.base()[:, :6] for label in range(50)]
    )
    assert factors.min() > 0.8
    assert factors.max() < 1.2
    np.testing.assert_allclose([factors.mean(), factors.std()], [1, 0.4 / 12**0.5], atol=0.01)


def test_a_fractal_that_is_never_thick_enough_is_refused():
    with pytest.raises(DataError, match=r"onep: seed 0 gives a fractal too thin"):
        OneFractal(1, size=64, points=20).draw(0, 0)
