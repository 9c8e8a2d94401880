"""What a search spent and saved: counted by hand, and no epoch lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from records import run, search, trial

from ktg.reporting.cost import sum_costs

TEACHERS = """\
data: {name: digits}
train: {epochs: 8}
nodes:
  n0: {model: resnet8}
  n1: {model: {choice: [resnet8, resnet14]}}
edges:
  label -> n0: {}
  n1 -> n0: {gate: {choice: [through, linear]}}
search: {trials: 4}
"""


def test_spent_and_saved_counted_by_hand():
    record = search(
        trial(1, baseline="alone"),
        trial(2, "stopped", (0.1, 0.2), metrics={"epoch_s": 1.5}, rung=2),
        trial(3, "stopped", (0.1, 0.2, 0.3, 0.4), train_s=20.0, rung=4),
        trial(5, "stopped", (0.1,)),  # its time was over
        trial(4, "failed", ()),
        duplicates=(
            run("duplicate", duplicate_of="trial-0002"),
            run("duplicate", duplicate_of="trial-0001 (alone)"),
        ),
    )
    found = sum_costs(record)
    assert (found["trials"], found["epochs"], found["device_s"]) == (5, 15, 16 + 4 + 20 + 2)
    assert found["states"] == {"failed": 1, "finished": 1, "stopped": 3}
    # An epoch of the second is as long as its last one: in the first its teacher was made.
    stopping = {"trials": 2, "epochs": 6 + 4, "device_s": 6 * 1.5 + 4 * 5, "said": None}
    assert found["saved"]["stopping"] == stopping
    # One original is known, the other is not by this name.
    assert found["saved"]["duplicates"] == {"trials": 2, "epochs": 2, "device_s": 4}


def test_gpus_come_before_cores():
    record = search(trial(1), **{"resources.gpus": 0.25})
    assert (sum_costs(record)["device"], sum_costs(record)["devices_per_trial"]) == ("GPU", 0.25)
    assert sum_costs(record)["device_s"] == 0.25 * 16


def test_a_teacher_is_trained_once_for_all_its_graphs():
    graphs = [
        ("resnet8", "through"),
        ("resnet8", "linear"),
        ("resnet14", "linear"),
        ("resnet8", "through"),
    ]
    trials = [
        trial(number, values={"nodes.n1.model": model, "edges.n1.n0.gate": gate}, base={})
        for number, (model, gate) in enumerate(graphs, 1)
    ]
    assert sum_costs(search(*trials, space=TEACHERS))["saved"]["teachers"] == {
        "uses": 4,
        "different": 2,
        "repeated": 2,
        "epochs": 16,
    }


@pytest.mark.parametrize(("epochs", "trainings", "saved"), [(5, 2, 5), (30, 2, 30), (0, 0, 0)])
def test_what_sharing_a_teacher_saved_is_counted_in_its_own_epochs(epochs, trainings, saved):
    """One of no epochs teaches as it is, so that there is nothing to share."""
    space = TEACHERS.replace("n1: {", f"n1: {{epochs: {epochs}, ")
    trials = [
        trial(number, values={"nodes.n1.model": "resnet8", "edges.n1.n0.gate": gate}, base={})
        for number, gate in enumerate(("through", "linear"), 1)
    ]
    found = sum_costs(search(*trials, space=space))["saved"]["teachers"]
    assert (found["uses"], found["epochs"]) == (trainings, saved)


@given(st.lists(st.integers(1, 8), min_size=1, max_size=10))
def test_what_was_trained_and_what_was_saved_is_the_whole_budget(epochs):
    trials = [
        trial(n, "finished" if e == 8 else "stopped", (0.1,) * e, rung=e)
        for n, e in enumerate(epochs, 1)
    ]
    found = sum_costs(search(*trials))
    saved = found["saved"]["stopping"]
    assert found["epochs"] + saved["epochs"] == 8 * len(trials)
    assert found["device_s"] + saved["device_s"] == pytest.approx(16 * len(trials))
