"""What a verdict goes by: marks of single images whose mean is the metric."""

import numpy as np
import pytest
from sklearn.metrics import balanced_accuracy_score

from ktg.searching.confirm.measure import explain_measure, make_measure
from ktg.searching.seed_queue import SeedRun

LABELS = np.array([0, 0, 0, 0, 0, 1, 1, 3])  # the class 2 has no image
RIGHT = "11101011"


def test_the_mean_of_the_marks_is_the_balanced_accuracy():
    measure = make_measure("balanced_accuracy", LABELS)
    predicted = np.where(np.array(list(RIGHT)) == "1", LABELS, 2)
    with pytest.warns(UserWarning, match="y_pred contains classes not in y_true"):
        expected = balanced_accuracy_score(LABELS, predicted)
    assert measure.mark(RIGHT).mean() == pytest.approx(expected)
    assert measure.score(SeedRun(1000, 0.75, 0.1, 1.0, RIGHT)) == pytest.approx(expected)
    assert measure.weights.mean() == pytest.approx(1.0)


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1", "auroc", "loss"])
def test_all_others_go_by_accuracy(metric):
    measure = make_measure(metric, LABELS)
    assert measure.metric == "accuracy"
    assert measure.mark(RIGHT).mean() == 0.75
    assert measure.score(SeedRun(1000, 0.7, 0.1, 1.0, RIGHT)) == 0.7  # as it was stored
    assert (explain_measure(metric, "accuracy") == "") == (metric == "accuracy")
