"""What is known of a source besides its weights."""

import pytest
import torch
from safetensors.torch import save_file

from ktg.affinity.candidate import Candidate
from ktg.affinity.source_facts import class_names, imagenet_names, read_names, source_accuracy
from ktg.errors import DataError
from ktg.graph import Node, SourceFile
from ktg.zoo import Card, default_zoo

SOURCES = {
    "mine": SourceFile(path="w.pth", accuracy=0.5, labels="names.txt"),
    "silent": SourceFile(path="w.pth"),
}


def of(source):
    return Candidate("c", Node(model="resnet8", source=source))


def test_of_a_named_file(tmp_path):
    (tmp_path / "names.txt").write_text("tench, Tinca tinca\n goldfish \n", encoding="utf-8")
    assert source_accuracy(of("mine"), SOURCES) == 0.5
    assert class_names(of("mine"), SOURCES, tmp_path) == ("tench, Tinca tinca", "goldfish")
    assert source_accuracy(of("silent"), SOURCES) is None
    assert class_names(of("silent"), SOURCES) is None


def test_nothing_is_right_without_weights():
    assert source_accuracy(of("none"), {}) == 0
    assert class_names(of("none"), {}) is None


def test_imagenet_has_a_thousand_names():
    names = class_names(of("imagenet"), {})
    assert names == imagenet_names()
    assert (len(names), names[0], names[999].partition(",")[0]) == (
        1000,
        "tench, Tinca tinca",
        "toilet tissue",
    )
    assert source_accuracy(of("imagenet"), {}) is None


def test_of_the_zoo(tmp_path, monkeypatch):
    monkeypatch.setenv("KTG_ZOO", str(tmp_path / "zoo"))
    save_file({"w": torch.zeros(2)}, tmp_path / "w.safetensors")
    card = Card(
        name="pets",
        model="resnet8",
        classes=("cat", "dog"),
        data="photos",
        mean=(0.5,),
        std=(0.5,),
        input_size=32,
        accuracy=0.75,
    )
    default_zoo().add(card, tmp_path / "w.safetensors")
    assert source_accuracy(of("zoo/pets"), {}) == 0.75
    assert class_names(of("zoo/pets"), {}) == ("cat", "dog")


@pytest.mark.parametrize(
    ("content", "problem"), [(b"", "line 1 is empty"), (b"a\n\nb", "line 2"), (b"\xff", "UTF-8")]
)
def test_a_file_of_names_that_is_none_is_refused(tmp_path, content, problem):
    (tmp_path / "n.txt").write_bytes(content)
    with pytest.raises(DataError, match=problem):
        read_names(tmp_path / "n.txt")
    with pytest.raises(DataError, match="cannot be read as names"):
        read_names(tmp_path / "none.txt")
