"""Export: the best trial's own graph, which trains again to the very same accuracy."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from command import graph_file

from ktg.errors import UserError
from ktg.exporting.graph_files import (
    TrialChoice,
    describe_figures,
    export_graphs,
    read_basis,
    write_graph,
)
from ktg.graph import parse
from ktg.graph.canonical import canonical_key
from ktg.graph.yaml_files import load, load_graph
from ktg.tracking import MlflowTracker
from ktg.training import train


def export_best(experiment, uri, output, **which):
    (exported,) = export_graphs(experiment, uri, output, TrialChoice(**which))
    return exported


FIGURES = {"val_accuracy": 0.9, "val_loss": 0.1}
VERSIONS = {"data.fingerprint": "abc"} | {
    f"version.{name}": "1" for name in ("torch", "timm", "ray", "optuna")
}


@pytest.fixture(scope="module")
def uri(new_store: Callable[[], str]) -> str:
    """One store for all tests here: each has an experiment of its own in it."""
    return new_store()


@pytest.fixture
def record(uri: str, tiny: Path, tmp_path: Path) -> Callable[..., None]:
    """Write a search with trials (name, state, metrics) into an experiment, as a search would."""
    graph = graph_file(tmp_path / "graph.yaml", tiny).read_text()

    def write(
        experiment: str, *trials: tuple, kind: str = "search", tags=VERSIONS, meanwhile=None
    ) -> None:
        with MlflowTracker(experiment, uri) as tracker:
            parent = tracker.start("made", tags={"kind": kind, **tags})
            for name, state, metrics, *own in trials:
                run = tracker.start(
                    name, parent=parent, tags={"kind": "trial", **(own[0] if own else {})}
                )
                tracker.artifact(run, "graph.yaml", graph)
                tracker.log(run, metrics, 1)
                tracker.end(run, state)
            if meanwhile is not None:
                assert tracker.flush()
                meanwhile()
            tracker.end(parent, "finished")
            assert tracker.flush()

    return write


@pytest.mark.slow
def test_the_best_graph_comes_out_with_where_it_comes_from(searched, tmp_path):
    exported = export_best("a search", searched.uri, tmp_path / "best.yaml")
    graph = load_graph(exported.file)
    best = searched.result["rows"][0]
    assert canonical_key(graph) == canonical_key(parse(searched.result["best"]))
    assert graph.provenance["trial"] == best["trial"]
    assert graph.provenance["val_accuracy"] == best["accuracy"]
    assert read_basis(graph) == "one training"
    assert read_basis(replace(graph, provenance={"val_accuracy": 0.5})) == "one training"
    assert graph.provenance["val_loss"] == best["loss"]
    assert {
        "experiment",
        "search_run",
        "trial_run",
        "data_fingerprint",
        "version_ktg",
    } <= graph.provenance.keys()
    assert exported.drawing == tmp_path / "best.svg"
    assert "<svg" in exported.drawing.read_text()


@pytest.mark.slow
def test_the_exported_graph_trains_again_to_the_same_bit(searched, tmp_path):
    graph = load_graph(export_best("a search", searched.uri, tmp_path / "best.yaml").file)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as each trial had
    try:
        *_, last = train(graph, device="cpu")
    finally:
        torch.set_num_threads(threads)
    figures = last.metrics()
    best = searched.result["rows"][0]
    assert (figures["val_accuracy"], figures["val_loss"]) == (best["accuracy"], best["loss"])


@pytest.mark.slow
def test_paths_below_the_output_become_relative(searched, tiny):
    exported = export_best("a search", searched.uri, tiny.parent / "exported.yaml")
    try:
        assert load(exported.file)["data"]["path"] == f"./{tiny.name}"
        assert load_graph(exported.file).data.path == str(tiny)
    finally:
        exported.file.unlink()
        exported.drawing.unlink()


@pytest.mark.slow
def test_only_finished_trials_count_and_of_equals_that_of_lower_loss(uri, record, tmp_path):
    record(
        "only_finished",
        ("a", "finished", FIGURES | {"val_loss": 0.5}),
        ("b", "finished", FIGURES),
        ("c", "stopped", {"val_accuracy": 1.0, "val_loss": 0.0}),
        ("d", "failed", {"val_accuracy": 1.0, "val_loss": 0.0}),
    )
    assert export_best("only_finished", uri, tmp_path / "best.yaml").trial == "b"


def test_a_training_in_the_same_experiment_is_no_search(uri, record, tmp_path):
    record("a_training_in", ("a", "finished", FIGURES))
    record("a_training_in", ("seed 0", "finished", {"train_accuracy": 1.0}), kind="train")
    assert export_best("a_training_in", uri, tmp_path / "best.yaml").trial == "a"


def test_the_last_search_with_a_finished_trial_is_taken(uri, record, tmp_path):
    record("the_last_search", ("old", "finished", {"val_accuracy": 1.0, "val_loss": 0.0}))
    record("the_last_search", ("new", "finished", FIGURES))
    record("the_last_search", ("hopeless", "failed", FIGURES))
    assert export_best("the_last_search", uri, tmp_path / "best.yaml").trial == "new"


@pytest.mark.parametrize(
    ("trials", "kind", "said"),
    [
        ([("a", "failed", FIGURES)], "search", "experiment 'search' has no finished trial"),
        (
            [("a", "finished", FIGURES)],
            "train",
            "experiment 'train' holds no search; run `ktg search SPACE",
        ),
    ],
)
def test_nothing_to_export(uri, record, tmp_path, trials, kind, said):
    record(kind, *trials, kind=kind)
    with pytest.raises(UserError, match=said):
        export_best(kind, uri, tmp_path / "best.yaml")
    assert not (tmp_path / "best.yaml").exists()


@pytest.mark.slow
def test_an_unknown_experiment_is_named_with_the_nearest(searched, tmp_path):
    with pytest.raises(
        UserError,
        match=r"no experiment 'a serch' in .*it has: a search.* Did you mean 'a search'\?",
    ):
        export_best("a serch", searched.uri, tmp_path / "best.yaml")


@pytest.mark.parametrize("name", ["best.svg", "best", "best.json"])
@pytest.mark.slow
def test_a_graph_is_written_as_yaml_only(searched, tmp_path, name):
    with pytest.raises(UserError, match=r"give a name that ends in \.yaml or \.yml"):
        export_best("a search", searched.uri, tmp_path / name)
    assert not list(tmp_path.iterdir())


THREE = (
    ("trial-0001 (alone)", "finished", FIGURES | {"val_accuracy": 0.7}, {"baseline": "alone"}),
    ("trial-0002", "finished", FIGURES),
    ("trial-0003", "stopped", FIGURES | {"val_accuracy": 0.8}),
    ("trial-0004", "failed", {}, {"reason": "the loss became nan"}),
    ("duplicate", "duplicate", {}, {"kind": "duplicate"}),
)


def test_the_top_graphs_in_order_of_accuracy_and_no_more_than_there_are(uri, record, tmp_path):
    record("the top", *THREE)
    exported = export_graphs("the top", uri, tmp_path / "best.yaml", TrialChoice(top=5))
    assert [(one.file.name, one.trial) for one in exported] == [
        ("best-1.yaml", "trial-0002"),
        ("best-2.yaml", "trial-0001 (alone)"),
    ]
    assert {path.name for path in tmp_path.glob("best*")} == {
        f"best-{n}.{end}" for n in (1, 2) for end in ("yaml", "svg")
    }


@pytest.mark.parametrize(
    ("which", "trial"),
    [
        ({"trial": "trial-0003"}, "trial-0003"),
        ({"trial": "3"}, "trial-0003"),
        ({"trial": "0001"}, "trial-0001 (alone)"),
        ({"trial": "trial-0001"}, "trial-0001 (alone)"),  # as tables and sentences name it
        ({"baseline": "alone"}, "trial-0001 (alone)"),
    ],
)
def test_a_trial_by_name_or_number_and_a_baseline(uri, record, tmp_path, which, trial):
    name = f"by {which}"
    record(name, *THREE)
    record(name, ("trial-0009", "finished", FIGURES))  # a newer search without it
    exported = export_best(name, uri, tmp_path / "best.yaml", **which)
    assert exported.trial == trial
    (kind,) = which
    assert exported.search.sentence.endswith(f"; the newer one has no such {kind}")


@pytest.mark.parametrize("which", [{"trial": "1"}, {"baseline": "alone"}])
def test_a_trial_of_the_newest_search_without_a_result_is_not_sought_in_older_ones(
    uri, record, tmp_path, which
):
    name = f"failed by {which}"
    record(name, *THREE)
    tags = {"baseline": "alone", "reason": "the loss became nan"}
    record(name, ("trial-0001 (alone)", "failed", {}, tags), ("trial-0002", "finished", FIGURES))
    said = r"trial-0001 \(alone\) of experiment .*, search 2 of 2, has no result: it failed \(the "
    with pytest.raises(UserError, match=said):
        export_best(name, uri, tmp_path / "best.yaml", **which)
    assert not list(tmp_path.glob("best*"))


def test_a_trial_that_was_stopped_before_its_first_epoch_has_no_result(uri, record, tmp_path):
    record("stopped at once", ("trial-0001", "stopped", {}))
    with pytest.raises(UserError, match="has no result: it was stopped"):
        export_best("stopped at once", uri, tmp_path / "best.yaml", trial="1")


@pytest.mark.parametrize(
    ("which", "said"),
    [
        (
            {"trial": "7"},
            r"no trial '7' in experiment .*; it has trial-0001 \(alone\) to trial-0004",
        ),
        (
            {"trial": "4"},
            r"trial-0004 of experiment .* has no result: it failed \(the loss became nan\)",
        ),
        (
            {"baseline": "alon"},
            r"no finished baseline 'alon' .*; it has: alone\. Did you mean 'alone'\?",
        ),
    ],
)
def test_a_trial_that_is_not_there_or_has_no_result(uri, record, tmp_path, which, said):
    name = f"without {which}"
    record(name, *THREE)
    with pytest.raises(UserError, match=said):
        export_best(name, uri, tmp_path / "best.yaml", **which)
    assert not list(tmp_path.glob("best*"))


def test_new_seeds_say_how_good_a_graph_is_and_else_one_training_is_called_so(
    uri, record, tmp_path
):
    record(
        "raced",
        ("trial-0001", "finished", FIGURES, {"seed": "0"}),
        ("trial-0002", "finished", FIGURES | {"val_accuracy": 0.5}),
        *(
            (f"trial-{n:04d}", "finished", {"val_accuracy": accuracy, "val_loss": 0.3}, own)
            for n, accuracy in ((3, 0.7), (4, 0.8))
            for own in [{"race_of": "1", "seed": str(100 + n)}]
        ),
    )
    best = export_best("raced", uri, tmp_path / "best.yaml")
    assert (best.trial, best.basis) == ("trial-0001", "the mean of 2 trainings with new seeds")
    assert best.accuracy == pytest.approx(0.75)
    other = export_best("raced", uri, tmp_path / "other.yaml", trial="2")
    assert (other.accuracy, other.basis) == (0.5, "one training")


def test_figures_are_named_by_the_metric_of_the_search():
    once = {"val_accuracy": 0.9, "val_accuracy_of": "one training"}
    assert describe_figures("accuracy", 0.9, 0, 0.9) == once
    assert describe_figures("balanced_accuracy", 0.6, 3, 0.9) == once | {
        "val_balanced_accuracy": 0.6,
        "val_balanced_accuracy_of": "the mean of 3 trainings with new seeds",
    }
    assert describe_figures("loss", -0.3, 0, 0.9) == once | {
        "val_loss": 0.3,
        "val_loss_of": "one training",
    }


def test_what_is_there_is_not_overwritten_unless_forced(uri, record, tmp_path):
    record("there already", *THREE)
    (tmp_path / "best.svg").write_text("mine")
    with pytest.raises(UserError, match=r"best\.svg: is there already; give --force"):
        export_best("there already", uri, tmp_path / "best.yaml")
    assert not (tmp_path / "best.yaml").exists()
    export_graphs("there already", uri, tmp_path / "best.yaml", force=True)
    assert "<svg" in (tmp_path / "best.svg").read_text()


def test_a_search_that_runs_and_one_of_an_older_version(uri, record, tmp_path):
    exported = []
    record(
        "old",
        *THREE,
        tags={},
        meanwhile=lambda: exported.append(export_best("old", uri, tmp_path / "best.yaml")),
    )
    assert exported[0].running
    provenance = exported[0].graph.provenance
    assert (provenance["data_fingerprint"], provenance["version_torch"]) == ("unknown", "unknown")


def test_paths_that_stay_on_this_machine_are_told(uri, record, tmp_path):
    plain = {
        "data": {"path": "/elsewhere/images"},
        "nodes": {"n0": {"model": "resnet8"}},
        "edges": {"label -> n0": {}},
    }
    exported = write_graph(parse(plain), tmp_path / "g.yaml")
    assert exported.outside == ("/elsewhere/images",)
    near = parse(plain | {"data": {"path": str(tmp_path.parent / "images")}})
    assert write_graph(near, tmp_path / "h.yaml").outside == ()
    assert load(tmp_path / "h.yaml")["data"]["path"] == "../images"
    assert load_graph(tmp_path / "h.yaml").data.path == str(tmp_path.parent / "images")


@pytest.mark.parametrize("name", ["x" * 251 + ".yaml", "é" * 126 + ".yaml"])
def test_a_name_that_no_file_can_have_is_refused_before_anything_is_done(tmp_path, name):
    with pytest.raises(UserError, match=r"the name of this file has 25[67] bytes; at most 255"):
        export_graphs("absent", f"sqlite:///{tmp_path}/mlflow.db", tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_graph_goes_to_the_longest_name_there_is(tmp_path, trained):
    file = tmp_path / ("x" * 250 + ".yaml")
    assert write_graph(trained.graph, file).drawing.is_file()
    assert load_graph(file).nodes == trained.graph.nodes
