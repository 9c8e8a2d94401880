"""Models from Python."""

import numpy as np
import pytest

import ktg
from ktg.errors import DataError

pytestmark = pytest.mark.usefixtures("one_thread")


def test_predict_takes_a_model_or_its_file_and_folders(trained, photos):
    answers = ktg.predict(trained.file, photos / "val")
    assert len(answers) == 8
    (one,) = ktg.predict(ktg.load(trained.file), np.zeros((5, 5), np.uint8))
    assert one.label in ("night", "noon")
    with pytest.raises(DataError, match=r"absent\.png: there is no such file"):
        ktg.predict(trained.file, "absent.png")
