"""A source is resolved once to a value that knows its file, hash, statistics and class names."""

import dataclasses
import hashlib
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file
from zoos import card, filled

from ktg.errors import DataError, MissingSourceError, SpecError
from ktg.graph import LABEL, Data, Edge, Graph, Node, SourceFile
from ktg.models.architectures import HALF, IMAGENET, build_body
from ktg.models.build import build_network, read_weights
from ktg.models.sources import (
    HubWeights,
    NoWeights,
    Published,
    Source,
    WeightsFile,
    ZooEntry,
    check_source_name,
    find_entry_name,
    inherit_model_args,
    list_zoo_sources,
    read_class_names,
    resolve_source,
)
from ktg.models.state_dicts import read_state
from ktg.zoo import Zoo, default_zoo


def find(source: str, files=None, base: Path | None = None, model: str = "resnet8") -> Source:
    """Return a source that is there, as `build_network` finds it."""
    found = resolve_source(Node(model=model, source=source), files or {}, base, "p")
    found.check("p")
    return found


@pytest.fixture
def offline(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    file = tmp_path / "net.pth"
    torch.save(build_body(Node(model="resnet8"), classes=10, size=32).state_dict(), file)
    return file


@pytest.fixture
def zoo(tmp_path: Path, monkeypatch) -> Zoo:
    """A zoo with the weights of a wide network with dropout, under two names."""
    node = Node(model="wide_resnet16_1", model_args={"drop_rate": 0.3})
    torch.manual_seed(1)
    file = tmp_path / "wide.safetensors"
    save_file(build_body(node, classes=4, size=32).state_dict(), file)
    zoo = Zoo(tmp_path / "zoo")
    for name in ("fractaldb", "animals"):
        zoo.add(
            card(name, node.model, model_args=node.model_args, classes=tuple("abcd"), mean=(0.2,)),
            file,
        )
    monkeypatch.setenv("KTG_ZOO", str(zoo.folder))
    return zoo


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


def test_nobody_publishes_imagenet_weights_of_cifar_networks():
    find("imagenet", model="resnet50")
    with pytest.raises(SpecError, match=r"^p: no ImageNet weights are published for .resnet32."):
        find("imagenet", model="resnet32")


def test_entries_of_the_zoo_are_named_by_the_source_and_found_by_the_model(
    tmp_path: Path, monkeypatch
):
    zoo = filled(tmp_path, ("animals", "resnet18"), ("fractaldb", "resnet8"))
    monkeypatch.setenv("KTG_ZOO", str(zoo.folder))
    file = zoo.folder / "animals/resnet18.safetensors"
    for model in ("resnet18", "timm/resnet18"):
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


def test_none_has_neither_file_nor_statistics():
    source = find("none")
    assert isinstance(source, NoWeights)
    assert (source.node.source, source.file, source.statistics()) == ("none", None, None)
    assert read_weights(source, 32) is None


def test_a_source_brings_its_own_statistics_or_the_models(saved: Path):
    sources = {
        "plain": SourceFile(path="net.pth"),
        "half": SourceFile(path="net.pth", mean=(0.5,), std=(0.25, 0.5, 0.75)),
        "mean": SourceFile(path="net.pth", mean=(0.1, 0.2, 0.3)),
    }
    got = {
        name: resolve_source(Node(model="resnet8", source=name), sources, saved.parent)
        for name in sources
    }
    assert {source.file for source in got.values()} == {saved}
    assert got["plain"].statistics() == IMAGENET
    assert got["half"].statistics() == ((0.5,), (0.25, 0.5, 0.75))
    assert got["mean"].statistics() == ((0.1, 0.2, 0.3), IMAGENET[1])
    vit = resolve_source(Node(model="vit_tiny_patch16_224", source="imagenet"), {})
    assert isinstance(vit, Published)
    assert (vit.file, vit.statistics()) == (None, HALF)


def test_a_model_file_of_ktg_says_what_it_expects(saved: Path):
    state, file = read_state(saved), saved.parent / "net.safetensors"

    def statistics(described: object) -> tuple[object, object]:
        save_file(state, file, metadata={"format": "pt", "ktg": json.dumps(described)})
        source = resolve_source(Node(model="resnet8", source="net.safetensors"), {}, saved.parent)
        return source.statistics()

    own = {"input": {"mean": [0.25], "std": [0.5]}}
    assert statistics(own) == ((0.25,), (0.5,))
    named = resolve_source(
        Node(model="resnet8", source="s"),
        {"s": SourceFile(path="net.safetensors", std=(2.0,))},
        saved.parent,
    )
    assert named.statistics() == ((0.25,), (2.0,))
    for foreign in (
        None,
        [],
        "x",
        {},
        {"input": None},
        {"input": {"mean": "x", "std": [1]}},
        own | {"members": {"n0": 1}},
    ):
        assert statistics(foreign) == IMAGENET


def test_statistics_have_one_or_three_numbers(saved: Path):
    sources = {"two": SourceFile(path="net.pth", std=(0.5, 0.5))}
    with pytest.raises(SpecError, match=r"^sources\.two\.std: expected one number, or three"):
        find("two", sources, saved.parent)


def test_the_hash_is_that_of_the_file_and_is_kept(saved: Path):
    node = Node(model="resnet8", source="./net.pth")
    first = resolve_source(node, {}, saved.parent).content_hash()
    assert first == hashlib.sha256(saved.read_bytes()).hexdigest()
    start = time.perf_counter()
    assert resolve_source(node, {}, saved.parent).content_hash() == first
    assert time.perf_counter() - start < 0.01


def test_the_hash_follows_a_change_of_the_file(saved: Path):
    node = Node(model="resnet8", source="./net.pth")
    first, stat = resolve_source(node, {}, saved.parent).content_hash(), saved.stat()
    content = bytearray(saved.read_bytes())
    content[-1] ^= 1
    saved.write_bytes(content)
    os.utime(saved, ns=(stat.st_atime_ns, stat.st_mtime_ns + 1_000_000_000))
    assert resolve_source(node, {}, saved.parent).content_hash() != first


@pytest.mark.usefixtures("offline")
def test_none_and_imagenet_have_names_that_need_no_file_and_no_network(monkeypatch):
    monkeypatch.setattr(socket, "socket", None)
    assert find("none").content_hash() == "none"
    names = {
        find("imagenet", model=m).content_hash()
        for m in ("resnet18", "torchvision/resnet18", "resnet34")
    }
    assert len(names) == 3
    assert all(name.startswith("imagenet:") for name in names)


def test_the_hash_of_an_entry_is_read_from_its_card(zoo: Zoo):
    zoo.weights_file("animals/wide_resnet16_1").write_bytes(b"")
    node = Node(model="wide_resnet16_1", source="zoo/animals")
    assert resolve_source(node, {}).content_hash() == zoo.get("animals", "wide_resnet16_1").sha256


SOURCES = {
    "mine": SourceFile(path="w.pth", accuracy=0.5, labels="names.txt"),
    "silent": SourceFile(path="w.pth"),
}


def test_what_is_said_of_a_named_file(tmp_path):
    (tmp_path / "names.txt").write_text("tench, Tinca tinca\n goldfish \n", encoding="utf-8")
    mine, silent = (
        resolve_source(Node(model="resnet8", source=name), SOURCES, tmp_path) for name in SOURCES
    )
    assert isinstance(mine, WeightsFile)
    assert (mine.accuracy, silent.accuracy) == (0.5, None)
    assert mine.class_names == ("tench, Tinca tinca", "goldfish")
    assert silent.class_names is None


def test_nothing_is_right_without_weights():
    assert (find("none").accuracy, find("none").class_names) == (0, None)


def test_imagenet_has_a_thousand_names():
    source = find("imagenet", model="resnet18")
    names = source.class_names
    assert (len(names), names[0], names[999].partition(",")[0]) == (
        1000,
        "tench, Tinca tinca",
        "toilet tissue",
    )
    assert source.accuracy is None


def test_what_the_card_of_an_entry_says(tmp_path, monkeypatch):
    monkeypatch.setenv("KTG_ZOO", str(tmp_path / "zoo"))
    save_file({"w": torch.zeros(2)}, tmp_path / "w.safetensors")
    default_zoo().add(card("pets", accuracy=0.75), tmp_path / "w.safetensors")
    source = find("zoo/pets")
    assert isinstance(source, ZooEntry)
    assert (source.accuracy, source.class_names) == (0.75, ("cat", "dog"))


def test_what_was_pretrained_on_formulas_knows_no_photographs(tmp_path, monkeypatch):
    monkeypatch.setenv("KTG_ZOO", str(tmp_path / "zoo"))
    save_file({"w": torch.zeros(2)}, tmp_path / "w.safetensors")
    for name, provenance in (("pets", {}), ("drawn", {"formula": "svd"}), ("fractaldb", {})):
        default_zoo().add(card(name, provenance=provenance), tmp_path / "w.safetensors")
    known = {name: find(name).knows_photographs for name in ("zoo/pets", "zoo/drawn", "fractaldb")}
    assert known == {"zoo/pets": True, "zoo/drawn": False, "fractaldb": False}
    assert not find("zoo/fractals", model="resnet20").knows_photographs  # comes with ktg
    assert not find("none").knows_photographs
    assert find("imagenet", model="resnet18").knows_photographs


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


@pytest.mark.parametrize(
    ("content", "problem"), [(b"", "line 1 is empty"), (b"a\n\nb", "line 2"), (b"\xff", "UTF-8")]
)
def test_a_file_of_names_that_is_none_is_refused(tmp_path, content, problem):
    (tmp_path / "n.txt").write_bytes(content)
    with pytest.raises(DataError, match=problem):
        read_class_names(tmp_path / "n.txt")
    with pytest.raises(DataError, match="cannot be read as names"):
        read_class_names(tmp_path / "none.txt")
    os.mkfifo(tmp_path / "pipe.txt")
    for place in (tmp_path, tmp_path / "pipe.txt", Path("/dev/zero")):
        with pytest.raises(DataError, match=f"^{place}: is no regular file"):
            read_class_names(place)


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
        "import sys; from ktg.models.sources import resolve_source; from ktg.graph import Node;"
        "found = resolve_source(Node(model='wide_resnet16_1', source='zoo/animals'), {});"
        "print(found.accuracy, found.content_hash()[:1] != '', found.statistics()[0]);"
        "print({'torch', 'timm', 'torchvision'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "None True (0.2,)\nset()\n", done.stderr


def test_a_file_brings_the_arguments_that_are_said_of_it(tmp_path, caplog):
    said = {"pad_type": "same"}
    node = Node(model="mobilenetv2_035", model_args=said)
    file = tmp_path / "net.safetensors"
    save_file(build_body(node, classes=10, size=64).state_dict(), file)
    about = SourceFile(path=str(file), mean=(0.5,), std=(0.5,), model_args=said)
    plain = Node(model="mobilenetv2_035", source="mine")
    found = resolve_source(plain, {"mine": about})
    assert dict(found.node.model_args) == said
    assert not found.list_guesses()
    weights = {"mobilenetv2_035": about}
    graph = one_node(Node(model="mobilenetv2_035", source="imagenet"))
    graph = dataclasses.replace(graph, weights=weights)
    inherited = inherit_model_args(graph, {"n": "n"}).nodes["n"]
    assert dict(inherited.model_args) == said
    other = dataclasses.replace(plain, model_args={"pad_type": ""})
    with pytest.raises(SpecError, match="mine is said to be of a network with model_args"):
        resolve_source(other, {"mine": about}, path="nodes.n0.source")

    bare = WeightsFile(Node(model="mobilenetv2_035", source=str(file)), str(file))
    normalisation, padding = bare.list_guesses()
    assert normalisation.startswith("the normalisation (mean 0.485, 0.456, 0.406; std ")
    assert "want pad_type: same" in padding
    assert len(WeightsFile(Node(model="resnet18", source="x"), str(file)).list_guesses()) == 1
    for _ in range(2):
        args = {"classes": 10, "image_size": 64, "mean": (0.5,), "std": (0.5,), "seed": 0}
        build_network(bare.node, {}, **args)
    (warned,) = [record.getMessage() for record in caplog.records]  # once
    assert warned.endswith(
        "is a guess; say mean, std and model_args beside its path, in `sources` or `weights`"
    )


def test_a_file_that_is_called_as_the_published_one_is_taken_for_it(tmp_path):
    name = "resnet18-f37072fd.pth"
    node = Node(model="torchvision/resnet18", source="imagenet")
    assert not WeightsFile(node, str(tmp_path / name)).list_guesses()
    assert WeightsFile(node, str(tmp_path / "mine.pth")).list_guesses()


def test_a_repository_of_the_hub_is_a_source(offline):
    node = Node(model="resnet18", source="hf-hub:me/birds")
    found = resolve_source(node, {})
    assert isinstance(found, HubWeights)
    assert found.content_hash() == "hf-hub:me/birds"
    assert found.statistics() == IMAGENET
    assert found.class_names is None
    found.check("nodes.n0.source")
    with pytest.raises(SpecError, match="names no repository of the Hugging Face hub; write hf-"):
        find("hf-hub:birds", model="resnet18")
