"""Whole searches on Ray: what they store, what they never touch, that they can be repeated."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from command import graph_file, ktg
from PIL import Image

from ktg.errors import DataError, SpecError
from ktg.graph import load_space, parse, parse_space
from ktg.graph.canonical import canonical_key
from ktg.graph.yaml_files import loads
from ktg.searching.budget import Reserve
from ktg.searching.cluster import start_ray
from ktg.searching.recorder import SearchRecorder
from ktg.searching.resume import read_search_to_resume
from ktg.searching.run import search
from ktg.searching.search_queue import SearchQueue
from ktg.tracking import MemoryTracker, MlflowTracker, find_experiment

pytestmark = pytest.mark.slow

PLAIN = {"alone_share": 0, "race_share": 0}
BASELINES = ["alone", "distillation", "mutual learning"]


@pytest.fixture(scope="module")
def ray() -> Iterator[None]:
    """One Ray for the searches of this module that run in this process."""
    with start_ray(cpus=2):
        yield


@pytest.fixture
def found(searched):
    experiment = find_experiment("a search", searched.uri)
    (parent,) = experiment.searches()
    return experiment, parent, experiment.trials(parent)


def test_the_baselines_come_first_and_the_best_is_the_best_of_all_finished(searched, found):
    _, parent, runs = found
    trials = [run for run in runs if run.tags["kind"] == "trial"]
    assert [trial.tags.get("baseline") for trial in trials[:3]] == BASELINES
    assert [row["what"] for row in searched.result["rows"]] == ["best graph", *BASELINES]
    finished = [trial for trial in trials if trial.state == "finished"]
    best = max(
        finished, key=lambda trial: (trial.metrics["val_accuracy"], -trial.metrics["val_loss"])
    )
    assert searched.result["rows"][0]["trial"] == best.name == parent.tags["best_trial"]
    assert searched.result["rows"][0]["accuracy"] == best.metrics["val_accuracy"]
    assert best.tags["key"] == canonical_key(parse(searched.result["best"]))


def test_every_trial_is_a_run_of_its_own_and_none_is_left_running(searched, found):
    _, parent, runs = found
    states = Counter(run.state for run in runs)
    result = searched.result
    counted = {state: result[state] for state in ("finished", "stopped", "failed")}
    assert states == Counter({**counted, "duplicate": result["duplicates"]})
    assert result["finished"] >= 4
    assert result["failed"] >= 1
    assert result["finished"] + result["stopped"] + result["failed"] == 8 + 3
    assert parent.state == "finished"
    assert all(run.end_s is not None for run in (parent, *runs))


def test_a_trial_has_params_metrics_with_steps_tags_and_its_graph(found):
    experiment, _, runs = found
    for run in runs:
        if run.state == "duplicate":
            assert run.tags["duplicate_of"].startswith("trial-")
            continue
        graph = parse(loads(experiment.read_artifact(run, "graph.yaml"), "graph.yaml"))
        assert canonical_key(graph) == run.tags["key"]
        assert "<svg" in experiment.read_artifact(run, "graph.svg")
        if "baseline" not in run.tags:
            edge = graph.edges["label", "n1"]
            assert run.params["edges.label.n1.gate"] == edge.gate
            assert float(run.params["train.lr"]) == graph.train.lr
        epochs = int(run.tags["epoch"])
        for metric in ("val_accuracy", "val_loss", "nodes.n0.val_accuracy", "edges.label.n0.loss"):
            assert [step for step, _ in experiment.history(run, metric)] == list(
                range(1, epochs + 1)
            ), metric
        assert (epochs == 4) == (run.state == "finished")


def test_a_trial_that_failed_says_why_and_the_search_goes_on(searched, found):
    _, _, runs = found
    failed = [run for run in runs if run.state == "failed"]
    became = r"the loss of edge .+ -> .+ became (nan|inf)"
    reason = became + r" in epoch 1, step \d of 6 .*; try a lower train.lr"
    for run in failed:
        assert re.match(reason, run.tags["reason"])
        assert f"{run.name} failed: {run.tags['reason']}\n" in searched.shown
    assert max(run.start_s for run in runs) > min(run.end_s for run in failed)
    assert re.match(reason, searched.result["commonest_failure"])


def test_the_parent_holds_the_space_and_the_best(searched, found):
    experiment, parent, _ = found
    space = parse_space(loads(experiment.read_artifact(parent, "space.yaml"), "space.yaml"))
    assert space.holes == load_space(searched.folder / "space.yaml").holes
    best = parse(loads(experiment.read_artifact(parent, "best.yaml"), "best.yaml"))
    assert best == parse(searched.result["best"])
    assert "<svg" in experiment.read_artifact(parent, "best.svg")
    assert {"data.fingerprint", "version.torch", "version.ray"} <= parent.tags.keys()
    curve = [accuracy for _, accuracy in experiment.history(parent, "best_val_accuracy")]
    assert curve == sorted(curve)
    assert curve[-1] == searched.result["rows"][0]["accuracy"]


def test_the_folder_holds_the_store_and_nothing_else(searched):
    assert {path.name for path in searched.folder.iterdir()} == {
        "space.yaml",
        "mlflow.db",
        "mlruns",
    }
    assert not list(
        Path(os.environ["KTG_CACHE"], "ray").iterdir()
    )  # nor do Ray's own files stay anywhere


def picture_folders(root: Path) -> Path:
    """Write train/ val/ test/ with two classes of noise around two greys."""
    noise = np.random.default_rng(0)
    for split, count in (("train", 24), ("val", 12), ("test", 12)):
        for name, grey in (("dark", 90), ("light", 120)):
            folder = root / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                pixels = noise.normal(grey, 60, (8, 8, 3)).clip(0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{i}.png")
    return root


def test_a_search_can_be_repeated_and_never_reads_the_test_split(ray, tmp_path):
    data = picture_folders(tmp_path / "data")
    space = load_space(
        graph_file(
            tmp_path / "space.yaml",
            data,
            train={"lr": {"log": [0.01, 0.1]}},
            edges={
                "label -> n0": {},
                "any -> any": {"gate": {"choice": ["through", "cutoff", "linear"]}},
            },
            search={
                "trials": 3,
                "sampler": "random",
                "scheduler": "none",
                "baselines": False,
                "seed": 5,
                **PLAIN,
            },
        )
    )
    outcomes = []
    for spoil in (b"not an image", None):
        tracker = MemoryTracker()
        for file in (data / "test").rglob("*.png"):
            file.write_bytes(spoil) if spoil else file.unlink()
        result = search(space, "again", tracker)
        trials = [run for run in tracker.runs.values() if run.tags["kind"] == "trial"]
        assert {trial.state for trial in trials} == {"finished"}
        outcomes.append({trial.tags["key"]: trial.history("val_loss") for trial in trials})
    assert len(outcomes[0]) == 3
    assert outcomes[0] == outcomes[1]
    (tmp_path / "best.yaml").write_text(
        json.dumps(json.loads(json.dumps(result.to_json()))["best"])
    )
    done = ktg("train", "best.yaml", folder=tmp_path)
    assert (done.code, done.out) == (2, "")
    assert "no images in test/dark, test/light" in done.err
    assert not (tmp_path / "mlflow.db").exists()  # found before any training


def test_when_all_trials_fail_the_commonest_reason_is_told(ray, tiny, tmp_path):
    graph_file(
        tmp_path / "hopeless.yaml",
        tiny,
        train={"lr": {"choice": [1e30, 1e29]}},
        nodes={"n0": {"model": "resnet8"}},
        edges={"label -> n0": {}},
        search={"trials": 1},
    )
    done = ktg("search", "hopeless.yaml", folder=tmp_path)
    assert done.code == 1
    assert "0 finished, 0 stopped early, 2 failed" in done.out
    assert "Next:" not in done.out
    assert re.fullmatch(
        r"ktg: no trial finished; the most common reason: the loss of edge label -> n0 .*\n",
        done.err,
    )
    (parent,) = find_experiment("hopeless", f"sqlite:///{tmp_path}/mlflow.db").searches()
    assert parent.state == "failed"


def test_what_can_never_run_is_refused_before_anything_is_written(ray, tiny, tmp_path):
    greedy = {"search": {"cpus_per_trial": 1000}, "train": {"lr": {"log": [0.01, 0.1]}}}
    space = load_space(graph_file(tmp_path / "space.yaml", tiny, **greedy))
    tracker = MemoryTracker()
    with pytest.raises(
        SpecError, match=r"^search.cpus_per_trial: 1000 is more than there are here"
    ):
        search(space, "greedy", tracker)
    assert not tracker.runs


def test_data_that_cannot_be_read_are_found_before_ray_is_started(tmp_path):
    data = picture_folders(tmp_path / "data")
    (data / "train" / "dark" / "0.png").write_bytes(b"not an image")
    space = load_space(
        graph_file(tmp_path / "space.yaml", data, train={"lr": {"log": [0.01, 0.1]}})
    )
    tracker = MemoryTracker()
    with pytest.raises(DataError, match=r"train/dark/0\.png"):
        search(space, "broken", tracker)
    assert not tracker.runs


def test_ctrl_c_ends_a_search_cleanly_and_resume_goes_on_with_it(tiny, tmp_path):
    graph_file(
        tmp_path / "space.yaml",
        tiny,
        train={"epochs": 6, "lr": {"log": [0.01, 0.1]}},
        search={"trials": 500, "sampler": "random", "scheduler": "none", **PLAIN},
    )
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    command = [Path(sys.executable).with_name("ktg"), "search", "space.yaml", "--name", "cut short"]
    running = subprocess.Popen(
        command,
        cwd=tmp_path,
        env=os.environ | {"MLFLOW_TRACKING_URI": uri},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_until_one_has_finished(uri, running)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate()
    finally:
        running.kill()
    assert running.returncode == 130
    assert "best graph" in out
    assert "Interrupted; what was found so far is kept." in out
    assert "ktg search 'cut short' --resume" in out
    assert "ktg export 'cut short' -o best.yaml" in out
    assert err.strip() == "ktg: interrupted"
    assert not children_of(running.pid)
    experiment = find_experiment("cut short", uri)
    (parent,) = experiment.searches()
    assert parent.state == "interrupted"
    before = {trial.name: trial for trial in experiment.trials(parent)}
    assert {trial.state for trial in before.values()} == {"finished", "interrupted"}
    assert ktg("export", "cut short", "--tracking-uri", uri, folder=tmp_path).code == 0

    trials = sum("baseline" not in trial.tags for trial in before.values()) + 1
    done = ktg(
        "search",
        "cut short",
        "--resume",
        "--trials",
        trials,
        "--tracking-uri",
        uri,
        folder=tmp_path,
    )
    assert (done.code, done.err) == (0, "")
    (parent,) = experiment.searches()
    after = {trial.name: trial for trial in experiment.trials(parent)}
    compared = sum("baseline" in trial.tags for trial in after.values())
    assert compared in (3, 4)  # without the distilled ensemble, if it was not its turn yet
    assert (parent.state, len(after)) == ("finished", trials + compared)
    for name, trial in after.items():
        assert trial.state == "finished"
        assert [step for step, _ in experiment.history(trial, "val_accuracy")] == [1, 2, 3, 4, 5, 6]
        if name in before and before[name].state == "finished":
            assert trial == before[name]


def wait_until_one_has_finished(uri: str, running: subprocess.Popen) -> None:
    while running.poll() is None:
        time.sleep(0.5)
        try:
            experiment = find_experiment("cut short", uri)
            if any(
                trial.state == "finished" for trial in experiment.trials(experiment.searches()[0])
            ):
                return
        except Exception:  # the store is being made
            continue
    pytest.fail(f"no trial finished: {running.communicate()}")


def children_of(pid: int) -> list[str]:
    """Return the command lines of processes that belong to the Ray session of a process."""
    session = re.compile(rf"session_[\d_-]+_{pid}\b")
    lines = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = process.read_text().replace("\0", " ")
        except OSError:
            continue
        if session.search(line):
            lines.append(line)
    return lines


def test_a_search_has_arm_and_race_and_says_what_is_left_of_its_budget(ray, tiny, tmp_path):
    space = load_space(
        graph_file(
            tmp_path / "space.yaml",
            tiny,
            train={"epochs": 2, "lr": {"log": [0.01, 0.1]}},
            edges={"label -> any": {}, "any -> any": {"gate": {"choice": ["through", "cutoff"]}}},
            search={"trials": 3, "budget": "2h", "sampler": "random", "metric": "macro_f1"},
        )
    )
    tracker = MemoryTracker()
    result = search(space, "in time", tracker, reserve=Reserve(0.0, 10.0))
    assert 0 < result.left_s < 7200
    assert (result.metric, result.stopped, result.failed) == ("macro_f1", 0, 0)
    trials = [run for run in tracker.runs.values() if run.tags["kind"] == "trial"]
    assert sum(run.tags.get("arm") == "tuned alone" for run in trials) == 1
    raced = [run for run in trials if "race_of" in run.tags]
    assert len(raced) == result.repeats >= 1
    seeds = {int(run.tags["seed"]) for run in raced}
    assert seeds == set(range(101, 101 + len(seeds)))
    assert result.rows[0].n >= 1
    assert "tuned alone" in result.rows[1].what or "tuned alone" in result.rows[0].trial
    (parent,) = (run for run in tracker.runs.values() if run.parent is None)
    assert parent.params["search.budget"] == "2h"
    stored = parse_space(loads(parent.artifacts["space.yaml"], "space.yaml"))
    assert stored.search == space.search


def test_a_search_that_goes_on_knows_from_the_first_what_is_spent_of_its_budget(
    ray, tiny, tmp_path, new_store
):
    uri, timed = new_store(), {"budget": "60s", "sampler": "random", **PLAIN}
    file = graph_file(tmp_path / "space.yaml", tiny, train={"epochs": 2}, search=timed)
    queue = SearchQueue(load_space(file))
    with MlflowTracker("late", uri) as tracker:
        recorder = SearchRecorder(tracker, queue, "late", {})
        trial = queue.propose()
        recorder.on_start(trial)
        queue.advance(60.0)
        for epoch in (1, 2):
            queue.record_epoch(trial, epoch, {"val_accuracy": 0.5, "val_loss": 1.0}, 1.0)
            recorder.on_epoch(trial)
        assert tracker.flush()
        tracker._running.clear()  # killed: nothing is ended
    past = read_search_to_resume(find_experiment("late", uri))
    with MlflowTracker("late", uri) as tracker:
        result = search(past.space, "late", tracker, past=past)
    assert (result.finished, result.interrupted) == (1, False)
    experiment = find_experiment("late", uri)
    (parent,) = experiment.searches()
    spent = [seconds for _, seconds in experiment.history(parent, "elapsed_s")]
    assert len(spent) > 2
    assert min(spent) >= 60.0
