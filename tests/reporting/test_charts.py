"""Charts: what they leave out of many trials and epochs, and that they stand the barest data."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from webpage import read

from ktg.reporting import charts
from ktg.reporting.charts import choose_trials, thin_out

pytestmark = pytest.mark.usefixtures("closed_figures")


def test_the_barest_search_is_drawn():
    trial = {
        "trial": "t1",
        "state": "finished",
        "baseline": None,
        "val_accuracy": [0.5],
        "values_by_epoch": [0.5],
        "values": {},
    }
    point = {"state": "finished", "value": 0.5, "device_s": 1.0, "epochs": 1, "best": 0.5}
    row = {"what": "best graph", "test": None, "value": 0.5, "val_interval": None}
    curve = {"node": "n0", "model": "resnet8", "val_accuracy": [0.5], "train_accuracy": []}
    assert "finished" in read(charts.draw_curves([trial], "t0")).text
    assert "best so far" in read(charts.draw_progress([point], {"device": "GPU"})).text
    assert "best graph" in read(charts.draw_comparison([row], test=False)).text
    assert "n0 (target)" in read(charts.draw_nodes([curve], "n0")).text
    assert "mean weight" in read(charts.draw_gates([])).text
    one = [{"images": 1, "confidence": 0.5, "accuracy": 1.0}]
    found = {"bins": {"before": one, "after": one}, "errors": {"before": 0.5, "after": 0.25}}
    assert "after: off by 25.0" in read(charts.draw_reliability(found)).text


@pytest.mark.parametrize(
    ("metric", "words", "ticks"),
    [("balanced_accuracy", "balanced accuracy", "50 %"), ("loss", "loss", "0.5")],
)
def test_charts_are_of_what_the_search_chose_by(metric, words, ticks):
    trial = {"trial": "t1", "state": "finished", "baseline": None, "val_accuracy": [0.9, 0.9]}
    trial |= {"values_by_epoch": [0.4, 0.6], "values": {}}
    points = [
        {"state": "finished", "value": each, "device_s": each, "best": each} for each in (0.4, 0.6)
    ]
    row = {"what": "best graph", "test": None, "value": 0.5, "val_interval": (0.8, 0.9)}
    for drawn in (
        charts.draw_curves([trial], "t0", metric),
        charts.draw_progress(points, {"device": "GPU"}, metric),
        charts.draw_comparison([row], test=False, metric=metric),
    ):
        text = read(drawn).text
        assert f"validation {words}" in text
        assert ticks in " ".join(text.split())
        assert "interval" not in text


def test_a_name_appears_once_in_a_legend():
    trials = [
        {
            "trial": f"t{n}",
            "state": "stopped",
            "baseline": None,
            "val_accuracy": [0.1 * n],
            "values_by_epoch": [0.1 * n],
            "values": {},
        }
        for n in range(5)
    ]
    assert read(charts.draw_curves(trials, "t9")).text.count("stopped early") == 1


def test_more_searches_than_colours_are_told_apart():
    points = [
        {"device_s": 1.0, "epochs": 1, "best": 0.5},
        {"device_s": 2.0, "epochs": 2, "best": 0.6},
    ]
    about = {"metric": "accuracy", "progress": points}
    searches = [{"experiment": f"search {n}", **about} for n in range(8)]
    drawn = charts.draw_side_by_side(searches, "epochs", "epochs")
    assert all(f"search {n}" in read(drawn).text for n in range(8))
    assert drawn.count("stroke-dasharray") >= 2


@given(st.lists(st.floats(0, 1), max_size=500))
def test_long_curves_keep_their_ends(values):
    places, kept = thin_out(values)
    assert len(places) == len(kept) <= 81
    assert [values[place - 1] for place in places] == kept
    assert not values or (places[0], places[-1]) == (1, len(values))


TRIAL = st.fixed_dictionaries(
    {
        "baseline": st.sampled_from([None, None, "alone"]),
        "val_accuracy": st.lists(st.floats(0, 1), max_size=2),
    }
)


@given(st.lists(TRIAL, max_size=40), st.integers(10, 20))
def test_of_many_trials_baselines_and_the_best_are_kept(trials, most):
    kept = choose_trials(trials, most)
    trained = [trial for trial in trials if trial["val_accuracy"]]
    assert len(kept) == min(most, len(trained))
    assert all(any(one is other for other in trained) for one in kept)
    assert len({id(trial) for trial in kept}) == len(kept)
    others = [trial["val_accuracy"][-1] for trial in trained if trial["baseline"] is None]
    if others and len(trained) - len(others) < most // 2:
        assert max(others) in [
            trial["val_accuracy"][-1] for trial in kept if trial["baseline"] is None
        ]


def test_epochs_are_whole_numbers():
    curve = {"node": "n0", "model": "resnet8", "val_accuracy": [0.5, 0.6], "train_accuracy": []}
    assert "1.5" not in read(charts.draw_nodes([curve], "n0")).text.split()
