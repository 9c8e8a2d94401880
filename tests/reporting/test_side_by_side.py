"""Searches side by side: in what they differ, and a page whose numbers are those of the data."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from records import SPACE, search
from webpage import look_up, read

from ktg.reporting.page import render_comparison
from ktg.reporting.report import make_report
from ktg.reporting.side_by_side import compare_searches, find_differences, flatten_space


@pytest.fixture(scope="module")
def compared(record):
    return compare_searches([record, record])


@pytest.mark.slow
def test_a_search_beside_itself(compared, record, reported):
    one, two = compared["searches"]
    assert one == two
    assert compared["differences"] == []
    assert compared["same_data"]
    assert one["best"]["val_accuracy"] == record.best.accuracy
    for part in ("cost", "progress"):
        assert one[part] == reported[part]
    assert one["alone"] == next(
        row["val_accuracy"] for row in reported["comparison"] if row["what"] == "alone"
    )


@pytest.mark.slow
def test_its_page_shows_the_numbers_of_the_data(compared):
    page = read(render_comparison(compared))
    plain = json.loads(json.dumps(compared))
    assert len(page.numbers) > 10
    for path, (value, _) in page.numbers.items():
        assert float(value) == look_up(plain, path), path
    assert page.elements["svg"] == 2
    assert "In nothing that their spaces say" in page.text
    for tag, name, value in page.attributes:
        assert name not in ("src", "href", "xlink:href") or value.startswith("#"), (
            tag,
            name,
            value,
        )


@pytest.mark.slow
def test_names_cannot_put_code_into_the_page(compared):
    evil = [search | {"experiment": "<script>$\\frac1"} for search in compared["searches"]]
    rows = [{"place": "<img src=x>", "values": ["<b>", None]}]
    page = read(render_comparison(compared | {"searches": evil, "differences": rows}))
    assert not {"script", "img", "b"} & page.elements.keys()
    assert "<img src=x>" in page.text


@pytest.mark.slow
def test_other_images_and_unfinished_searches_are_called_so(compared):
    running = [search | {"unfinished": True} for search in compared["searches"]]
    text = read(render_comparison(compared | {"searches": running, "same_data": False})).text
    assert "accuracies cannot be compared with one another" in text
    assert "a search is unfinished" in text


def test_places_are_paths_and_holes_one_line():
    said = flatten_space(search(space=SPACE))
    assert said["train.lr"] == "{log: [0.01, 0.1]}"
    assert said["nodes.n2.model"] == "{choice: [resnet8, resnet14]}"
    assert said["edges.n1.n0.gate"] == "{choice: [through, cutoff]}"
    assert said["search.grace_epochs"] == "2"


def test_what_differs_is_told_with_what_is_missing():
    other = SPACE.replace("lr: {log: [0.01, 0.1]}", "lr: 0.05").replace(
        "{trials: 10, ", "{trials: 20, "
    )
    other = other.replace("label -> any: {gate: through}", "label -> n0: {}")
    rows = find_differences(
        [flatten_space(search(space=SPACE)), flatten_space(search(space=other))]
    )
    assert {row["place"]: row["values"] for row in rows} == {
        "train.lr": ["{log: [0.01, 0.1]}", "0.05"],
        **{f"edges.label.n{n}.gate": ["through", None] for n in range(3)},
        "search.trials": ["10", "20"],
    }


SETTINGS = st.dictionaries(st.sampled_from("abcd"), st.sampled_from("xyz"))


@given(st.lists(SETTINGS, min_size=2, max_size=4))
def test_differences_are_exactly_the_places_that_differ(spaces):
    rows = {row["place"]: row["values"] for row in find_differences(spaces)}
    for place in "abcd":
        values = [space.get(place) for space in spaces]
        assert rows.get(place, values) == values
        assert (place in rows) == (len(set(values)) > 1)


@pytest.mark.slow
def test_the_report_and_the_comparison_agree(record, compared):
    cost = make_report(record, retrain=False)["cost"]
    assert compared["searches"][0]["cost"] == cost
