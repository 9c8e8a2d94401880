"""The weights on this machine."""

import dataclasses

import pytest

from ktg.graph import SourceFile
from ktg.proposing import weights_here
from ktg.proposing.weights_here import find_weights_here


def test_without_any_there_are_none():
    assert find_weights_here({}, 32) == ([], {})


def test_the_zoo_and_the_files_of_the_user_are_found_small_ones_first(in_zoo, weights):
    in_zoo("animals", "resnet20")
    files = {"resnet8": SourceFile(path=str(weights("resnet8")))}
    found, faults = find_weights_here(files, 32)
    assert [one.name for one in found] == ["resnet8@imagenet", "resnet20@zoo/animals"]
    assert found[0].parameters < found[1].parameters
    assert found[1].told == "trained on pictures, 75.0 % right there"
    assert faults == {}
    smaller = dataclasses.replace(found[0], side=24)
    assert (smaller.name, smaller.node.input_size) == ("resnet8@imagenet at 24 pixels", 24)


def test_weights_that_do_not_fit_are_named(weights):
    found, faults = find_weights_here({"resnet20": SourceFile(path=str(weights("resnet8")))}, 32)
    assert found == []
    assert list(faults) == ["resnet20@imagenet"]


def lay_into_cache(place, name: str, *files: str, config: str | None = None) -> None:
    """Lay a repository where the hub's client keeps what it has downloaded."""
    folder = place / f"models--{name}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs/main").write_text("0" * 40)
    snapshot = folder / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    for file in files:
        (snapshot / file).touch()
    if config is not None:
        (snapshot / "config.json").write_text(config)


def test_weights_of_a_tag_that_is_not_the_usual_one_are_found_in_the_cache(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    for name in ("resnet18.a1_in1k", "resnet18.a2_in1k", "resnet18.nobody", "birds"):
        lay_into_cache(tmp_path, f"timm--{name}", "model.safetensors")
    # a1_in1k is what `resnet18` stands for.
    assert list(weights_here._list_cached_tags()) == ["resnet18.a2_in1k"]


def test_repositories_of_the_hub_are_found_by_what_their_config_says(tmp_path, monkeypatch):
    monkeypatch.setattr(weights_here, "_has_cache", lambda: True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    for name, config, weights in (
        ("me--birds", '{"architecture": "resnet18"}', True),
        ("me--no-weights", '{"architecture": "resnet18"}', False),
        ("me--words", '{"architectures": ["BertModel"]}', True),
        ("me--list", "[1]", True),
        ("me--torn", '{"architecture": "resn', True),
        ("me--unknown", '{"architecture": "resnet19"}', True),
        ("timm--resnet18.a1_in1k", '{"architecture": "resnet18"}', True),  # `resnet18` finds it
    ):
        lay_into_cache(tmp_path, name, *["model.safetensors"] * weights, config=config)
    assert list(weights_here._list_cached_repositories()) == [("resnet18", "hf-hub:me/birds")]


@pytest.mark.slow  # it imports timm and asks for the weights of each of its models
def test_published_weights_are_found_in_the_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(weights_here, "_has_cache", lambda: True)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    from ktg.models.imagenet import find_published

    published = find_published("torchvision/squeezenet1_1")
    (tmp_path / "hub" / "checkpoints" / published.files[0]).write_bytes(b"")
    assert "torchvision/squeezenet1_1".rpartition("/")[2] in list(weights_here._list_cached())
