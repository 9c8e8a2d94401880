"""A confirmation on Ray: cut short, resumed while a graph breaks, mended, and then left alone."""

import json
import re
import shutil
import threading
import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from command import Done, ktg

from ktg import api
from ktg.api.confirm import run_confirmation as confirm
from ktg.errors import UserError
from ktg.graph import parse
from ktg.graph.canonical import with_seed
from ktg.searching import driver_lock, worker
from ktg.searching.cluster import start_ray
from ktg.searching.confirm import run as module
from ktg.searching.confirm.finalists import read_finalists
from ktg.searching.confirm.queue import read_seed_run
from ktg.searching.confirm.store import find_confirmations
from ktg.searching.seeds import train_seeds
from ktg.tracking import Experiment, MemoryTracker, find_experiment, request_stop
from ktg.training import Training

pytestmark = pytest.mark.slow

SEEDS = (1000, 1001, 1002)


@dataclass(frozen=True)
class Cut:
    """A `ktg confirm` that was stopped: the folder with its store, and how the command ended."""

    folder: Path
    done: Done

    @property
    def uri(self) -> str:
        return f"sqlite:///{self.folder}/mlflow.db"

    @property
    def experiment(self) -> Experiment:
        return find_experiment("a search", self.uri)


@pytest.fixture(scope="module")
def ray():
    with start_ray(cpus=2):
        yield


@pytest.fixture(scope="module")
def cut(searched, ray, tmp_path_factory) -> Cut:
    """Confirm with so many seeds that only the best graph's turn comes, and stop in the middle."""
    folder = tmp_path_factory.mktemp("cut")
    shutil.copy(searched.folder / "mlflow.db", folder)
    uri = f"sqlite:///{folder}/mlflow.db"
    thread = threading.Thread(target=stop_when_two_are_finished, args=(uri,))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(driver_lock, "POLL_S", 0.1)
        thread.start()
        done = ktg("confirm", "a search", "--seeds", "500", "--tracking-uri", uri, folder=folder)
        thread.join()
    return Cut(folder, done)


def stop_when_two_are_finished(uri: str) -> None:
    for _ in range(1000):
        time.sleep(0.1)
        experiment = find_experiment("a search", uri)
        runs = [
            run for parent in find_confirmations(experiment) for run in experiment.trials(parent)
        ]
        if sum(run.state == "finished" for run in runs) >= 2:
            request_stop("a search", uri)
            return


def breaking(folder):
    """Return a worker that lists what it trains, and whose memory is too small for one training."""

    class Breaking(worker.Worker):
        def _open_training(self):
            if self.training is None:
                graph = parse(json.loads(self.config["graph"]))
                gates = sum(edge.gate != "cutoff" for edge in graph.edges.values())
                with (folder / "trained").open("a") as file:
                    file.write(f"{gates} {graph.train.seed}\n")
            return super()._open_training()

        def step(self):
            graph = json.loads(self.config["graph"])
            edges = graph["edges"].items()
            opened = [name for name, edge in edges if edge.get("gate", "through") != "cutoff"]
            if opened == ["label -> n0"] and graph["train"]["seed"] == SEEDS[1]:
                with patch.object(
                    Training, "__next__", side_effect=torch.OutOfMemoryError("CUDA out of memory")
                ):
                    return super().step()
            return super().step()

    return Breaking


@pytest.fixture(scope="module")
def broken(cut, ray, tmp_path_factory):
    """Go on with fewer seeds, while `alone` breaks with one of them."""
    folder = tmp_path_factory.mktemp("broken")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(worker, "Worker", breaking(folder))
        confirmation = confirm("a search", 1, 3, cut.uri)
    return confirmation, Counter((folder / "trained").read_text().splitlines())


@pytest.fixture(scope="module")
def mended(cut, broken):
    """Confirm again, and nothing breaks; what the command printed, and how the store was before."""
    before = children(cut)
    done = ktg(
        "confirm", "a search", "--seeds", 3, "--json", "--tracking-uri", cut.uri, folder=cut.folder
    )
    return done, before


