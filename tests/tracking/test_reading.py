import time

import pytest

from ktg.errors import UserError
from ktg.tracking import MlflowTracker, find_experiment
from ktg.tracking.store import open_client


@pytest.fixture
def uri(tmp_path):
    return f"sqlite:///{tmp_path}/mlflow.db"


def test_no_store_is_said_and_none_is_made(uri, tmp_path):
    with pytest.raises(UserError, match="there is no MLflow store"):
        find_experiment("space", uri)
    assert not list(tmp_path.iterdir())


def test_a_name_nearly_right_is_guessed(uri):
    with MlflowTracker("digits-gates", uri) as tracker:
        tracker.start("search")
    with pytest.raises(UserError, match=r"it has: digits-gates\. Did you mean 'digits-gates'"):
        find_experiment("digit-gate", uri)


def test_a_server_that_is_away_is_one_sentence():
    with pytest.raises(UserError, match=r"cannot read from MLflow at http://me:\*\*\*@127.0.0.1:9"):
        find_experiment("space", "http://me:s3cret@127.0.0.1:9")


@pytest.mark.slow
def test_searches_newest_first_and_trials_in_order(uri):
    with MlflowTracker("space", uri) as tracker:
        for number in range(3):
            parent = tracker.start(f"search {number}")
            for trial in range(number):
                tracker.end(tracker.start(f"trial {trial}", parent=parent), "finished")
                time.sleep(0.002)  # the store orders by milliseconds
            tracker.end(parent, "finished")
            time.sleep(0.002)
    experiment = find_experiment("space", uri)
    searches = experiment.searches()
    assert [search.name for search in searches] == ["search 2", "search 1", "search 0"]
    assert [[t.name for t in experiment.trials(s)] for s in searches] == [
        ["trial 0", "trial 1"],
        ["trial 0"],
        [],
    ]
    assert searches[0].end_s >= searches[0].start_s
    assert experiment.history(searches[0], "never logged") == []
    with pytest.raises(UserError, match=r"search 2.*cannot read 'graph.yaml'"):
        experiment.read_artifact(searches[0], "graph.yaml")


@pytest.mark.slow
def test_more_trials_than_one_page(uri):
    from mlflow.entities import Metric, Param, RunTag

    with MlflowTracker("space", uri) as tracker:
        tracker.start("search")
    experiment = find_experiment("space", uri)
    (search,) = experiment.searches()
    client = open_client(uri)
    for number in range(3):
        run = client.create_run(experiment.id, tags={"mlflow.parentRunId": search.id}).info.run_id
        client.log_batch(
            run, [Metric("acc", number, 0, 0)], [Param("n", str(number))], [RunTag("t", "x")]
        )
    from ktg.tracking import reading

    before, reading._PAGE = reading._PAGE, 2
    try:
        trials = experiment.trials(search)
    finally:
        reading._PAGE = before
    assert {(t.params["n"], t.metrics["acc"], t.run, t.state) for t in trials} == {
        (str(n), n, "", "running") for n in range(3)
    }


@pytest.mark.slow
def test_trainings_are_found_in_every_experiment_without_their_seeds(uri):
    for name in ("space", "best"):
        with MlflowTracker(name, uri) as tracker:
            parent = tracker.start(f"of {name}", tags={"kind": "train"})
            tracker.end(tracker.start("seed 0", parent=parent, tags={"kind": "train"}), "finished")
            tracker.end(tracker.start("a search", tags={"kind": "search"}), "finished")
            tracker.end(parent, "finished")
            time.sleep(0.002)
    assert [run.name for run in find_experiment("space", uri).trainings()] == [
        "of best",
        "of space",
    ]


def test_a_file_that_is_no_store_is_one_sentence(tmp_path):
    (tmp_path / "mlflow.db").write_text(
        "this is no database, but long enough to be taken for one " * 20
    )
    with pytest.raises(
        UserError, match=r"^cannot read from MLflow at sqlite:.*: .*file is not a database"
    ):
        find_experiment("space", f"sqlite:///{tmp_path}/mlflow.db")
