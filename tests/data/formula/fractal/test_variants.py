import numpy as np
import pytest

from ktg.data.formula.fractal.variants import VARIANTS, variant


@pytest.mark.parametrize(
    ("scale", "factors"), [(0.1, [0.8, 0.9, 1.1, 1.2]), (0.4, [0.2, 0.6, 1.4, 1.8])]
)
def test_the_rows_of_the_official_table(scale, factors):
    table = [variant(np.ones((2, 7)), scale, row) for row in range(VARIANTS)]
    assert all((rows[0] == rows[1]).all() and rows[0, 6] == 1 for rows in table)
    a = [*factors[:2], 1.0, *factors[2:]]
    assert [rows[0, 0] for rows in table[:5]] == a
    for parameter in range(1, 6):
        rows = table[1 + 4 * parameter : 5 + 4 * parameter]
        assert [row[0, parameter] for row in rows] == factors
        assert all(np.delete(row[0], parameter).tolist() == [1] * 6 for row in rows)
