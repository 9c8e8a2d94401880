"""Files for runs that are over, and what dead processes left: stored, refused or set aside."""

import logging

import pytest

from ktg.errors import UserError, show
from ktg.tracking import MlflowTracker, attach, find_experiment, recover
from ktg.tracking.records import Artifact, End, Log, Start, load, save
from ktg.tracking.spool import PREFIX, REFUSED_PREFIX, new_file


@pytest.mark.slow
def test_a_file_is_added_and_replaced_after_the_end(tmp_path):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    with MlflowTracker("space", uri) as tracker:
        run = tracker.start("search")
        tracker.end(run, "stopped", {"best": "1"})
    experiment = find_experiment("space", uri)
    before = experiment.searches()
    for text in ("<p>old", "<p>new \N{EURO SIGN}"):
        attach("space", uri, run, "report.html", text)
    assert experiment.searches() == before
    assert experiment.artifacts(before[0]) == ["report.html"]
    assert experiment.read_artifact(before[0], "report.html") == "<p>new \N{EURO SIGN}"
    assert experiment.artifact_file(before[0], "report.html").read_text() == "<p>new \N{EURO SIGN}"
    assert experiment.artifact_file(before[0], "other.html") is None
    with pytest.raises(UserError, match=r"does not take \.\./x: .*a relative path"):
        attach("space", uri, run, "../x", "")
    with pytest.raises(UserError, match="has no run nothing"):
        attach("space", uri, "nothing", "x", "")


def test_a_server_that_is_away_is_one_sentence():
    with pytest.raises(
        UserError, match=r"MLflow at http://me:\*\*\*@127.0.0.1:9 does not take report.html"
    ):
        attach("space", "http://me:s3cret@127.0.0.1:9", "run", "report.html", "")


def start(run: str) -> Start:
    return Start(run=run, name="search", parent=None, params={}, tags={})


@pytest.mark.slow
def test_what_the_store_refuses_for_good_is_set_aside_and_keeps_no_other_back(tmp_path, caplog):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    records = {
        "x" * 300: [start("a"), End(run="a", state="finished", tags={})],
        "..": [start("b")],
        "space": [start("c"), Log(run="gone", metrics={"loss": 1.0}, step=1)],
    }
    for name, each in records.items():
        save(new_file(tmp_path), name, uri, each)
    with caplog.at_level(logging.WARNING):
        assert recover(uri, tmp_path) == 1
    assert [search.name for search in find_experiment("space", uri).searches()] == ["search"]
    assert not list(tmp_path.glob(f"{PREFIX}*"))
    aside = dict(load(file) for file in tmp_path.glob(f"{REFUSED_PREFIX}*"))
    assert aside == {**records, "space": records["space"][1:]}
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == 3
    for file in tmp_path.glob(f"{REFUSED_PREFIX}*"):
        (one,) = [each for each in said if each.endswith(f"; they are set aside in {file}")]
        assert f"refuses {len(load(file)[1])} records of experiment {show(load(file)[0])}" in one
    assert recover(uri, tmp_path) == 0  # nobody sends them again


@pytest.mark.slow
def test_a_file_name_that_no_disk_takes_is_the_fault_of_the_record(tmp_path):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    poison = [
        Artifact(run="a", name="n" * 300, content=b""),
        Artifact(run="a", name="\0", content=b""),
    ]
    save(new_file(tmp_path), "space", uri, [start("a"), *poison])
    assert recover(uri, tmp_path) == 1
    (file,) = tmp_path.glob(f"{REFUSED_PREFIX}*")
    assert load(file) == ("space", poison)
