"""`ktg search FOLDER`, from images to a model in a folder."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from records import written
from safetensors.torch import save_file
from webpage import read

import ktg
from ktg.api import delivery
from ktg.api.deliver import Delivered
from ktg.api.delivery import (
    Delivery,
    FolderWishes,
    deliver_result,
    describe_kept,
    describe_promise,
    describe_simpler,
    find_page_folder,
    open_delivery,
    settle_delivery,
)
from ktg.api.inputs import STORE
from ktg.api.listener import QUIET, Listener
from ktg.class_scores import ClassScores
from ktg.errors import UserError
from ktg.graph import dump, parse_space
from ktg.graph.yaml_files import load_graph, save
from ktg.models.cifar import CIFAR_MODELS
from ktg.searching.advice import Advice
from ktg.searching.result import Result, ResultRow
from ktg.tracking import attach, find_experiment

FILES = {"model.safetensors", "best.yaml", "report.html", "best.svg"}
CLASS = ClassScores(0.3, 0.3, 0.3, 20)


def space_of(search, **data):
    """A space that is never trained."""
    nodes, edges = {"n0": {"model": "resnet8"}}, {"label -> n0": {}}
    plain = {"data": data or {"name": "digits"}, "nodes": nodes, "edges": edges}
    return parse_space({**plain, "search": search})


@pytest.fixture
def weights(tmp_path, monkeypatch):
    """Weights of a small network, and no others on this machine."""
    monkeypatch.setattr("ktg.proposing.weights_here._has_cache", lambda: False)
    monkeypatch.setenv("KTG_ZOO", str(tmp_path / "zoo"))
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    save_file(CIFAR_MODELS["resnet8"](num_classes=3).state_dict(), tmp_path / "r.safetensors")
    return {"resnet8": str(tmp_path / "r.safetensors")}


@pytest.mark.slow
def test_a_search_ends_in_a_model_a_graph_and_a_page(photos, weights, tmp_path):
    space = {
        "name": "pets",
        "data": {"path": str(photos), "size": 16, "batch_size": 8},
        "train": {"epochs": 1},
        "weights": {"resnet8": {"path": weights["resnet8"], "mean": 0.5, "std": 0.5}},
        "nodes": {"n0": {"model": "resnet8", "source": "imagenet"}},
        "edges": {"label -> n0": {"weight": {"choice": [1.0, 2.0]}}},
        "search": {"trials": 1, "race_share": 0, "metric": "balanced_accuracy"},
    }
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    result = ktg.search(space, out="out", tracking_uri=uri)
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES
    told = result.delivered
    assert told.metrics["accuracy"] == pytest.approx(
        ktg.evaluate("out/model.safetensors", photos, split="test").accuracy
    )
    best = load_graph(tmp_path / "out" / "best.yaml")
    assert best.provenance["experiment"] == "pets" == result.name
    assert best.provenance["trial"] == told.what == result.rows[0].trial
    assert "probe" in {row.what for row in result.rows}
    page = (tmp_path / "out" / "report.html").read_text()
    assert "has a balanced accuracy of" in page
    assert told.sentence in read(page).text
    delivered = ktg.report("pets", tracking_uri=uri, retrain=False)["delivered"]
    assert delivered["accuracy"] == told.metrics["accuracy"]
    assert [one["class"] for one in delivered["scores"]] == ["night", "noon"]
    assert [sum(row) for row in delivered["confusion"]] == [4, 4]
    assert sum(row[i] for i, row in enumerate(delivered["confusion"])) / 8 == delivered["accuracy"]
    assert "Confusion matrix, on the test images" in page
    assert "<th>validation balanced accuracy</th><th>validation accuracy</th>" in page
    with pytest.raises(UserError, match="is there already; give --force"):
        ktg.search(space, out="out", tracking_uri=None)


@pytest.mark.slow
def test_a_folder_is_searched_until_its_time_is_over(photos, weights, tmp_path):
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    known = {"target": "resnet8", "size": 16, "weights": weights, "out": "out"}
    result = ktg.search(photos, name="pets", budget="70s", tracking_uri=uri, **known)
    assert not result.interrupted
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES | {"space.yaml"}
    told = ktg.report("pets", tracking_uri=uri, retrain=False)
    assert told["search"]["state"] == "finished"
    assert told["search"]["settings"]["budget"] == "70s"
    assert "probe" in {row.what for row in result.rows}  # and whatever else there was time for
    assert result.finished >= 1
    trial = load_graph(tmp_path / "out" / "best.yaml").provenance.get("trial")
    assert trial == result.rows[0].trial or trial is None  # of the probe, which was there first
    found = ktg.evaluate("out/model.safetensors", photos, split="test")
    assert found.accuracy == result.delivered.metrics["accuracy"]
    page = (tmp_path / "out" / "report.html").read_text()
    assert result.delivered.sentence in read(page).text
    assert "had not ended" not in page  # the page of the first model is gone


@pytest.mark.slow
def test_a_search_that_is_ended_early_leaves_a_model(photos, weights, tmp_path):
    words = ["search", str(photos), "--target", "resnet8", "--size", "16", "--budget", "20m"]
    words += ["--out", "out", "--weights", f"resnet8={weights['resnet8']}"]
    process = subprocess.Popen(
        [sys.executable, "-c", "from ktg.cli import main; main()", *words],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
    )
    model, first_page = tmp_path / "out" / "model.safetensors", tmp_path / "out" / "report.html"
    while not first_page.exists() and process.poll() is None:
        time.sleep(0.1)
    time.sleep(1)
    process.send_signal(signal.SIGTERM)
    said, _ = process.communicate()
    assert process.returncode == 130, said
    assert "Traceback" not in said
    found = ktg.evaluate(model, photos, split="test")
    assert len(found.answers) == 8
    page = read(first_page.read_text())
    assert float(page.numbers["delivered.accuracy"][0]) == found.accuracy
    assert "Its first model is the probe" in page.text or "Its model is the probe" in page.text


def test_a_space_is_searched_as_before_unless_a_folder_is_named_or_there_is_a_budget(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with open_delivery("space.yaml", None, FolderWishes(), QUIET) as plain:
        assert plain == Delivery("space.yaml", None, {})
        assert plain.make_reserve(space_of({"trials": 3})) is None
    assert settle_delivery(plain, "birds", space_of({"trials": 3}), FolderWishes()) == plain
    timed = settle_delivery(plain, "birds", space_of({"budget": "6m"}), FolderWishes())
    assert str(timed.out) == "birds"
    with open_delivery("space.yaml", "mine", FolderWishes(out="out"), QUIET) as named:
        assert (named.name, str(named.out)) == ("mine", "out")
        assert settle_delivery(named, "birds", space_of({"budget": "6m"}), FolderWishes()) == named
        reserve = named.make_reserve(space_of({"budget": "6m"}))
        assert reserve is not None
        assert reserve.needed_s(100.0) > 100.0
    assert not list(tmp_path.iterdir())


def test_results_of_a_space_are_not_overwritten_unless_that_is_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "birds").mkdir()
    (tmp_path / "birds" / "model.safetensors").write_bytes(b"")
    plain, space = Delivery("space.yaml", None, {}), space_of({"budget": "6m"})
    with pytest.raises(UserError, match=r"birds/model.safetensors is there already; give --force"):
        settle_delivery(plain, "birds", space, FolderWishes())
    for more in (FolderWishes(force=True), FolderWishes(resume=True)):
        found = settle_delivery(plain, "birds", space, more)
        assert (str(found.out), found.guarded) == ("birds", False)
    (tmp_path / "birds" / "model.safetensors").unlink()
    assert settle_delivery(plain, "birds", space, FolderWishes()).guarded
    for more in (FolderWishes(out="out"), FolderWishes(out="out", force=True)):
        with open_delivery("space.yaml", None, more, QUIET) as named:
            assert named.guarded != more.force


@pytest.mark.slow
def test_results_that_came_while_a_search_ran_stay_and_its_own_go_beside_them(tiny, tmp_path):
    space = {
        "data": {"path": str(tiny), "batch_size": 16},
        "train": {"epochs": 1},
        "nodes": {"n0": {"model": "resnet8"}},
        "edges": {"label -> n0": {"weight": {"choice": [1.0, 2.0]}}},
        "search": {"trials": 1, "race_share": 0},
    }
    out, told = tmp_path / "out", []
    model = out / "model.safetensors"

    def fill(_):
        out.mkdir(exist_ok=True)
        model.write_bytes(b"of another search")

    listener = Listener(warn=told.append)
    how = {"name": "mine", "out": out, "on_trial": fill, "listener": listener}
    result = ktg.search(space, tracking_uri=f"sqlite:///{tmp_path}/mlflow.db", **how)
    assert model.read_bytes() == b"of another search"
    assert result.delivered.folder == tmp_path / "out-2"
    assert {path.name for path in result.delivered.folder.iterdir()} == FILES
    assert f"with --resume give `--out {result.delivered.folder}`" in "".join(told)


def test_results_of_a_space_that_init_wrote_do_not_lie_among_its_images(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    space = space_of({"budget": "6m"}, path=str(tmp_path / "photos"))
    found = settle_delivery(Delivery("photos.yaml", None, {}), "photos", space, FolderWishes())
    assert str(found.out) == "photos-result"


def test_a_name_whose_results_are_in_a_folder_of_that_name_goes_on(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "birds").mkdir()
    (tmp_path / "birds" / "space.yaml").write_text("")
    with open_delivery("birds", None, FolderWishes(resume=True), QUIET) as again:
        assert again == Delivery("birds", None, {})
    (tmp_path / "photos").mkdir()
    with open_delivery("photos", None, FolderWishes(resume=True), QUIET) as images:
        assert (images.name, str(images.out)) == ("photos", "photos-result")


def test_what_a_search_that_goes_on_cannot_hear_is_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    heard = []
    wishes = FolderWishes(resume=True, target="resnet8", size=32)
    with open_delivery("photos", None, wishes, Listener(warn=heard.append)):
        assert heard == ["--target, --size: not heard, because the search goes on as it began"]


@pytest.mark.parametrize("name", ["birds/2024", "", " x", "../up"])
def test_a_name_that_no_space_could_have_is_refused_before_any_work(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    with (
        pytest.raises(UserError, match="--name: "),
        open_delivery("photos", name, FolderWishes(out="out"), QUIET),
    ):
        pass
    with pytest.raises(UserError, match="--name: "):
        ktg.init("photos", "x.yaml", name=name)
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_what_is_left_when_the_last_training_fails_is_told_as_it_is(tmp_path):
    assert describe_kept(None, tmp_path) == f"no model is in {tmp_path}"
    (tmp_path / "model.safetensors").touch()
    assert describe_kept(None, tmp_path) == f"{tmp_path / 'model.safetensors'} is as it was"


def test_the_page_that_a_confirmation_rewrites_is_that_of_the_search(
    new_store, tmp_path, monkeypatch
):
    uri = new_store()
    written(uri, "pets", ("finished", [0.1, 0.2, 0.3]))
    graph = space_of({"trials": 1}).fill({})
    origin = {"experiment": "pets", "trial": "trial-0001"}
    mine = dump(dataclasses.replace(graph, provenance=origin))
    save(tmp_path / "best.yaml", mine)
    (tmp_path / "report.html").touch()
    monkeypatch.chdir(tmp_path)
    assert find_page_folder("pets", uri) is None  # it left no model: this page is the user's own
    run = find_experiment("pets", uri).searches()[0].run
    told = dict.fromkeys(("sentence", "warning", "accuracy", "loss", "auroc", "images"))
    told |= {"classes": {}, "folder": str(tmp_path), "what": "trial-0001"}
    attach("pets", uri, run, "delivered.json", json.dumps(told))
    for changes, folder in (
        ({"experiment": "other"}, None),
        ({"trial": "trial-0001, distilled"}, None),  # another model of the same search
        ({}, tmp_path),
    ):
        named = dataclasses.replace(graph, provenance=origin | changes)
        save(tmp_path / "best.yaml", dump(named))
        assert find_page_folder("pets", uri) == folder
    attach("pets", uri, run, "delivered.json", json.dumps(told | {"what": "probe"}))
    assert find_page_folder("pets", uri) is None
    probe = dataclasses.replace(graph, provenance={"experiment": "pets"})
    save(tmp_path / "best.yaml", dump(probe))
    assert find_page_folder("pets", uri) == tmp_path


def test_options_of_folders_are_refused_for_spaces():
    for option, value in (("target", "resnet8"), ("size", 32), ("labels", "labels.csv")):
        wishes = FolderWishes(**{option: value})
        with (
            pytest.raises(UserError, match=f"--{option}: is for a folder of images"),
            open_delivery("space.yaml", None, wishes, QUIET),
        ):
            pass


def test_nothing_is_delivered_where_that_is_not_wanted():
    result = object()
    assert deliver_result(Delivery("space.yaml", None, {}), result, None, QUIET) is result


def test_a_folder_that_cannot_be_searched_is_refused_and_nothing_is_left(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    for wishes, said in (
        ({}, "empty: is empty; put the images of each class into a folder"),
        ({"budget": "1s"}, "1 s is too short to train anything"),
        ({"target": "resnet81"}, "'resnet81' is not a model"),
        ({"out": "gone/out"}, "there is no folder"),
    ):
        with pytest.raises(UserError) as caught:
            ktg.search("empty", tracking_uri=None, **wishes)
        assert said in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


@pytest.mark.parametrize(
    ("promised", "val", "kept", "test", "odd"),
    [
        (0.995, 187, 0.725, 407, True),  # magnetic tiles, split by chance
        (0.70, 180, 0.62, 400, False),  # the best of many seems better than it is
        (0.90, 20, 0.75, 400, False),  # of twenty images three are nothing
        (0.60, 500, 0.75, 400, False),
        (0.995, None, 0.725, 407, False),  # how many were chosen by is not known
        (0.995, 187, None, 407, False),
    ],
)
def test_validation_images_that_promised_too_much_are_named(promised, val, kept, test, odd):
    row = SimpleNamespace(accuracy=promised, n=0)
    result = SimpleNamespace(rows=[row], val_images=val, metric="accuracy")
    said = describe_promise(result, SimpleNamespace(metrics={"accuracy": kept}, images=test))
    assert (said is not None) == odd
    if odd:
        assert "right on 99.5 % of the validation images (one training) and is on 72.5 %" in said
        assert "data.groups" in said


def make_result(**changes):
    """A search whose best graph, trial-0007, has won with three new seeds."""
    row = ResultRow("best graph", "trial-0007", 0.99, 0.1, 9.0, score=0.8, n=3, std=0.01)
    known = {"name": "my birds", "rows": (row,), "val_images": 200, "metric": "accuracy"}
    return SimpleNamespace(**(known | {"ship": None} | changes))


def test_what_new_seeds_promised_counts_and_not_one_training():
    kept = SimpleNamespace(metrics={"accuracy": 0.75}, images=400)
    assert describe_promise(make_result(), kept) is None  # of 99 % in one training nothing is said
    said = describe_promise(make_result(), SimpleNamespace(metrics={"accuracy": 0.4}, images=400))
    assert "80.0 % of the validation images (the mean of 3 trainings with new seeds)" in said
    other = describe_promise(make_result(metric="auroc"), kept)  # of that new seeds say no accuracy
    assert "99.0 % of the validation images (one training)" in other


def test_a_simpler_graph_that_is_advised_but_not_delivered_is_named_with_its_command():
    ship = Advice("alone", "trial-0003", "validation", "Ship alone (trial-0003): ...")
    result, out = make_result(ship=ship), Path("out")
    assert describe_simpler(result, out, "sqlite:///mine.db") == (
        "out/model.safetensors is the network of the best graph, trial-0007; a simpler one that "
        "is not proven worse is alone (trial-0003), whose network is written by `ktg export "
        "'my birds' --trial trial-0003 -o out/simpler.yaml --weights out/simpler.safetensors "
        "--tracking-uri sqlite:///mine.db`."
    )
    assert describe_simpler(result, out, STORE).count("--") == 2
    assert describe_simpler(result, out, None).endswith("is alone (trial-0003).")
    for same in (None, dataclasses.replace(ship, trial="trial-0007")):
        assert describe_simpler(make_result(ship=same), out, STORE) is None


def end_of_search(**changes) -> Result:
    """The end of a search that nobody ran."""
    space = space_of({"trials": 3})
    plain = {field.name: None for field in dataclasses.fields(Result)}
    known = {"name": "pets", "rows": (), "metric": "accuracy", "warnings": ()}
    return Result(**(plain | known | {"best": space.fill(space.default())} | changes))


def test_a_search_that_is_cut_short_before_its_first_result_leaves_no_folder(tmp_path):
    result = end_of_search(best=None, interrupted=True)
    place = Delivery("space.yaml", None, {}, tmp_path / "birds")
    found = deliver_result(place, result, f"sqlite:///{tmp_path}/mlflow.db", QUIET)
    assert (found.delivered, found.undelivered) == (None, None)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), UserError("no images")])
def test_a_search_is_not_lost_where_its_model_cannot_be_written(
    new_store, tmp_path, monkeypatch, error
):
    uri, said = new_store(), []
    written(uri, "pets", ("finished", [0.1, 0.2, 0.3]))
    out, listener = tmp_path / "out", Listener(say=said.append, warn=said.append)

    def fail(*_):
        raise error

    monkeypatch.setattr(delivery, "deliver_best", fail)
    found = deliver_result(Delivery("space.yaml", None, {}, out), end_of_search(), uri, listener)
    why = "no space left on device" if isinstance(error, OSError) else "no images"
    problem = f"the best graph could not be trained again and written: {why}; "
    assert found.undelivered == f"{problem}no model is in {out}"
    assert json.loads(json.dumps(found.to_json()["undelivered"])) == found.undelivered
    assert not out.exists()  # its page is kept with it
    assert [one.startswith("Report: ") for one in said] == [True]
    assert "report.html" in said[0]
    prepared = SimpleNamespace(probe="the probe")
    place = Delivery("space.yaml", None, {}, out, prepared)
    kept = deliver_result(place, end_of_search(), None, listener)
    assert (kept.delivered, kept.undelivered) == ("the probe", None)
    assert said[1] == f"{problem}{out / 'model.safetensors'} is the probe"


def test_the_page_of_the_first_model_goes_with_it(tmp_path, monkeypatch):
    result = end_of_search()
    prepared = SimpleNamespace(probe="the probe")
    place = Delivery("space.yaml", None, {}, tmp_path, prepared)
    page, made = tmp_path / "report.html", object()
    monkeypatch.setattr(delivery, "list_warnings", lambda *_: [])
    for outcome, stays in ((made, False), (KeyboardInterrupt(), True), (UserError("no"), True)):
        page.write_text("of the probe")

        def deliver(*_, outcome=outcome):
            if outcome is made:
                return made
            raise outcome

        monkeypatch.setattr(delivery, "deliver_best", deliver)
        found = deliver_result(place, result, None, QUIET)  # without a store there is no other page
        assert found.delivered is (made if outcome is made else "the probe")
        assert page.exists() == stays


def test_what_is_to_be_known_of_a_model_is_a_warning_of_its_search(tmp_path, monkeypatch):
    ship = Advice("alone", "trial-0003", "validation", "Ship alone (trial-0003): ...")
    row = ResultRow("best graph", "trial-0007 (distillation)", 0.7, 0.1, 9.0, score=0.7)
    made = SimpleNamespace(metrics={"accuracy": 0.7}, images=400, folder=tmp_path)
    plain = {field.name: None for field in dataclasses.fields(Result)}
    known = {"name": "birds", "rows": (row,), "ship": ship, "metric": "accuracy"}
    space = space_of({"trials": 3})
    best = space.fill(space.default())
    result = Result(**(plain | known | {"warnings": ("before",), "best": best}))
    monkeypatch.setattr(delivery, "deliver_best", lambda *_: made)
    found = deliver_result(Delivery("space.yaml", None, {}, tmp_path), result, None, QUIET)
    assert found.delivered is made
    assert found.warnings[0] == "before"
    assert "is the network of the best graph, trial-0007; a simpler one" in found.warnings[1]


def test_a_delivered_graph_says_what_its_accuracy_is_of(tmp_path, monkeypatch):
    given = []
    monkeypatch.setattr(delivery, "deliver_graph", lambda graph, *_, **__: given.append(graph))
    space = space_of({"trials": 3})
    best = space.fill(space.default())
    result = make_result(best=best, repeat_s=1.0, left_s=None)
    delivery.deliver_best(Delivery("space.yaml", None, {}, tmp_path), result, QUIET)
    origin = given[0].provenance
    assert (origin["val_accuracy"], origin["trial"]) == (0.8, "trial-0007")
    assert origin["val_accuracy_of"] == "the mean of 3 trainings with new seeds"


def test_a_model_and_its_page_belong_to_their_search_whatever_has_begun_since(
    new_store, tmp_path, monkeypatch
):
    uri = new_store()
    written(uri, "pets", ("finished", [0.1, 0.2, 0.3]))
    own = find_experiment("pets", uri).searches()[0]
    written(uri, "pets", ("finished", [0.1, 0.2, 0.9]))
    metrics = {"accuracy": 0.3, "balanced_accuracy": 0.3, "macro_f1": 0.3, "loss": 1, "auroc": None}
    made = Delivered(
        tmp_path, "trial-0001", "resnet8", 9, 9, 40, True, metrics, {"a": CLASS, "b": CLASS}, 1.0
    )
    monkeypatch.setattr(delivery, "deliver_best", lambda *_: made)
    monkeypatch.setattr(delivery, "list_warnings", lambda *_: [])
    space = space_of({"trials": 3})
    plain = {field.name: None for field in dataclasses.fields(Result)}
    known = {"name": "pets", "rows": (), "metric": "accuracy", "warnings": (), "run": own.run}
    result = Result(**(plain | known | {"best": space.fill(space.default())}))
    deliver_result(Delivery("space.yaml", None, {}, tmp_path), result, uri, QUIET)
    experiment = find_experiment("pets", uri)
    newest, first = experiment.searches()
    assert first.id == own.id
    kept = {"delivered.json", "report.html"}
    assert kept <= set(experiment.artifacts(first))
    assert kept.isdisjoint(experiment.artifacts(newest))
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert made.sentence in read(page).text
    assert experiment.read_artifact(first, "report.html") == page
