"""Importances of holes, and correlations of rungs with the end: by hand, and for any trials."""

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from records import SPACE, search, trial

from ktg.reporting.importances import FEWEST_ENDED, correlate_rungs, first_rung, measure_importances
from ktg.reporting.page import render

ONE = "edges.n1.n0.gate"


def trials(count):
    """Return trials whose accuracy one gate decides; the worse ones stop after two epochs."""
    draw = random.Random(0)
    made = []
    for number in range(1, count + 1):
        gate = draw.choice(["through", "cutoff"])
        free = {
            path: draw.choice(["resnet8", "resnet14"])
            for path in ("nodes.n1.model", "nodes.n2.model")
        }
        values = free | {ONE: gate, "train.lr": draw.uniform(0.01, 0.1)}
        level = (0.8 if gate == "through" else 0.4) + 0.01 * draw.random()
        state, epochs = ("finished", 8) if gate == "through" else ("stopped", 2)
        made.append(trial(number, state, (level,) * epochs, values))
    return made


def test_the_hole_that_decides_comes_first():
    found = measure_importances(search(*trials(60)))
    first = found["holes"][0]
    assert (found["epoch"], found["trials_early"], found["known"]) == (2, 60, True)
    assert first["hole"] == ONE
    assert first["fanova_early"] > 0.9
    assert first["ped_anova_early"] > 0.5
    for column in ("fanova_early", "ped_anova_early", "fanova_end"):
        assert sum(hole[column] for hole in found["holes"]) == pytest.approx(1)
    # Among those that were trained to their end there is no other option left: the caveat of the
    # page.
    assert next(hole for hole in found["holes"] if hole["hole"] == ONE)["fanova_end"] < 0.1


def test_a_few_trials_say_nothing():
    found = measure_importances(search(*trials(9)))
    assert not found["known"]
    assert all(
        hole["fanova_early"] is None and hole["fanova_end"] is None for hole in found["holes"]
    )


def test_too_few_for_one_estimator_leave_the_other():
    holes = measure_importances(search(*trials(20)))["holes"]
    assert all(
        hole["fanova_early"] is not None and hole["ped_anova_early"] is None for hole in holes
    )


def test_the_first_rung_is_that_of_early_stopping_or_the_whole_budget():
    record = search(trial(1))
    assert first_rung(record) == 2
    free = search(
        trial(1),
        space="data: {name: digits}\ntrain: {epochs: 8}\nnodes: {n0: {model: resnet8}}\n"
        "edges: {label -> n0: {gate: {choice: [through, linear]}}}\n"
        "search: {trials: 2, scheduler: none}\n",
    )
    assert first_rung(free) == 8


@pytest.mark.parametrize(
    ("scheduler", "lengths", "states", "said"),
    [
        ("none", [8, 8], ["finished"], "Nothing was stopped here. All 24 trials are compared at"),
        ("asha", [8, 8], ["finished"], "Nothing was stopped here. The bars compare all 24 trials"),
        ("none", [8, 4], ["finished"], "Nothing was stopped here. The bars compare all 24 trials"),
        ("asha", [8, 8], ["finished", "stopped"], "Early stopping limits what this can say."),
    ],
)
def test_the_page_says_at_which_epoch_trials_are_compared(scheduler, lengths, states, said):
    draw, made = random.Random(0), []
    for number in range(24):
        length, state = lengths[number % len(lengths)], states[number % len(states)]
        epochs = length if state == "finished" else 2
        levels = tuple(draw.random() for _ in range(epochs))
        gate = {ONE: draw.choice(["through", "cutoff"])}
        made.append(trial(number, state, levels, gate))
        made[-1].__dict__["epochs"] = length
    space = SPACE.replace("scheduler: asha", f"scheduler: {scheduler}")
    found = measure_importances(search(*made, space=space))
    page = render(
        "report/importance.html", {"importance": found}, found=found, pictures={"importance": ""}
    )
    text = " ".join(re.sub(r"<[^>]*>", "", page).split())
    assert said in text
    at_end = "All 24 trials are compared at their end" in text
    assert at_end == found["at_end"] == (scheduler == "none" and lengths == [8, 8])
    epoch = min(lengths) if scheduler == "none" else 2
    assert (f"after epoch {epoch}, the last that every one of them had" in text) != at_end


def curve(rank: int, at_two: int, at_four: int) -> tuple[float, ...]:
    """Eight epochs; only those of the two rungs and the last matter."""
    return (0.0, at_two / 100, 0.0, at_four / 100, 0.0, 0.0, 0.0, rank / 100)


def test_each_rung_is_compared_with_the_end():
    ended = [trial(i, curve=curve(i, 20 - i, i)) for i in range(1, 11)]
    stopped = trial(11, "stopped", (0.9, 0.9))
    found = correlate_rungs(search(*ended, stopped))
    assert [(one["epoch"], one["trials"], one["spearman"]) for one in found] == [
        (2, 10, pytest.approx(-1.0)),
        (4, 10, pytest.approx(1.0)),
    ]
    assert correlate_rungs(search(*ended[: FEWEST_ENDED - 1])) == []


def test_nothing_is_said_where_nothing_is_stopped_or_all_are_equal():
    record = search(*(trial(i) for i in range(1, 11)))
    assert [one["spearman"] for one in correlate_rungs(record)] == [None, None]
    never = SPACE.replace("scheduler: asha", "scheduler: none")
    assert correlate_rungs(search(*(trial(i) for i in range(1, 11)), space=never)) == []


@pytest.mark.slow
@given(st.lists(st.tuples(*[st.integers(0, 99)] * 3), min_size=FEWEST_ENDED, max_size=20))
def test_only_the_order_counts(drawn):
    plain = [trial(i, curve=curve(*ranks)) for i, ranks in enumerate(drawn)]
    bent = [trial(i, curve=[value**3 for value in curve(*ranks)]) for i, ranks in enumerate(drawn)]
    for one, other in zip(
        correlate_rungs(search(*plain)), correlate_rungs(search(*bent)), strict=True
    ):
        assert one["spearman"] == pytest.approx(other["spearman"])
        assert one["spearman"] is None or abs(one["spearman"]) <= 1 + 1e-9
