"""The ensemble of a search in its report: as the search told it, with what it costs."""

import dataclasses

import pytest

from ktg.reporting import pooled
from ktg.reporting.pooled import describe_pool
from ktg.searching import pool


@pytest.mark.slow
def test_it_is_what_the_search_said_at_its_end(record, searched, reported, page):
    found, told = reported["pool"], searched.result["pool"]
    keys = ("score", "single", "chosen_score", "pooled", "images", "parameters", "sentence")
    assert {key: found[key] for key in keys} == {key: told[key] for key in keys}
    assert found["pooled"] == len([one for one in record.finished if one.said])
    assert found["images"] == reported["validation_images"]
    assert found["sentence"].split("(")[0] in page.replace("&#39;", "'")
    for row in (found, *found["members"]):
        assert row["megabytes"] == pytest.approx(4e-6 * row["parameters"])
    for what in ("parameters", "megabytes", "milliseconds"):
        assert found[what] == pytest.approx(sum(row[what] for row in found["members"]))


@pytest.mark.slow
def test_the_best_training_said_of_the_images_what_was_recorded(record):
    said = pool.unpack(record.best.said)
    right = said.probabilities.argmax(axis=1) == said.labels
    assert right.mean() == pytest.approx(record.best.accuracy)
    assert said.right["n0"].tolist() == right.tolist()


@pytest.mark.slow
def test_without_probabilities_there_is_a_sentence_or_nothing(record, monkeypatch):
    none = [
        dataclasses.replace(one, said=dataclasses.replace(one.said, probabilities=None))
        for one in record.pooled
    ]
    monkeypatch.setitem(record.__dict__, "pooled", none)
    assert describe_pool(record) is None  # forgotten for another cause
    monkeypatch.setattr("ktg.searching.pool.MOST_NUMBERS", 1)
    assert set(describe_pool(record)) == {"why"}
    monkeypatch.setitem(record.__dict__, "pooled", [])
    assert describe_pool(record) is None


def test_an_unknown_cost_makes_the_sum_unknown():
    rows = [dict.fromkeys(pooled._COSTS, 1.0), dict.fromkeys(pooled._COSTS)]
    assert set(pooled._add(rows).values()) == {None}
    assert set(pooled._add(rows[:1]).values()) == {1.0}
