"""Export: the best trial's own graph, which trains again to the very same accuracy."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from command import graph_file

from ktg.canonical import key
from ktg.engine import train
from ktg.errors import UserError
from ktg.exporting.best import export_best
from ktg.files import load, load_graph
from ktg.spec import parse
from ktg.tracking import MlflowTracker

FIGURES = {"val_accuracy": 0.9, "val_loss": 0.1}
VERSIONS = {f"version.{name}": "1" for name in ("torch", "timm", "ray", "optuna")}


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One store for all tests here: each has an experiment of its own in it."""
    return f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"


@pytest.fixture
def record(uri: str, tiny: Path, tmp_path: Path) -> Callable[..., None]:
    """Write a search with trials (name, state, metrics) into an experiment, as a search would."""
    graph = graph_file(tmp_path / "graph.yaml", tiny).read_text()

    def write(experiment: str, *trials: tuple[str, str, dict], kind: str = "search") -> None:
        with MlflowTracker(experiment, uri) as tracker:
            parent = tracker.start("made", tags={"kind": kind, "data.fingerprint": "abc", **VERSIONS})
            for name, state, metrics in trials:
                run = tracker.start(name, parent=parent, tags={"kind": "trial"})
                tracker.artifact(run, "graph.yaml", graph)
                tracker.log(run, metrics, 1)
                tracker.end(run, state)
            tracker.end(parent, "finished")
            assert tracker.flush()

    return write


def test_the_best_graph_comes_out_with_where_it_comes_from(searched, tmp_path):
    exported = export_best("a search", searched.uri, tmp_path / "best.yaml")
    graph = load_graph(exported.graph)
    best = searched.result["rows"][0]
    assert key(graph) == key(parse(searched.result["best"]))
    assert graph.provenance["trial"] == best["trial"]
    assert graph.provenance["val_accuracy"] == best["accuracy"]
    assert graph.provenance["val_loss"] == best["loss"]
    assert {"experiment", "search_run", "trial_run", "data_fingerprint", "version_ktg"} <= graph.provenance.keys()
    assert exported.drawing == tmp_path / "best.svg"
    assert "<svg" in exported.drawing.read_text()


def test_the_exported_graph_trains_again_to_the_same_bit(searched, tmp_path):
    graph = load_graph(export_best("a search", searched.uri, tmp_path / "best.yaml").graph)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as each trial had
    try:
        *_, last = train(graph, device="cpu")
    finally:
        torch.set_num_threads(threads)
    figures = last.metrics()
    best = searched.result["rows"][0]
    assert (figures["val_accuracy"], figures["val_loss"]) == (best["accuracy"], best["loss"])


def test_paths_below_the_output_become_relative(searched, tiny):
    exported = export_best("a search", searched.uri, tiny.parent / "exported.yaml")
    try:
        assert load(exported.graph)["data"]["path"] == f"./{tiny.name}"
        assert load_graph(exported.graph).data.path == str(tiny)
    finally:
        exported.graph.unlink()
        exported.drawing.unlink()


def test_only_finished_trials_count_and_of_equals_that_of_lower_loss(uri, record, tmp_path):
    record(
        "only_finished",
        ("a", "finished", FIGURES | {"val_loss": 0.5}),
        ("b", "finished", FIGURES),
        ("c", "stopped", {"val_accuracy": 1.0, "val_loss": 0.0}),
        ("d", "failed", {"val_accuracy": 1.0, "val_loss": 0.0}),
    )
    assert export_best("only_finished", uri, tmp_path / "best.yaml").provenance["trial"] == "b"


def test_a_training_in_the_same_experiment_is_no_search(uri, record, tmp_path):
    record("a_training_in", ("a", "finished", FIGURES))
    record("a_training_in", ("seed 0", "finished", {"train_accuracy": 1.0}), kind="train")
    assert export_best("a_training_in", uri, tmp_path / "best.yaml").provenance["trial"] == "a"


def test_the_last_search_with_a_finished_trial_is_taken(uri, record, tmp_path):
    record("the_last_search", ("old", "finished", {"val_accuracy": 1.0, "val_loss": 0.0}))
    record("the_last_search", ("new", "finished", FIGURES))
    record("the_last_search", ("hopeless", "failed", FIGURES))
    assert export_best("the_last_search", uri, tmp_path / "best.yaml").provenance["trial"] == "new"


@pytest.mark.parametrize(
    ("trials", "kind", "said"),
    [
        ([("a", "failed", FIGURES)], "search", "experiment 'search' has no finished trial"),
        ([("a", "finished", FIGURES)], "train", "experiment 'train' holds no search; run `ktg search SPACE"),
    ],
)
def test_nothing_to_export(uri, record, tmp_path, trials, kind, said):
    record(kind, *trials, kind=kind)
    with pytest.raises(UserError, match=said):
        export_best(kind, uri, tmp_path / "best.yaml")
    assert not (tmp_path / "best.yaml").exists()


def test_an_unknown_experiment_is_named_with_the_nearest(searched, tmp_path):
    with pytest.raises(UserError, match=r"no experiment 'a serch' in .*it has: a search.* Did you mean 'a search'\?"):
        export_best("a serch", searched.uri, tmp_path / "best.yaml")


@pytest.mark.parametrize("name", ["best.svg", "best", "best.json"])
def test_a_graph_is_written_as_yaml_only(searched, tmp_path, name):
    with pytest.raises(UserError, match=r"give a name that ends in \.yaml or \.yml"):
        export_best("a search", searched.uri, tmp_path / name)
    assert not list(tmp_path.iterdir())
