"""The name of a source is resolved once: to none, published weights, a zoo's entry or a file."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from zoos import card, filled, find

from ktg.errors import MissingSourceError, SpecError
from ktg.graph import LABEL, Data, Edge, Graph, Node, SourceFile
from ktg.models.architectures import build_body
from ktg.models.resolve import (
    check_source_name,
    find_entry_name,
    inherit_model_args,
    list_zoo_sources,
    resolve_source,
)
from ktg.models.sources import WeightsFile, ZooEntry
from ktg.zoo import Zoo, default_zoo


def test_sources_are_none_imagenet_named_files_and_paths(tmp_path: Path):
    (tmp_path / "birds.pth").write_bytes(b"x")
    sources = {"birds": SourceFile(path="birds.pth")}
    for source in ("none", "imagenet"):
        assert find(source, sources, tmp_path, "resnet18").file is None
    for source in ("birds", "birds.pth", "./birds.pth", str(tmp_path / "birds.pth")):
        assert find(source, sources, tmp_path).file == tmp_path / "birds.pth"


def test_a_file_may_stand_in_for_imagenet(tmp_path: Path):
    (tmp_path / "a.pth").write_bytes(b"x")
    sources = {"imagenet": SourceFile(path="a.pth")}
    assert find("imagenet", sources, tmp_path, "resnet20").file == tmp_path / "a.pth"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "imagnet",
            r"^p: 'imagnet' is not a source; allowed: none, imagenet, fractaldb, birds, zoo/NAME, "
            r".* mean 'imagenet'",
        ),
        ("birds", r"^sources\.birds\.path: there is no file gone\.pth in /"),
        ("sub/gone.pth", r"^p: there is no file sub/gone\.pth in /"),
        ("./folder", r"^p: \./folder is a folder"),
        ("./pipe.pth", r"^p: \./pipe\.pth is no regular file"),
        ("./notes.txt", r"^p: \./notes\.txt is not a weights file; allowed: \.safetensors, \.pth"),
    ],
)
def test_a_source_that_is_not_there_is_a_spec_error(tmp_path, monkeypatch, source, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "notes.txt").touch()
    os.mkfifo(tmp_path / "pipe.pth")
    sources = {"birds": SourceFile(path="gone.pth")}
    with pytest.raises(SpecError, match=message):
        find(source, sources, tmp_path)
    with pytest.raises(SpecError, match=message):
        check_source_name(source, sources, "p")


def test_entries_of_the_zoo_are_named_by_the_source_and_found_by_the_model(
    tmp_path: Path, monkeypatch
):
    zoo = filled(tmp_path, ("animals", "resnet18"), ("fractaldb", "resnet8"))
    monkeypatch.setenv("KTG_ZOO", str(zoo.folder))
    file = zoo.folder / "animals/resnet18.safetensors"
    for model in ("resnet18", "timm/resnet18", "resnet18.a1_in1k"):
        assert find("zoo/animals", {}, tmp_path, model).file == file
    file = zoo.folder / "fractaldb/resnet8.safetensors"
    assert {find(source).file for source in ("fractaldb", "zoo/fractaldb")} == {file}
    check_source_name("zoo/of_another_model", {}, "p")  # the zoo is not asked


def test_a_missing_entry_says_what_there_is_and_what_would_make_it(tmp_path: Path, monkeypatch):
    zoo = filled(tmp_path, ("animals", "resnet18"), ("fractaldb", "resnet8"))
    monkeypatch.setenv("KTG_ZOO", str(zoo.folder))
    where = f"^p: the zoo {zoo.folder} has no "
    with pytest.raises(
        SpecError,
        match=where + r"fractaldb for resnet18; .*animals, and fractaldb for resnet8\. Make it",
    ) as error:
        find("fractaldb", model="timm/resnet18")
    assert "`ktg source pretrain fractaldb --model timm/resnet18`" in str(error.value)
    with pytest.raises(
        SpecError,
        match=where + r"animls for resnet18; .* Did you mean 'animals'\? .*`ktg zoo list`",
    ):
        find("zoo/animls", model="resnet18")
    for source in ("zoo/", "zoo/../animals", "zoo/a/b"):
        with pytest.raises(SpecError, match=r"^p: .* cannot name an entry"):
            find(source, model="resnet18")


def test_files_and_names_of_the_users_own_come_before_the_zoo(tmp_path: Path):
    (tmp_path / "zoo").mkdir()
    (tmp_path / "zoo" / "x.pth").write_bytes(b"x")
    sources = {"fractaldb": SourceFile(path="zoo/x.pth")}
    for source in ("zoo/x.pth", "fractaldb"):
        assert find(source, sources, tmp_path).file == tmp_path / "zoo" / "x.pth"
    assert [
        find_entry_name(source, sources)
        for source in ("zoo/x.pth", "fractaldb", "zoo/x", "imagenet")
    ] == [
        None,
        None,
        "x",
        None,
    ]


def test_a_network_comes_with_ktg_and_an_own_one_of_its_name_wins(tmp_path, monkeypatch):
    monkeypatch.setenv("KTG_ZOO", str(tmp_path / "zoo"))
    shipped = find("zoo/fractals", model="resnet20")
    assert isinstance(shipped, ZooEntry)
    assert (shipped.card.licence, len(shipped.class_names or ())) == ("Apache-2.0", 60)
    assert shipped.file.is_file()
    assert list_zoo_sources("zoo/*", "resnet20") == ["zoo/fractals"]
    assert list_zoo_sources("zoo/*", "resnet8") == []
    with pytest.raises(MissingSourceError, match="has no fractals for resnet8"):
        find("zoo/fractals", model="resnet8")
    save_file({"w": torch.zeros(2)}, tmp_path / "w.safetensors")
    for name in ("animals", "fractals"):
        default_zoo().add(card(name, "resnet20"), tmp_path / "w.safetensors")
    own = find("zoo/fractals", model="resnet20")
    assert own.class_names == ("cat", "dog")
    assert own.file == tmp_path / "zoo/fractals/resnet20.safetensors"
    assert list_zoo_sources("zoo/*", "resnet20") == ["zoo/animals", "zoo/fractals"]


def one_node(node: Node, edges: bool = True) -> Graph:
    return Graph(data=Data(name="digits"), nodes={"n": node}, edges={(LABEL, "n"): Edge(loss="ce")})


def test_a_node_inherits_the_arguments_of_its_entry(zoo: Zoo):
    made = {"drop_rate": 0.3}
    for source in ("fractaldb", "zoo/animals"):
        found = find(source, model="wide_resnet16_1")
        assert found.node == Node(model="wide_resnet16_1", source=source, model_args=made)
        graph = one_node(Node(model="wide_resnet16_1", source=source))
        assert dict(inherit_model_args(graph, {"n": "n"}).nodes["n"].model_args) == made
    for node in (found.node, Node(model="wide_resnet16_1")):  # nothing to inherit
        graph = one_node(node)
        assert inherit_model_args(graph, {"n": "n"}) is graph


def test_a_missing_entry_is_named_by_the_users_name_of_the_node(zoo: Zoo):
    graph = one_node(Node(model="wide_resnet16_1", source="zoo/gone"))
    with pytest.raises(SpecError, match=r"^nodes\.own\.source: the zoo .* has no gone for wide"):
        inherit_model_args(graph, {"n": "own"})


def test_resolving_costs_neither_torch_nor_timm(zoo: Zoo):
    code = (
        "import sys; from ktg.models.resolve import resolve_source; from ktg.graph import Node;"
        "found = resolve_source(Node(model='wide_resnet16_1', source='zoo/animals'), {});"
        "print(found.accuracy, found.content_hash()[:1] != '', found.statistics()[0]);"
        "print({'torch', 'timm', 'torchvision'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "None True (0.2,)\nset()\n", done.stderr


def test_a_file_brings_the_arguments_that_are_said_of_it(tmp_path):
    said = {"pad_type": "same"}
    node = Node(model="mobilenetv2_035", model_args=said)
    file = tmp_path / "net.safetensors"
    save_file(build_body(node, classes=10, size=64).state_dict(), file)
    about = SourceFile(path=str(file), mean=(0.5,), std=(0.5,), model_args=said)
    plain = Node(model="mobilenetv2_035", source="mine")
    found = resolve_source(plain, {"mine": about})
    assert dict(found.node.model_args) == said
    assert isinstance(found, WeightsFile)
    assert not found.list_guesses()
    weights = {"mobilenetv2_035": about}
    graph = one_node(Node(model="mobilenetv2_035", source="imagenet"))
    graph = dataclasses.replace(graph, weights=weights)
    inherited = inherit_model_args(graph, {"n": "n"}).nodes["n"]
    assert dict(inherited.model_args) == said
    other = dataclasses.replace(plain, model_args={"pad_type": ""})
    with pytest.raises(SpecError, match="mine is said to be of a network with model_args"):
        resolve_source(other, {"mine": about}, path="nodes.n0.source")