def children(cut):
    experiment = cut.experiment
    return {
        run.name: run
        for run in experiment.trials(find_confirmations(experiment)[0])
        if run.state != "interrupted"
    }


def test_an_interruption_keeps_what_was_done_says_how_to_go_on_and_tells_no_result(cut):
    assert (cut.done.code, cut.done.err.strip()) == (130, "ktg: interrupted")
    done = int(re.search(r"(\d+) of \d+ trainings are done and kept", cut.done.out)[1])
    assert "ktg confirm 'a search' --top 1 --seeds 500" in cut.done.out
    assert "%" not in cut.done.out
    (parent,) = find_confirmations(cut.experiment)
    states = Counter(run.state for run in cut.experiment.trials(parent))
    assert done >= 2
    assert states["finished"] >= done  # a later test may have added some
    assert states["running"] == 0
    now = api.status("a search", tracking_uri=cut.uri).confirmation
    assert now.finished == states["finished"]
    assert now.running == ()


def test_what_was_done_before_is_not_trained_again_and_a_failure_loses_nothing_else(broken):
    confirmation, trained = broken
    assert set(trained.values()) == {1}
    best, *others = confirmation.rows
    assert len(best.runs) == 3
    assert (
        sum(trained.values()) <= 3 * len(others) + 1
    )  # two of the best graph at least were done before
    (alone,) = (row for row in confirmation.rows if row.failures)
    assert (alone.baseline, alone.failures) == (
        "alone",
        {1001: "out of memory at data.batch_size 16; try 8"},
    )
    assert [run.seed for run in alone.runs] == [1000, 1002]
    assert best.mean is not None
    (against,) = (each for each in confirmation.differences if each.against == "alone")
    assert (against.interval, against.verdict) == (None, "not proven")
    assert all(each.interval for each in confirmation.differences if each.against != "alone")


def test_a_later_call_trains_only_what_failed(mended, cut):
    done, before = mended
    assert done.code == 0, done.err
    after = children(cut)
    new = {name for name, run in after.items() if before.get(name) != run}
    assert new == {"alone, seed 1001"}
    result = json.loads(done.out)
    assert {row["n"] for row in result["rows"]} == {3}
    assert not any(row["failures"] for row in result["rows"])
    assert all(each["interval"] for each in result["differences"])
    now = api.status("a search", tracking_uri=cut.uri).confirmation
    assert (now.state, now.trainings, now.sentence) == (
        "finished",
        3 * len(result["rows"]),
        result["sentence"],
    )


@pytest.mark.usefixtures("one_thread")
def test_a_worker_trains_what_ktg_train_would(mended, cut):
    best = read_finalists(cut.experiment, 1).graphs[0]
    by_hand = train_seeds(with_seed(best.graph, SEEDS[0]), 1, MemoryTracker(), device="cpu").runs[0]
    row = json.loads(mended[0].out)["rows"][0]
    assert row["trial"] == best.trial
    assert row["runs"][0]["accuracy"] == pytest.approx(by_hand.accuracy)
    assert row["runs"][0]["loss"] == pytest.approx(
        by_hand.loss, rel=1e-5
    )  # summed in another order


def test_the_seeds_are_none_of_the_search_s(mended, cut):
    chosen = read_finalists(cut.experiment, 1)
    assert json.loads(mended[0].out)["seeds"] == list(SEEDS)
    assert chosen.used_seeds == {0}
    assert replace(chosen, used_seeds=frozenset({0, 1001})).seeds(3) == [1000, 1002, 1003]


