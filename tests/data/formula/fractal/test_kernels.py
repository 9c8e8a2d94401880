import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ktg.data.formula.fractal import kernels
from ktg.data.formula.fractal.kernels import FIRST, SHIFT, spread


@settings(max_examples=30)
@given(arrays(np.int32, (9, 9), elements=st.integers(0, 50)))
def test_spread_is_what_painting_one_patch_after_the_other_gives(points):
    points[6:], points[:, 6:] = 0, 0
    expected = np.zeros((9, 9), np.int64)
    for y, x in sorted(np.argwhere(points), key=lambda at: points[tuple(at)]):
        for row in range(3):
            for column in range(3):
                expected[y + 1 + row, x + 1 + column] = (
                    (points[y, x] << SHIFT) + 8 - (3 * row + column)
                )
    keys, found = points << SHIFT, np.empty((9, 9), np.int32)
    spread(keys, found)
    # Points of one number cannot be told apart: the later of equals may be either.
    same = np.where(found >= FIRST, found >> SHIFT, 0) == expected >> SHIFT
    assert same.all()
    if len(np.unique(points[points > 0])) == (points > 0).sum():
        np.testing.assert_array_equal(np.where(found >= FIRST, found, 0), expected)


@pytest.mark.slow
@pytest.mark.parametrize("home_is_writable", [True, False])
def test_kernels_run_from_a_package_that_cannot_be_written(tmp_path, home_is_writable):
    package = tmp_path / "package"
    package.mkdir()
    (package / "copied.py").write_bytes(Path(kernels.__file__).read_bytes())
    (package / "__pycache__").touch()  # a file there keeps even root from making the folder
    home = tmp_path / "home" if home_is_writable else Path("/dev/null")
    code = "import copied, numpy as np; copied.spread(*np.zeros((2, 4, 4), np.int32))"
    env = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(package),
        "HOME": str(home),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert bool(list((tmp_path / "home").rglob("*.nbi"))) == home_is_writable
