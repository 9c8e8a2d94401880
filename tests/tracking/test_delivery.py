"""A file for a run that is over is stored, replaced, or refused in one sentence."""

import pytest

from ktg.errors import UserError
from ktg.tracking import MlflowTracker, attach, find_experiment


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