def test_how_it_stands_in_the_store(mended, cut, searched):
    experiment = cut.experiment
    (parent,) = find_confirmations(experiment)
    result = json.loads(mended[0].out)
    assert (parent.name, parent.state, parent.tags["search"]) == (
        "confirm",
        "finished",
        result["search"],
    )
    assert json.loads(experiment.read_artifact(parent, "confirm.json")) == result
    assert result["sentence"] in parent.tags["mlflow.note.content"]
    for row in result["rows"]:
        assert parent.metrics[f"test_accuracy/{row['what']}"] == row["test_accuracy"]
    for run in children(cut).values():
        assert run.state == "finished"
        assert {"graph", "seed", "trial"} <= run.params.keys()
        tested = read_seed_run(experiment, run)
        assert (len(tested.right), tested.right.count("1") / len(tested.right)) == (
            32,
            tested.accuracy,
        )
        assert [step for step, _ in experiment.history(run, "nodes.n0.train_accuracy")] == [
            1,
            2,
            3,
            4,
        ]
    status = json.loads(
        ktg("status", "a search", "--json", "--tracking-uri", cut.uri, folder=cut.folder).out
    )
    before = json.loads(
        ktg("status", "a search", "--json", "--tracking-uri", searched.uri, folder=cut.folder).out
    )
    assert status == before | {"confirmation": status["confirmation"]}


def test_once_all_is_done_a_call_changes_nothing_and_starts_no_ray(mended, cut, monkeypatch):
    monkeypatch.setattr(module, "start_ray", lambda *_: pytest.fail("Ray was started"))
    before = find_confirmations(cut.experiment)
    done = ktg("confirm", "a search", "--seeds", 3, "--tracking-uri", cut.uri, folder=cut.folder)
    assert (done.code, done.err) == (0, "")
    assert "confirmed before; nothing is trained again" in done.out
    assert json.loads(mended[0].out)["sentence"] in " ".join(done.out.split())
    assert find_confirmations(cut.experiment) == before
    fewer = ktg(
        "confirm", "a search", "--seeds", 2, "--json", "--tracking-uri", cut.uri, folder=cut.folder
    )
    assert json.loads(fewer.out)["seeds"] == [1000, 1001]
    assert len(find_confirmations(cut.experiment)) == 1


def test_a_search_that_is_told_to_confirm_ends_with_the_verdict(mended, cut, searched):
    words = (
        "search",
        "a search",
        "--resume",
        "--confirm",
        1,
        "--seeds",
        3,
        "--tracking-uri",
        cut.uri,
    )
    result = json.loads(mended[0].out)
    done = ktg(*words, "--json", folder=cut.folder)
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert found["finished"] == searched.result["finished"]
    assert found["confirmation"] == result
    assert "Report: " in done.err
    shown = " ".join(ktg(*words, folder=cut.folder).out.split())
    assert shown.index("Validation split") < shown.index(result["sentence"])
    assert "Next: ktg export" in shown


def test_an_older_confirmation_went_by_accuracy():
    known = {"rows": [{"what": "best graph", "trial": "trial-0001"}], "seeds": [1000, 1001]}
    assert module.is_same(known, known | {"metric": "accuracy", "searched_by": "accuracy"})
    for metric in ("accuracy", "balanced_accuracy"):
        new = known | {"metric": metric, "searched_by": "balanced_accuracy"}
        assert not module.is_same(known, new)
        assert module.is_same(new, new)


def test_in_python(mended, cut):
    result, place = json.loads(mended[0].out), {"tracking_uri": cut.uri}
    assert api.confirm("a search", seeds=3, **place).sentence == result["sentence"]
    reported = api.report("a search", retrain=False, **place)["confirmation"]
    assert {name: reported[name] for name in result} == result
    with pytest.raises(UserError, match="seeds: at least 2 are needed"):
        api.confirm("a search", seeds=1, **place)
    space = read_finalists(cut.experiment, 1).space
    with pytest.raises(UserError, match="confirm: needs a store"):
        api.search(space, confirm=1, tracking_uri=None)
    with pytest.raises(
        UserError, match="12 graphs are asked for, and the search trains 11 at most"
    ):
        api.search(space, confirm=12, **place)
