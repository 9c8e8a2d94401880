"""How good a graph is, and what is wrong with it, as pages and `ktg status` tell of it."""

import re

import pytest
from records import GRAPH, PLAIN, SPACE, search, trial
from webpage import read

from ktg.errors import UserError
from ktg.reporting.levels import Level, read_level
from ktg.reporting.page import render_report
from ktg.reporting.report import make_report
from ktg.reporting.status import read_status
from ktg.searching.history import read_last_search
from ktg.searching.trial import Trial
from ktg.tracking import MlflowTracker, find_experiment

CUT = {"edges.n1.n0.gate": "cutoff", "edges.n2.n0.gate": "cutoff"}
COLLAPSED = {"collapsed": 1.0}
SAID = "collapsed: it says the same of all images"


@pytest.mark.parametrize(
    ("level", "said"),
    [
        (Level("accuracy", 0.9, 0), "accuracy 90.00 % (one training)"),
        (Level("auroc", 0.9, 1), "AUROC 90.00 % (one training with a new seed)"),
        (Level("loss", -0.25, 3), "loss 0.2500 (mean of 3 trainings with new seeds)"),
    ],
)
def test_a_score_is_said_with_its_metric_and_what_it_is_of(level, said):
    assert level.sentence == said
    assert level.to_json()["value"] == abs(level.score)


def test_new_seeds_count_where_there_are_any():
    again = [
        trial(n, curve=(accuracy,), race_of=1, seed=100 + n) for n, accuracy in ((3, 0.5), (4, 0.6))
    ]
    first, second = trial(1, curve=(0.9,)), trial(2, curve=(0.8,))
    found = search(first, second)
    for one in again:
        object.__setattr__(one, "search", found)
    found.__dict__["repeats"] = again
    assert read_level(found, first) == Level("accuracy", pytest.approx(0.55), 2)
    assert read_level(found, second) == Level("accuracy", 0.8, 0)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (trial(1), ""),
        (trial(1, values=CUT), "no network teaches another here"),
        (trial(1, values=CUT, baseline="alone"), ""),
        (trial(1, values=CUT, metrics=COLLAPSED), SAID),
        (trial(1, metrics=COLLAPSED, baseline="alone"), SAID),
    ],
)
def test_what_is_wrong_is_said_as_at_the_end_of_a_search(made, said):
    found = search(made, space=SPACE)
    assert made.fault == said
    graph = found.space.bind(made.values)
    other = Trial(1, graph, "key", made.baseline, metrics=dict(made.run.metrics))
    assert other.fault == said


def test_a_space_that_cannot_be_read_costs_no_status(monkeypatch):
    def refuse(*_):
        raise UserError("of another version")

    made = trial(1, values=CUT)
    search(made, space=SPACE)
    monkeypatch.setattr("ktg.graph.SearchSpace.bind", refuse)
    assert made.fault == ""


def test_the_status_and_the_page_name_collapsed_trainings_and_helpers_without_effect(new_store):
    uri = new_store()
    with MlflowTracker("made", uri) as tracker:
        metric = {"search.metric": "balanced_accuracy"}
        parent = tracker.start("made", tags={"kind": "search"}, params=metric)
        tracker.artifact(parent, "space.yaml", PLAIN)
        for number, (state, last, own) in enumerate(
            (
                ("finished", {"val_balanced_accuracy": 0.5}, {}),
                ("finished", {"val_balanced_accuracy": 0.25, "collapsed": 1.0}, {}),
                (
                    "finished",
                    {"val_balanced_accuracy": 0.25, "collapsed": 1.0},
                    {"baseline": "alone"},
                ),
            ),
            1,
        ):
            one = tracker.start(
                f"trial-{number:04d}",
                parent=parent,
                params={"edges.n1.n0.gate": "cutoff"},
                tags={"kind": "trial", **own},
            )
            tracker.artifact(one, "graph.yaml", GRAPH)
            tracker.log(one, {"val_accuracy": 0.8, "val_loss": 0.2, "epoch_s": 2.0, **last}, 1)
            tracker.end(one, state)
        tracker.end(parent, "finished")
    experiment = find_experiment("made", uri)
    now = read_status(experiment)
    assert now.level == Level("balanced_accuracy", 0.5, 0)
    assert (now.best, now.note, now.collapsed) == (
        "trial-0001",
        "no network teaches another here",
        2,
    )
    record = read_last_search(experiment)
    data = make_report(record, retrain=False)
    notes = {one["trial"]: one["note"] for one in data["trials"]}
    assert notes == {"trial-0001": now.note, "trial-0002": SAID, "trial-0003": SAID}
    assert data["best"]["note"] == now.note
    assert {row["what"]: row["note"] for row in data["comparison"]}["alone"] == SAID
    text = read(render_report(data, record.space.holes)).text
    assert re.search(f"2 of 3 trials: {SAID}. trial-000[23], trial-000[23].", text)
    assert f"The best graph, trial-0001: {now.note}." in text
    assert f"alone {SAID}" in text
    assert text.count("of the best graph, trial-0001, in one training") == 2
    assert "validation images right, in one training" in text
