"""Weights on a made-up machine: a zoo with real files, and no cache of published ones."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from zoos import card

from ktg.models.cifar import CIFAR_MODELS
from ktg.proposing.found_images import look_at_images
from ktg.proposing.hearing import Hearing
from ktg.proposing.plan import Plan, plan_space
from ktg.proposing.teacher import Teacher
from ktg.proposing.weights_here import WeightsHere
from ktg.proposing.wishes import Wishes
from ktg.zoo import default_zoo


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No network, no published weights, an empty zoo."""
    monkeypatch.setattr("ktg.models.imagenet._is_online", lambda weights: False)
    monkeypatch.setattr("ktg.proposing.weights_here._has_cache", lambda: False)
    monkeypatch.setattr("ktg.proposing.weights_here.shipped_zoo", default_zoo)
    monkeypatch.setenv("KTG_ZOO", str(tmp_path / "zoo"))


@pytest.fixture
def weights(tmp_path: Path) -> Callable[..., Path]:
    """Write the weights of a network of ktg, by default with a head for three classes."""

    def write(model: str = "resnet8", classes: int = 3, seed: int = 0) -> Path:
        torch.manual_seed(seed)
        file = tmp_path / f"{model}-{seed}.safetensors"
        save_file(CIFAR_MODELS[model](num_classes=classes).state_dict(), file)
        return file

    return write


@pytest.fixture
def in_zoo(weights: Callable[..., Path]) -> Callable[..., None]:
    """Add weights of a network to the zoo."""

    def add(name: str, model: str = "resnet8", seed: int = 0) -> None:
        shown = card(name, model, classes=("a", "b", "c"), data="pictures", accuracy=0.75)
        default_zoo().add(shown, weights(model, 3, seed))

    return add


@pytest.fixture
def large_photos(photos: Path, tmp_path: Path) -> Path:
    """Copies of the photographs with 64 pixels, with several sizes to choose from."""
    root = tmp_path / "large"
    for file in photos.rglob("*.png"):
        copy = root / file.relative_to(photos)
        copy.parent.mkdir(parents=True, exist_ok=True)
        Image.open(file).resize((64, 64)).save(copy)
    return root


@pytest.fixture
def plan() -> Callable[..., Plan]:
    """Return the plan for a folder, with a budget in seconds and what else the user says."""

    def make(path: Path, budget_s: float = 300, **wishes: object) -> Plan:
        quiet = Hearing(lambda _text: None, lambda _done, _total: None)
        return plan_space(path, Wishes(budget_s, **wishes), quiet)

    return make


@pytest.fixture
def taught(plan: Callable[..., Plan], photos: Path, in_zoo: Callable[..., None]) -> Plan:
    """A plan with a teacher, images without labels, and unequal classes."""
    in_zoo("small")
    in_zoo("large", "resnet14")
    found = plan(photos, target="resnet8")
    weights = WeightsHere("resnet14", "zoo/large", 175_000, "trained on pictures")
    scores = {**found.ranking.scores, weights: 0.9}
    images = dataclasses.replace(
        look_at_images(photos),
        unlabelled=7,
        counts={"train": (16, 4), "val": (4, 4), "test": (4, 4)},
    )
    return dataclasses.replace(
        found,
        images=images,
        teacher=Teacher(weights, 0.9, epochs=3, training_s=100.0, views=8),
        length=dataclasses.replace(found.length, epochs=40, passes=9),
        ranking=dataclasses.replace(found.ranking, scores=scores),
    )
