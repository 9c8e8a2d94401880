import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ktg.tracking import UsedData, find_experiment
from ktg.tracking.records import Artifact, End, Log, Record, Start
from ktg.tracking.store import open_client
from ktg.tracking.writer import STATUS, Writer, _group_by_run


def start(run: str, parent: str | None = None, resumed: bool = False, **params: object) -> Start:
    return Start(run=run, name=run, parent=parent, params=params, tags={}, resumed=resumed)


@pytest.fixture
def uri(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/mlflow.db"


@pytest.fixture
def writer(uri: str) -> Writer:
    return Writer("my space", uri)


def trials(uri: str) -> list:
    experiment = find_experiment("my space", uri)
    return experiment.trials(experiment.searches()[0])


@pytest.mark.slow
def test_every_state_has_its_status(writer, uri):
    records = [start("p"), *(start(state, "p") for state in STATUS)]
    records += [End(run=state, state=state, tags={"why": state}) for state in STATUS]
    assert writer.write(records) == []
    assert {(t.name, t.state, t.status, t.tags["why"]) for t in trials(uri)} == {
        (s, s, STATUS[s], s) for s in STATUS
    }


@pytest.mark.slow
def test_more_than_a_batch_and_longer_than_a_value(writer, uri, tmp_path):
    params = {f"p{i}": i for i in range(230)} | {"long": "x" * 9000, "n1 -> n0": "arrow"}
    tags = {f"t{i}": "y" for i in range(130)} | {"long": "x" * 9000}
    metrics = {f"m{i}": float(i) for i in range(1200)}
    begin = Start(run="p", name="p", parent=None, params=params, tags=tags)
    assert (
        writer.write(
            [begin, Log(run="p", metrics=metrics, step=0), Log(run="p", metrics=metrics, step=1)]
        )
        == []
    )
    run = find_experiment("my space", uri).searches()[0]
    assert (len(run.params), len(run.params["long"]), run.params["n1 -_ n0"]) == (
        232,
        6000,
        "arrow",
    )
    assert (len(run.tags["long"]), run.tags["t129"], run.metrics) == (8000, "y", metrics)


@pytest.mark.slow
def test_numbers_that_are_not_finite_come_back(writer, uri):
    values = [math.nan, math.inf, -math.inf, 1.5]
    writer.write(
        [start("p"), *(Log(run="p", metrics={"loss": v}, step=i) for i, v in enumerate(values))]
    )
    experiment = find_experiment("my space", uri)
    assert [v for _, v in experiment.history(experiment.searches()[0], "loss")] == pytest.approx(
        values, nan_ok=True
    )


@pytest.mark.slow
def test_writing_twice_changes_nothing_even_by_another_writer(writer, uri):
    records = [
        start("p"),
        start("a", "p", gate="linear"),
        Log(run="a", metrics={"acc": 0.5, "nan": math.nan}, step=1),
    ]
    records += [
        Artifact(run="a", name="graph.yaml", content=b"g"),
        End(run="a", state="finished", tags={}),
    ]
    for again in (writer, writer, Writer("my space", uri, look_before_create=True)):
        assert again.write(records) == []
    (trial,) = trials(uri)
    assert find_experiment("my space", uri).history(trial, "acc") == [(1, 0.5)]
    assert trial.state == "finished"


@pytest.mark.slow
def test_going_on_after_a_dead_process(writer, uri):
    """The search and one trial go on, one trial was over, and the last is known to no one."""
    writer.write([start("p"), *(start(name, "p") for name in ("known", "over", "forgotten"))])
    writer.write([End(run="over", state="stopped", tags={})])
    later = Writer("my space", uri)
    later.write(
        [
            start("p", resumed=True),
            start("known", "p", resumed=True),
            start("never sent", "p", resumed=True),
        ]
    )
    states = {t.name: (t.state, t.end_s is None) for t in trials(uri)}
    assert states == {
        "known": ("running", True),
        "never sent": ("running", True),
        "over": ("stopped", False),
        "forgotten": ("interrupted", False),
    }
    later.write(
        [
            Log(run="known", metrics={"acc": 0.7}, step=2),
            End(run="known", state="finished", tags={}),
        ]
    )
    assert [(t.state, t.metrics) for t in trials(uri) if t.name == "known"] == [
        ("finished", {"acc": 0.7})
    ]


@pytest.mark.slow
def test_a_refused_record_stops_no_other(writer, uri, tmp_path):
    bad = [
        Log(run="nobody", metrics={"a": 1.0}, step=0),
        Artifact(run="p", name="x", content=tmp_path / "gone"),
    ]
    bad += [
        Artifact(run="p", name="../../escape.txt", content=b"x"),
        Start(run="p", name="", parent=None, params={"a": 2}, tags={}),
    ]
    good = [start("p", a=1), Log(run="p", metrics={"ok": 1.0}, step=0)]
    refused = writer.write([*good, *bad, End(run="p", state="finished", tags={})])
    assert [record for record, _ in refused] == bad
    run = find_experiment("my space", uri).searches()[0]
    assert (run.state, run.metrics) == ("finished", {"ok": 1.0})
    assert not list(tmp_path.rglob("escape.txt"))


@pytest.mark.slow
def test_artifacts_lie_beside_the_store_whatever_the_working_folder(
    writer, uri, tmp_path, monkeypatch
):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    (tmp_path / "weights.bin").write_bytes(b"\x00\x01")
    writer.write(
        [
            start("p"),
            Artifact(run="p", name="report/page.html", content=b"<p>"),
            Artifact(run="p", name="model.bin", content=tmp_path / "weights.bin"),
        ]
    )
    assert (next((tmp_path / "mlruns").rglob("model.bin"))).read_bytes() == b"\x00\x01"
    experiment = find_experiment("my space", uri)
    assert experiment.read_artifact(experiment.searches()[0], "report/page.html") == "<p>"
    assert not list(Path.cwd().iterdir())


@pytest.mark.slow
def test_an_experiment_in_the_bin_is_taken_back(writer, uri):
    from mlflow.tracking import MlflowClient

    writer.write([start("p")])
    client = MlflowClient(uri)
    client.delete_experiment(find_experiment("my space", uri).id)
    assert Writer("my space", uri).write([start("q")]) == []
    assert {run.name for run in find_experiment("my space", uri).searches()} == {"p", "q"}


@given(st.lists(st.tuples(st.sampled_from("ab"), st.booleans())))
def test_grouping_keeps_every_runs_order_and_all_records(calls):
    records: list[Record] = [
        Log(run=run, metrics={}, step=i) if is_log else End(run=run, state="finished", tags={})
        for i, (run, is_log) in enumerate(calls)
    ]
    flat = [record for group in _group_by_run(records) for record in group]
    for run in "ab":
        assert [id(r) for r in flat if r.run == run] == [id(r) for r in records if r.run == run]


@pytest.mark.slow
def test_the_images_of_a_run_and_who_made_it(writer, uri):
    counts = {"classes": 2, "training images": 20}
    data = UsedData(
        name="birds", fingerprint="0123456789abcdef" * 4, source="/data/birds", counts=counts
    )
    records = [
        Start(run="p", name="p", parent=None, params={}, tags={}, data=data),
        End(run="p", state="finished", tags={}),
    ]
    for again in (writer, Writer("my space", uri, look_before_create=True)):
        assert again.write(records) == []
    client, (search,) = open_client(uri), find_experiment("my space", uri).searches()
    (used,) = client.get_run(search.id).inputs.dataset_inputs
    assert (used.dataset.name, used.dataset.digest) == ("birds", "0123456789abcdef" * 2)
    assert json.loads(used.dataset.profile) == counts
    assert json.loads(used.dataset.source) == {"uri": "/data/birds"}
    assert search.tags["mlflow.source.name"] == "ktg"
    found = client.search_runs([find_experiment("my space", uri).id], "dataset.name = 'birds'")
    assert [run.info.run_id for run in found] == [search.id]


def test_what_was_begun_goes_on_when_the_store_fails_in_between(new_store, monkeypatch):
    uri = new_store()
    Writer("my space", uri).write([start("p"), start("dead", "p")])
    later = Writer("my space", uri)
    records = [start("p", resumed=True), start("new", "p")]
    records.append(Log(run="new", metrics={"acc": 0.5}, step=1))

    log = later._client.log_batch

    def fail_at_metrics(run, metrics=(), **more):
        if not metrics:
            return log(run, **more)
        monkeypatch.undo()
        raise OSError("the store is away")

    monkeypatch.setattr(later._client, "log_batch", fail_at_metrics)
    with pytest.raises(OSError, match="away"):
        later.write(records)
    assert later.write(records) == []
    states = {run.name: run.state for run in trials(uri)}
    assert states == {"dead": "interrupted", "new": "running"}


def test_a_run_that_ended_is_taken_up_once_more_by_the_same_writer(new_store):
    uri = new_store()
    Writer("my space", uri).write([start("p")])
    later = Writer("my space", uri)
    later.write([start("p", resumed=True), End(run="p", state="interrupted", tags={})])
    later.write([start("p", resumed=True)])
    assert find_experiment("my space", uri).searches()[0].state == "running"
