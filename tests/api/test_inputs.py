"""Graphs and spaces as paths, plain data and parsed objects."""

import os
from pathlib import Path

import command
import pytest
from command import graph_file

import ktg
from ktg.api.inputs import check_writable, shorten_known_model
from ktg.errors import SpecError, UserError, show
from ktg.graph.yaml_files import load, load_graph

pytestmark = pytest.mark.usefixtures("one_thread")


def test_a_graph_as_path_plain_data_or_parsed_trains_to_the_same(tiny, tmp_path):
    file = graph_file(tmp_path / "graph.yaml", tiny)
    forms = [file, str(file), load(file), load_graph(file)]
    found = {ktg.train(form, device="cpu", tracking_uri=None).runs[0].loss for form in forms}
    assert len(found) == 1


def test_mistakes_are_errors_in_one_sentence(tiny, tmp_path):
    with pytest.raises(SpecError, match="is not a model"):
        ktg.train(
            {
                "data": {"path": str(tiny)},
                "nodes": {"n0": {"model": "resnet9"}},
                "edges": {"label -> n0": {}},
            }
        )
    with pytest.raises(UserError, match="expected a path, plain data or a parsed graph"):
        ktg.train(3)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_or_a_file_without_the_right_to_write(tmp_path):
    file = tmp_path / "best.yaml"
    file.touch(mode=0o444)
    with pytest.raises(UserError, match="may not be written"):
        check_writable(file)
    tmp_path.chmod(0o555)
    with pytest.raises(UserError, match="cannot write into"):
        check_writable(tmp_path / "new.yaml")


def test_a_check_leaves_nothing_behind(tmp_path):
    check_writable(tmp_path / "best.yaml")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["..", "x" * 256, "a\x1b[31m", "/a", "a/b", " "])
def test_a_name_that_no_experiment_can_have_is_refused_before_anything_runs(
    tiny, tmp_path, monkeypatch, name
):
    monkeypatch.chdir(tmp_path)
    file = graph_file(tmp_path / "space.yaml", tiny, train={"lr": {"choice": [0.05, 0.1]}})
    for store in (None, "sqlite:///mlflow.db"):
        with pytest.raises(UserError) as raised:
            ktg.search(file, name=name, tracking_uri=store)
        assert str(raised.value).startswith(f"--name: {show(name)} cannot name an experiment; it ")
    if name != "a/b":  # which is for MLflow an experiment like others
        graph = load(graph_file(tmp_path / "graph.yaml", tiny))
        with pytest.raises(UserError, match="cannot name an experiment"):
            ktg.train(graph, name=name, tracking_uri="sqlite:///mlflow.db")
    assert {path.suffix for path in tmp_path.iterdir()} == {".yaml"}


def test_a_file_whose_name_cannot_be_that_of_an_experiment_is_not_trained(tiny, tmp_path):
    file = graph_file(tmp_path / "a\nb.yaml", tiny)
    done = command.ktg("train", file, "--device", "cpu", folder=tmp_path)
    rule = "it must not contain control characters or bytes that are not UTF-8"
    assert done == command.Done(2, "", f"ktg: 'a\\nb' cannot name an experiment; {rule}\n")
    assert list(tmp_path.iterdir()) == [file]


def test_a_model_is_found_by_its_network_whatever_the_tag():
    for model in ("resnet18", "timm/resnet18", "resnet18.a1_in1k", "timm/resnet18.a1_in1k"):
        assert shorten_known_model(model) == "resnet18"
    with pytest.raises(SpecError, match=r"^--model: timm publishes no weights 'a9' of resnet18"):
        shorten_known_model("resnet18.a9")


def test_files_for_models_come_one_by_one_or_from_the_section_of_a_file(tmp_path, monkeypatch):
    from ktg.api.inputs import read_imagenet_files

    monkeypatch.chdir(tmp_path)
    (tmp_path / "sub").mkdir()
    section = "weights:\n  resnet20: {path: r.pth, mean: 0.5, std: 0.25}\n  resnet32: s.pth\n"
    (tmp_path / "sub" / "w.yaml").write_text(section)
    assert read_imagenet_files(["resnet8=a.pth", "sub/w.yaml"]) == {
        "resnet8": str(tmp_path / "a.pth"),
        "resnet20": {"path": str(tmp_path / "sub" / "r.pth"), "mean": 0.5, "std": 0.25},
        "resnet32": str(tmp_path / "sub" / "s.pth"),
    }


def test_weights_are_given_from_python_as_in_a_file(tmp_path, monkeypatch):
    from ktg.api.inputs import read_weights_option

    monkeypatch.chdir(tmp_path)
    given = {"resnet8": "a.pth", "resnet20": {"path": "r.pth", "mean": 0.5, "std": 0.25}}
    named = {
        "resnet8": str(tmp_path / "a.pth"),
        "resnet20": {"path": str(tmp_path / "r.pth"), "mean": 0.5, "std": 0.25},
    }
    assert read_weights_option(given) == named
    assert read_weights_option({"resnet8": Path("a.pth")}) == {"resnet8": named["resnet8"]}
    (tmp_path / "w.yaml").write_text("weights: {resnet8: a.pth}")
    assert read_weights_option("w.yaml") == {"resnet8": named["resnet8"]}
    assert read_weights_option({}) == {}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("nodes: {}", "w.yaml: weights: this section is missing"),
        ("weights: {resnet20: {mean: 0.5}}", "w.yaml: weights.resnet20.path: is missing"),
        ("weights: {resnet81: r.pth}", "'resnet81' is not a model"),
        ("weights: {resnet8: r.pth}", "two files are given for resnet8"),
    ],
)
def test_a_section_of_weights_that_cannot_be_is_refused(tmp_path, monkeypatch, content, said):
    from ktg.api.inputs import read_imagenet_files

    monkeypatch.chdir(tmp_path)
    (tmp_path / "w.yaml").write_text(content)
    with pytest.raises(UserError) as caught:
        read_imagenet_files(["resnet8=a.pth", "w.yaml"])
    assert said in str(caught.value)
