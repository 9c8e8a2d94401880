"""Weights on a made-up machine: a zoo with real files, and no cache of published ones."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from zoos import card

from ktg.models.cifar import CIFAR_MODELS
from ktg.proposing.hearing import Hearing
from ktg.proposing.plan import Plan, Wishes, plan_space
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
