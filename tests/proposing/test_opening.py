"""The arrangements that are tried first."""

import re

import pytest

from ktg.proposing.opening import (
    EPOCHS,
    LABEL_GATE,
    LONGEST,
    OPENING,
    TEACHER_GATE,
    TEACHER_T,
    choose_opening,
)

HOLES = (LABEL_GATE, TEACHER_GATE, TEACHER_T)


def test_a_teacher_without_labels_comes_first_where_there_are_unlabelled_images():
    first = choose_opening(["teacher", "unlabelled"], HOLES)[0]
    assert first.settings == {LABEL_GATE: "cutoff", TEACHER_GATE: "through", TEACHER_T: 2.0}
    assert "+7.7" in first.why


@pytest.mark.parametrize("has", [(), ("teacher",), ("unlabelled",), ("teacher", "unlabelled")])
def test_only_what_makes_sense_is_proposed(has):
    chosen = choose_opening(has, HOLES)
    assert all(one.needs <= set(has) for one in chosen)
    names = [one.name for one in OPENING]
    assert [names.index(one.name) for one in chosen] == sorted(
        names.index(one.name) for one in chosen
    )


def test_settings_without_a_hole_are_left_out_and_equal_ones_are_listed_once():
    assert choose_opening(["teacher"], []) == []
    chosen = choose_opening(["teacher", "unlabelled"], [TEACHER_T])
    assert [one.settings for one in chosen] == [{TEACHER_T: 2.0}]


def test_more_epochs_are_tried_where_there_is_a_hole_for_them():
    chosen = choose_opening(["teacher", "longer"], [*HOLES, EPOCHS], longest=40)
    (longer,) = (one for one in chosen if EPOCHS in one.settings)
    assert longer.settings == {LABEL_GATE: "through", TEACHER_GATE: "cutoff", EPOCHS: 40}
    assert [one.settings for one in choose_opening(["longer"], [EPOCHS], 40)] == [{EPOCHS: 40}]
    assert LONGEST not in [value for one in chosen for value in one.settings.values()]


def test_every_arrangement_has_its_figures():
    assert all(re.search(r"\d", one.why) for one in OPENING)
    assert not any("no figure" in one.why for one in OPENING)
