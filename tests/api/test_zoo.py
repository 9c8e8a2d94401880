"""Entries of the zoo from Python."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from ktg.api.zoo import add_entry, list_entries, remove_entries, show_entries
from ktg.errors import DataError
from ktg.graph import Node
from ktg.models.architectures import build_body
from ktg.models.resolve import list_zoo_sources
from ktg.zoo import default_zoo

KEY = "birds/resnet18"


@pytest.fixture(autouse=True)
def _own_zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KTG_ZOO", str(tmp_path / "zoo"))


def save(folder: Path, model: str, size: int) -> Path:
    body = build_body(Node(model=model), classes=2, size=size)
    torch.save(body.state_dict(), folder / "net.pth")
    return folder / "net.pth"


def test_a_tag_names_weights_and_not_another_network(tmp_path):
    file, model = save(tmp_path, "resnet18", 64), "resnet18.a1_in1k"
    added = add_entry("birds", file, model=model, mean="0.5", std="0.5")
    assert added["model"] == "resnet18"
    assert list_zoo_sources("zoo/*", model) == list_zoo_sources("zoo/*", "resnet18")
    for name in (model, "resnet18"):
        (shown,) = show_entries("birds", model=name)
        assert list_entries(model=name).entries == [shown] == [added]
    assert remove_entries("birds", model=model) == ["birds/resnet18"]


def test_an_entry_that_an_older_ktg_called_by_a_tag_is_removed_itself(tmp_path):
    file, model = save(tmp_path, "resnet18", 64), "resnet18.a1_in1k"
    add_entry("birds", file, model="resnet18", mean="0.5", std="0.5")
    place = default_zoo()
    place.add(replace(place.get("birds", "resnet18"), model=model), place.weights_file(KEY))
    (old,) = show_entries("birds", model=model)
    assert old["model"] == model
    assert remove_entries("birds", model=model) == [f"birds/{model}"]
    (left,) = show_entries("birds", model=model)
    assert left["model"] == "resnet18"


def test_an_image_that_cannot_be_read_is_named(tmp_path):
    file = save(tmp_path, "resnet8", 16)
    (tmp_path / "names.txt").write_text("cat\ndog\n")
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        Image.new("RGB", (16, 16)).save(tmp_path / "photos" / name / "0.png")
    (tmp_path / "photos/dog/1.png").write_bytes(b"no picture")
    said = r"^--images: 1 of 3 images cannot be read: .*dog/1\.png \(.*; mend or remove them$"
    with pytest.raises(DataError, match=said):
        add_entry(
            "pets",
            file,
            model="resnet8",
            classes=tmp_path / "names.txt",
            images=tmp_path / "photos",
        )
    assert not list_entries(zoo=None, model="resnet8").entries
