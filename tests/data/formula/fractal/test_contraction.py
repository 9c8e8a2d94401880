import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ktg.data.formula.fractal.contraction import draw_contracting, solve_fixed_point


@given(st.integers(2, 7), st.floats(0.05, 0.95), st.integers(0, 1000))
def test_singular_values_contract_and_sum_to_the_weight(count, share, seed):
    transforms = draw_contracting(count, 3 * count * share, np.random.default_rng(seed))
    singular = np.linalg.svd(transforms[:, :4].reshape(-1, 2, 2), compute_uv=False)
    assert singular.max() <= 1 + 1e-12
    assert (singular @ [1, 2]).sum() == pytest.approx(3 * count * share)
    area = np.abs(np.linalg.det(transforms[:, :4].reshape(-1, 2, 2)))
    np.testing.assert_allclose(transforms[:, 6], area / area.sum(), atol=1e-12)
    assert np.abs(transforms[:, 4:6]).max() <= 1


def test_reflections_are_as_frequent_as_rotations():
    transforms = draw_contracting(2000, 3000.0, np.random.default_rng(0))
    turned = np.linalg.det(transforms[:, :4].reshape(-1, 2, 2)) < 0
    assert turned.mean() == pytest.approx(0.5, abs=0.05)


def test_fixed_point_stays():
    (transform,) = draw_contracting(1, 1.5, np.random.default_rng(1))
    x, y = solve_fixed_point(transform)
    a, b, c, d, e, f = transform[:6]
    assert (a * x + b * y + e, c * x + d * y + f) == pytest.approx((x, y))
