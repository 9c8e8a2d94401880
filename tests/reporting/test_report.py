"""A report as plain data: of JSON's kinds, complete, and no seed or version made up."""

import json
import math

import pytest

from ktg.reporting.report import describe_environment, make_report


def numbers(value):
    """Return all numbers in plain data."""
    if isinstance(value, dict | list | tuple):
        items = value.values() if isinstance(value, dict) else value
        return [number for item in items for number in numbers(item)]
    return [value] if isinstance(value, float) else []


@pytest.mark.slow
def test_it_is_plain_and_finite(reported):
    assert json.loads(json.dumps(reported, allow_nan=False)) == json.loads(json.dumps(reported))
    assert all(math.isfinite(number) for number in numbers(reported))


@pytest.mark.slow
def test_the_parts_belong_together(reported, record):
    trials = reported["trials"]
    assert (
        len(trials) == len(reported["progress"]) == reported["cost"]["trials"] == len(record.trials)
    )
    assert sum(trial["epoch"] for trial in trials) == reported["cost"]["epochs"]
    assert reported["comparison"][0]["trial"] == reported["best"]["trial"]
    best = next(trial for trial in trials if trial["trial"] == reported["best"]["trial"])
    assert best["val_accuracy"][-1] == reported["comparison"][0]["val_accuracy"]
    assert (
        reported["validation_images"]
        == reported["mistakes"]["images"]
        == reported["environment"]["data"]["val"]
    )
    end = {row["node"]: row["val_accuracy"] for row in reported["best"]["at_end"]["nodes"]}
    assert end["n0"] == best["val_accuracy"][-1]
    failed = [trial for trial in trials if trial["state"] == "failed"]
    assert failed
    assert all("nan" in trial["reason"] or "inf" in trial["reason"] for trial in failed)


@pytest.mark.slow
def test_where_it_ran_is_what_the_search_wrote_down(record):
    found = describe_environment(record)
    assert found["data_fingerprint"] == record.run.tags["data.fingerprint"]
    assert found["versions"]["torch"] == record.run.tags["version.torch"]
    assert (found["sampler_seed"], found["training_seeds"]) == (0, [0])


@pytest.mark.slow
def test_without_another_training_the_rest_is_the_same(record, reported):
    again = make_report(record, retrain=False)
    assert again | {"environment": 0} == reported | {"environment": 0}


@pytest.mark.slow
def test_the_report_says_what_to_ship(record, reported):
    ship = reported["ship"]
    assert ship["basis"] == "validation"
    known = {record.best.name} | {one.name for one in record.finished if one.baseline}
    assert ship["trial"] in known
    assert ship["sentence"].startswith(f"Ship {ship['what']}")
