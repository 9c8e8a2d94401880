"""`ktg export`: the files, what is said of them, and an experiment that is not there."""

import json
import re

import pytest
from command import ktg

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.slow
def test_the_files_and_the_next_three_commands(searched, tmp_path):
    done = ktg(
        "export", "a search", "-o", "best.yaml", "--tracking-uri", searched.uri, folder=tmp_path
    )
    assert (done.code, done.err) == (0, "")
    best = searched.result["rows"][0]
    first, *_ = done.out.splitlines()
    accuracy = f"validation accuracy {100 * best['accuracy']:.2f} % (one training)"
    assert first == f"best.yaml and best.svg: {best['trial']}, {accuracy}"
    commands = [
        line.split("#")[0].strip() for line in done.out.splitlines() if line.startswith("  ktg ")
    ]
    pages = f"ktg ui --tracking-uri {searched.uri}"
    assert commands == ["ktg train best.yaml --seeds 3", "ktg graph show best.yaml", pages]
    assert {path.name for path in tmp_path.iterdir()} == {"best.yaml", "best.svg"}
    shown = json.loads(ktg("graph", "show", "best.yaml", "--json", folder=tmp_path).out)
    assert shown["nodes"]["n0"]["role"] == "target"


@pytest.mark.slow
def test_json_names_the_files_and_where_they_come_from(searched, tmp_path):
    done = ktg("export", "a search", "--json", "--tracking-uri", searched.uri, folder=tmp_path)
    exported = json.loads(done.out)
    assert (exported["graph"], exported["drawing"]) == ("best.yaml", "best.svg")
    assert exported["trial"] == searched.result["rows"][0]["trial"]


@pytest.mark.slow
def test_an_experiment_that_is_not_there(searched, refused):
    sentence = refused("export", "a serch", "--tracking-uri", searched.uri)
    assert sentence.startswith("no experiment 'a serch' in sqlite:///")
    assert sentence.endswith("it has: a search. Did you mean 'a search'?")
    assert "run `ktg search` there first" in refused("export", "a search")  # no store here at all


@pytest.mark.slow
def test_a_trained_network_in_every_form_with_what_is_to_be_known_of_it(searched, tmp_path):
    files = (
        "--weights",
        "m.safetensors",
        "--onnx",
        "m.onnx",
        "--int8",
        "s.onnx",
        "--card",
        "README.md",
    )
    done = ktg(
        "export",
        "a search",
        *files,
        "--device",
        "cpu",
        "--tracking-uri",
        searched.uri,
        folder=tmp_path,
    )
    assert done.code == 0, done.err
    assert re.search(r"^m\.onnx: logits within [\de.-]+ of torch's$", done.out, re.MULTILINE)
    said = r"^s\.onnx: 8-bit integers: accuracy .* -> .* on \d+ validation images, .* MB$"
    assert re.search(said, done.out, re.MULTILINE)
    assert re.search(
        r"^accuracy of these weights on the val split: [\d.]+ %$", done.out, re.MULTILINE
    )
    assert "  ktg predict m.safetensors FOLDER  # labels of your images" in done.out
    again = ktg("export", "a search", "--tracking-uri", searched.uri, folder=tmp_path)
    assert (again.code, again.err) == (
        2,
        "ktg: best.yaml: is there already; give --force to overwrite it, or another name\n",
    )
    converted = ktg("export", "m.safetensors", "--torch-export", "m.pt2", "--json", folder=tmp_path)
    plain = json.loads(converted.out)
    assert plain["files"] == {"weights": "m.safetensors", "torch_export": "m.pt2"}
    assert plain["accuracy"]["split"] == "val"


@pytest.mark.slow
def test_the_top_graphs_and_what_another_machine_needs(searched, tmp_path):
    words = ("export", "a search", "--top", "2", "--tracking-uri", searched.uri)
    done = ktg(*words, folder=tmp_path)
    assert [line.partition(" and ")[0] for line in done.out.splitlines()[:2]] == [
        "best-1.yaml",
        "best-2.yaml",
    ]
    plain = json.loads(ktg(*words, "--json", "--force", folder=tmp_path).out)
    assert [graph["graph"] for graph in plain["graphs"]] == ["best-1.yaml", "best-2.yaml"]
