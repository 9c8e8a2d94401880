"""The study: candidates are trained once and scored, and the table says what became of each."""

import json

import numpy as np
import pytest

from ktg.affinity import study as studying
from ktg.affinity.candidate import Candidate
from ktg.affinity.ranking import Measured
from ktg.affinity.study import (
    FineTuning,
    StudyRow,
    Target,
    build_graphs,
    format_table,
    split_columns,
)
from ktg.affinity.table import parse_table
from ktg.errors import TrainingError
from ktg.graph import Node, parse
from ktg.graph.canonical import with_seed
from ktg.graph.recipes import PRETRAINED
from ktg.tracking import MemoryTracker


@pytest.fixture(autouse=True)
def _small(tmp_path, monkeypatch, one_thread):
    monkeypatch.setenv("KTG_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def trained(monkeypatch):
    """(model, seed) of every training that is made."""
    made = []

    class Counted(studying.Training):
        def __init__(self, graph, *given, **named):
            made.append((graph.nodes["n0"].model, graph.train.seed))
            super().__init__(graph, *given, **named)

    monkeypatch.setattr(studying, "Training", Counted)
    return made


def target(tiny, *models, **train):
    graph = parse(
        {
            "data": {"path": str(tiny), "batch_size": 16, "augment": "none"},
            "train": {"epochs": 1, "lr": 0.05, **train},
            "nodes": {"main": {"model": "resnet8"}, "aid": {"model": "resnet8"}},
            "edges": {"label -> any": {}, "aid -> main": {}},
        }
    )
    return Target(
        "tiny", graph, [Candidate(f"{model}@none", Node(model=model)) for model in models]
    )


def run(*targets, seeds=2, **options):
    tracker = MemoryTracker()
    parent = tracker.start("study")
    return studying.study(targets, seeds, tracker, parent, **options), tracker


def test_each_candidate_is_trained_alone_with_each_seed(tiny):
    main = target(tiny, "resnet14", seed=5)
    each = build_graphs(main, main.candidates[0], 3)
    assert [graph.train.seed for graph in each] == [5, 6, 7]
    assert all(
        list(graph.nodes) == ["n0"] and graph.nodes["n0"].model == "resnet14" for graph in each
    )
    assert all(graph.train.epochs == 1 and graph.data == main.graph.data for graph in each)


def test_a_candidate_is_trained_as_its_node_says():
    pretrained = {"model": "resnet8", "source": "weights.pth"}
    graph = parse(
        {
            "data": {"name": "digits"},
            "train": {"epochs": 4, "warmup_epochs": 2, "seed": 7},
            "nodes": {"a": pretrained, "b": {**pretrained, "lr": 0.01, "epochs": 3}},
            "edges": {"label -> a": {}, "b -> a": {}},
        }
    )
    by_recipe, by_itself = (
        build_graphs(Target("tiny", graph, []), Candidate("c", node), 2)
        for node in graph.nodes.values()
    )
    for each in (by_recipe, by_itself):
        assert [one.train.seed for one in each] == [7, 8]
        assert [with_seed(one, 7) for one in each] == [each[0], each[0]]
    train = by_recipe[0].train
    assert graph.train.optimizer == "sgd"
    assert (train.optimizer, train.lr) == (PRETRAINED["optimizer"], PRETRAINED["lr"])
    assert (train.epochs, train.warmup_epochs) == (4, 2)
    assert (by_itself[0].train.lr, by_itself[0].train.epochs) == (0.01, 3)


def test_rows_have_scores_and_accuracies_and_are_tracked(tiny):
    rows, tracker = run(
        target(tiny, "resnet8", "resnet14"), progress=lambda what, done, total: None
    )
    assert [row.candidate.name for row in rows] == ["resnet8@none", "resnet14@none"]
    assert [run.seed for run in rows[0].runs] == [0, 1]
    assert all(0 <= accuracy <= 1 for row in rows for accuracy in row.accuracies(test=False))
    assert all(row.runs[0].test_accuracy is None for row in rows)
    assert {"knn", "logme", "s1"} <= rows[0].measured.scores.keys()
    json.dumps([row.to_json() for row in rows])
    child = next(run for run in tracker.runs.values() if run.name == "tiny: resnet8@none")
    assert child.state == "finished"
    assert child.history("val_accuracy") == [(run.seed, run.val_accuracy) for run in rows[0].runs]


def test_what_was_trained_is_not_trained_again(tiny, trained):
    first, _ = run(target(tiny, "resnet8"))
    again, _ = run(target(tiny, "resnet8", "resnet14"), seeds=3)
    assert trained == [
        ("resnet8", 0),
        ("resnet8", 1),
        ("resnet8", 2),
        *(("resnet14", seed) for seed in range(3)),
    ]
    assert again[0].runs[:2] == first[0].runs
    run(target(tiny, "resnet8", epochs=2), seeds=1)
    assert trained[-1] == ("resnet8", 0)
    assert len(trained) == 7


def test_data_and_weights_that_were_moved_are_the_same(tiny, trained, tmp_path):
    first = target(tiny, "resnet8")
    moved = tmp_path / "elsewhere.npz"
    moved.write_bytes(tiny.read_bytes())
    run(first, seeds=1)
    run(target(moved, "resnet8"), seeds=1)
    assert len(trained) == 1


def test_the_test_split_is_opened_only_when_asked_for(tiny, trained, monkeypatch):
    opened = []
    original = studying.open_test
    monkeypatch.setattr(
        studying, "open_test", lambda *given, **named: opened.append(1) or original(*given, **named)
    )
    run(target(tiny, "resnet8"), seeds=1)
    assert not opened
    rows, _ = run(target(tiny, "resnet8"), seeds=1, test=True)
    assert 0 <= rows[0].accuracies(test=True)[0] <= 1
    assert len(trained) == 2
    run(target(tiny, "resnet8"), seeds=1, test=True)
    run(target(tiny, "resnet8"), seeds=1)
    assert len(trained) == 2


def test_a_candidate_that_fails_stops_nobody(tiny, monkeypatch):
    original = studying.fine_tune

    def sometimes(graph, *given):
        if graph.nodes["n0"].model == "resnet8":
            raise TrainingError("the loss became nan")
        return original(graph, *given)

    monkeypatch.setattr(studying, "fine_tune", sometimes)
    rows, tracker = run(target(tiny, "resnet8", "resnet14"), seeds=1)
    assert [row.failed for row in rows] == ["the loss became nan", None]
    assert "# tiny, resnet8@none is left out: the loss became nan" in format_table(rows, test=False)
    assert [run.state for run in tracker.runs.values()] == [None, "failed", "finished"]


def made(name, accuracy, **scores):
    one = Measured("l", (1, 1, 1), 10, 5, 0.0, scores=scores, source_accuracy=0.5)
    runs = [FineTuning(0, accuracy, 1.0, accuracy / 2), FineTuning(1, accuracy, 1.0, accuracy / 2)]
    return StudyRow("d", Candidate(name, Node(model="resnet8")), one, runs)


def test_the_table_is_one_that_correlate_reads():
    rows = [
        made("a", 0.5, s1=1.0, leep=-1.0),
        made("b", 0.6, s1=2.0, leep=-2.0),
        made("c", 0.7, s1=3.0),
    ]
    complete, lacking = split_columns(rows)
    assert complete == {
        "source_accuracy": [0.5] * 3,
        "parameters": [10.0] * 3,
        "s1": [1.0, 2.0, 3.0],
    }
    assert lacking["leep"] == ["c"]
    assert lacking["knn"] == ["a", "b", "c"]
    text = format_table(rows, test=False)
    table = parse_table(text, "t", group="dataset")
    assert table.accuracy.tolist() == [0.5, 0.6, 0.7]
    assert table.models == ("a", "b", "c")
    assert set(table.scores) == set(complete)
    assert "# leep is left out, because it has no value for c\n" in text
    assert "# knn, linear_probe, " in text
    assert " are left out, because they have no value for any candidate\n" in text
    assert parse_table(format_table(rows, test=True), "t", group="dataset").accuracy.tolist() == [
        0.25,
        0.3,
        0.35,
    ]


def test_a_damaged_result_is_trained_again(tiny, trained, tmp_path):
    run(target(tiny, "resnet8"), seeds=1)
    for content in ("", "[]", '{"seed": 0}'):
        next((tmp_path / "cache" / "study").glob("*.json")).write_text(content)
        run(target(tiny, "resnet8"), seeds=1)
    assert len(trained) == 4


def test_other_labels_of_test_images_are_tested_anew(trained, tmp_path):
    random = np.random.default_rng(0)
    sizes = {"train": 32, "val": 8, "test": 8}
    arrays = {
        f"x_{split}": random.integers(0, 256, (n, 8, 8, 3), dtype=np.uint8)
        for split, n in sizes.items()
    }
    arrays |= {f"y_{split}": np.arange(n) % 2 for split, n in sizes.items()}
    files = [tmp_path / "wrong.npz", tmp_path / "right.npz"]
    np.savez(files[0], **arrays)
    np.savez(files[1], **(arrays | {"y_test": 1 - arrays["y_test"]}))
    wrong, right = (run(target(each, "resnet8"), seeds=1, test=True)[0] for each in files)
    accuracies = [rows[0].accuracies(test=True)[0] for rows in (wrong, right)]
    assert len(trained) == 2
    assert sum(accuracies) == 1.0
    for file in files:  # without test images it is one and the same
        run(target(file, "resnet8"), seeds=1)
    assert len(trained) == 2
