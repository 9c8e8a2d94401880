"""Shares of options: a case counted by hand, and what must hold for any."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from records import search, trial

from ktg.reporting.choices import count_choices, group_title

ONE, TWO = "edges.n1.n0.gate", "edges.n2.n0.gate"


def test_shares_counted_by_hand():
    record = search(
        trial(
            1, baseline="alone", values={ONE: "cutoff", TWO: "cutoff"}
        ),  # baselines are not chosen by the sampler
        trial(
            2, "failed", (), {ONE: "cutoff", TWO: "cutoff"}
        ),  # a failure says nothing of its graph
        trial(3, curve=(0.5,) * 8 + (0.9,)),
        trial(4, values={ONE: "cutoff"}),
        trial(5, "stopped", (0.1, 0.2), {ONE: "cutoff"}),
        trial(6, "stopped", (0.1, 0.2), {ONE: "cutoff", TWO: "cutoff"}),
        trial(7, "running", (0.1,), {ONE: "cutoff", TWO: "cutoff"}),  # nobody knows yet
    )
    groups = {group["title"]: group for group in count_choices(record)}
    assert list(groups) == ["Models", "Gates between nodes"]
    gates = groups["Gates between nodes"]
    assert (gates["holes"], gates["trials"], gates["stop_rate"]) == ([ONE, TWO], 4, 0.5)
    through, cutoff = gates["options"]
    assert through == {
        "option": "through",
        "share": 4 / 8,
        "share_of_stopped": 1 / 4,
        "stop_rate": 1 / 4,
        "in_best": 2,
    }
    assert cutoff == {
        "option": "cutoff",
        "share": 4 / 8,
        "share_of_stopped": 3 / 4,
        "stop_rate": 3 / 4,
        "in_best": 0,
    }


GATE = st.sampled_from(["through", "cutoff"])
TRIALS = st.lists(
    st.tuples(st.sampled_from(["finished", "stopped"]), GATE, GATE), min_size=1, max_size=12
)


@given(TRIALS)
def test_shares_are_of_one_whole(drawn):
    trials = [
        trial(n, state, (0.1,) if state == "stopped" else (0.1,) * 8, {ONE: one, TWO: two})
        for n, (state, one, two) in enumerate(drawn, 2)
    ]
    for group in count_choices(search(trial(1, baseline="alone"), *trials)):
        options = group["options"]
        assert sum(option["share"] for option in options) == pytest.approx(1)
        rates = [(option["stop_rate"] or 0) * option["share"] for option in options]
        assert sum(rates) == pytest.approx(group["stop_rate"])
        if group["stop_rate"]:
            assert sum(option["share_of_stopped"] for option in options) == pytest.approx(1)
        assert sum(option["in_best"] for option in options) == len(group["holes"])


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("edges.label.n1.gate", "Gates from the label"),
        ("edges.n1.n0.gate", "Gates between nodes"),
        ("nodes.n2.model", "Models"),
        ("nodes.n2.source", "Initial weights"),
        ("nodes.n2.frozen_epochs", "nodes.n2.frozen_epochs"),
        ("train.optimizer", "train.optimizer"),
    ],
)
def test_groups_have_names(path, name):
    assert group_title(path) == name


def test_groups_of_one_name_say_of_which_nodes():
    space = """\
data: {name: digits}
train: {epochs: 8}
nodes:
  n0: {model: {choice: [resnet8, resnet14]}}
  n1: {model: {choice: [resnet8, resnet20]}}
edges: {label -> n0: {}, n1 -> n0: {gate: {choice: [through, linear]}}}
"""
    values = {"nodes.n0.model": "resnet8", "nodes.n1.model": "resnet8", ONE: "linear"}
    groups = count_choices(search(trial(1, values=values, base={}), space=space))
    assert [group["title"] for group in groups] == [
        "Models: n0",
        "Models: n1",
        "Gates between nodes",
    ]
