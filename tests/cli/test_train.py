"""`ktg train`: several seeds, for a person and for a machine, of a graph from a file."""

import json
import re

import pytest
from command import graph_file, ktg

from ktg.tracking import find_experiment

pytestmark = pytest.mark.usefixtures("one_thread")


def test_seeds_are_trained_and_their_mean_is_printed(room):
    graph_file(room / "small.yaml", room / "tiny.npz")
    done = ktg("train", "small.yaml", "--seeds", "2", "--device", "cpu", folder=room)
    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert [line.split(":")[0] for line in lines[:4]] == [f"seed {s}, epoch {e}/2" for s in (0, 1) for e in (1, 2)]
    assert re.fullmatch(r"test accuracy [\d.]+ \+- [\d.]+ % \(n = 2\)", lines[-1])
    assert sorted(path.name for path in room.iterdir() if "mlflow" in path.name) == ["mlflow.db"]
    (parent,) = find_experiment("small", f"sqlite:///{room}/mlflow.db").searches()
    assert (parent.state, parent.tags["kind"]) == ("finished", "train")


def test_an_exported_graph_trains_and_its_json_parses(searched, tmp_path):
    ktg("export", "a search", "--tracking-uri", searched.uri, folder=tmp_path)
    done = ktg("train", "best.yaml", "--seeds", "2", "--json", folder=tmp_path)
    result = json.loads(done.out)
    assert result["test_accuracy"]["n"] == 2
    assert [run["seed"] for run in result["runs"]] == [0, 1]
    mean = sum(run["accuracy"] for run in result["runs"]) / 2
    assert result["test_accuracy"]["mean"] == mean > 0.5
    assert "seed 0, epoch 1/4" in done.err


def test_a_training_that_diverges_exits_with_1_and_says_where(room):
    graph_file(room / "hot.yaml", room / "tiny.npz", train={"lr": 1e30})
    done = ktg("train", "hot.yaml", folder=room)
    assert done.code == 1
    assert re.fullmatch(r"ktg: the loss of edge .* became nan in epoch 1, step \d of 8 .*\n", done.err)
    (parent,) = find_experiment("hot", f"sqlite:///{room}/mlflow.db").searches()
    assert parent.state == "failed"
