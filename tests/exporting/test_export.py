"""From an experiment to files: trained again to what was measured, in every form; refusals."""

import pytest
import torch
from records import GRAPH
from safetensors.torch import load_file

from ktg.errors import UserError
from ktg.exporting.export import export
from ktg.exporting.formats import Formats
from ktg.exporting.graph_files import TrialChoice
from ktg.exporting.load_model import load_model
from ktg.graph import Data
from ktg.graph.yaml_files import load_graph
from ktg.searching.stored_search import StoredSearch
from ktg.tracking import MlflowTracker

pytestmark = pytest.mark.usefixtures("one_thread")  # as each trial had


@pytest.mark.slow
def test_the_weights_are_those_that_the_search_measured(searched, tmp_path):
    weights, told = tmp_path / "model.safetensors", []
    formats = Formats(weights=weights, card=tmp_path / "README.md")
    delivered = export(
        "a search",
        searched.uri,
        output=tmp_path / "best.yaml",
        formats=formats,
        all_nodes=True,
        device="cpu",
        on_epoch=lambda seed, epoch, epochs: told.append((seed, epoch.number, epochs)),
    )
    best = searched.result["rows"][0]
    assert delivered.about.accuracy.mean == best["accuracy"]  # bit for bit
    assert delivered.same_data
    assert told == [(0, 1, 4), (0, 2, 4), (0, 3, 4), (0, 4, 4)]
    assert load_model(weights).about.graph.provenance["trial"] == best["trial"]
    assert set(delivered.weights) == {"n0"} | {
        path.stem.partition("-")[2] for path in tmp_path.glob("model-*")
    }
    assert f"{100 * best['accuracy']:.2f} %" in (tmp_path / "README.md").read_text()


@pytest.mark.slow
def test_final_trains_on_the_validation_split_too_and_measures_nothing(searched, tmp_path):
    formats = Formats(weights=tmp_path / "model.safetensors")
    about = export(
        "a search", searched.uri, output=tmp_path / "b.yaml", formats=formats, final=True
    ).about
    assert (about.accuracy, about.training.splits) == (None, "train and val")
    assert about.training.images == 128  # of 160, less a fifth for the test


def test_nothing_is_written_before_the_training_whose_images_are_gone(new_store, tmp_path):
    uri = new_store()
    with MlflowTracker("moved", uri) as tracker:
        parent = tracker.start("made", tags={"kind": "search"})
        trial = tracker.start("trial-0001", parent=parent, tags={"kind": "trial"})
        graph = GRAPH.replace("{name: digits}", f"{{path: {tmp_path}/moved}}")
        tracker.artifact(trial, "graph.yaml", graph)
        tracker.log(trial, {"val_accuracy": 0.5, "val_loss": 1.0}, 1)
        tracker.end(trial, "finished")
        tracker.end(parent, "finished")
    with pytest.raises(UserError, match="moved does not exist"):
        export("moved", uri, output=tmp_path / "b.yaml", formats=Formats(card=tmp_path / "c.md"))
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_same_graph_gives_the_same_weights(searched, tmp_path):
    files = [tmp_path / name for name in ("a.safetensors", "b.safetensors")]
    for file in files:
        export(
            "a search",
            searched.uri,
            output=tmp_path / "b.yaml",
            formats=Formats(weights=file),
            force=True,
            device="cpu",
        )
    one, two = map(load_file, files)
    assert all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.slow
def test_other_images_than_the_search_saw_are_noticed(searched, tmp_path, monkeypatch):
    monkeypatch.setattr(StoredSearch, "data", Data(name="digits"))
    formats = Formats(weights=tmp_path / "model.safetensors")
    assert not export(
        "a search", searched.uri, output=tmp_path / "b.yaml", formats=formats
    ).same_data


def test_a_model_file_gives_its_graph_again(everything, trained):
    assert load_graph(everything.folder / "graph.yaml") == trained.graph
    assert (everything.folder / "graph.svg").exists()


def test_8_bit_integers_need_the_images_of_the_training(trained, tmp_path, monkeypatch):
    monkeypatch.setattr("ktg.exporting.export.open_data", lambda *a, **k: trained.training.dataset)
    monkeypatch.setattr(type(trained.training.dataset), "fingerprint", "other", raising=False)
    dataset = trained.training.dataset
    object.__setattr__(dataset, "fingerprint", "other")
    try:
        with pytest.raises(UserError, match="not those that this model was trained on"):
            export(str(trained.file), "", formats=Formats(int8=tmp_path / "small.onnx"))
    finally:
        object.__setattr__(
            dataset, "fingerprint", load_model(trained.file).about.training.fingerprint
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("files", "options", "said"),
    [
        ({"weights": "m.pth"}, {}, r"--weights: m\.pth: give a name that ends in \.safetensors"),
        ({"torch_export": "m.pt"}, {}, r"--torch-export: m\.pt: give a name that ends in \.pt2"),
        (
            {"onnx": "m.onnx", "int8": "m.onnx"},
            {},
            r"m\.onnx: two of the files are to have this name",
        ),
        ({}, {"all_nodes": True}, "--all-nodes is about files of weights"),
        (
            {},
            {"choice": TrialChoice(top=2, trial="1")},
            "--top, --trial and --baseline say different things",
        ),
        (
            {"weights": "m.safetensors"},
            {"choice": TrialChoice(top=2)},
            "--top writes several graphs",
        ),
    ],
)
@pytest.mark.slow
def test_contradictions_are_found_before_anything_is_written(
    searched, tmp_path, monkeypatch, files, options, said
):
    monkeypatch.chdir(tmp_path)
    formats = Formats(
        **{kind: tmp_path.joinpath(name).relative_to(tmp_path) for kind, name in files.items()}
    )
    with pytest.raises(UserError, match=said):
        export("a search", searched.uri, formats=formats, **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "options",
    [
        {"choice": TrialChoice(trial="7")},
        {"choice": TrialChoice(baseline="alone")},
        {"final": True},
        {"calibrated": False},
    ],
)
def test_a_model_file_has_no_other_graph_and_is_not_trained_again(trained, tmp_path, options):
    with pytest.raises(UserError, match="is one network, trained already; leave out --trial"):
        export(str(trained.file), "", formats=Formats(onnx=tmp_path / "m.onnx"), **options)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_files_that_are_there_are_found_before_training(searched, trained, tmp_path):
    (tmp_path / "model-n1.safetensors").touch()
    (tmp_path / "m.onnx").touch()
    for formats in (
        Formats(weights=tmp_path / "model.safetensors"),
        Formats(onnx=tmp_path / "m.onnx"),
    ):
        with pytest.raises(UserError, match="is there already; give --force"):
            export(
                "a search",
                searched.uri,
                output=tmp_path / "b.yaml",
                choice=TrialChoice(baseline="mutual learning"),
                formats=formats,
                all_nodes=formats.weights is not None,
                on_epoch=lambda *seen: pytest.fail("it was trained"),
                force=False,
            )
        (tmp_path / "b.yaml").unlink(missing_ok=True)
        (tmp_path / "b.svg").unlink(missing_ok=True)
    with pytest.raises(UserError, match="say what to make of it"):
        export(str(trained.file), "")
    with pytest.raises(UserError, match="is a file of weights already"):
        export(str(trained.file), "", formats=Formats(weights=tmp_path / "x.safetensors"))
