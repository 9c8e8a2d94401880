"""Caches and a zoo of its own for each test, and a small graph that pretrains."""

from pathlib import Path

import pytest

from ktg.graph import Data, Graph
from ktg.pretraining.recipe import build_recipe
from ktg.zoo import Zoo, default_zoo


@pytest.fixture(autouse=True)
def zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None) -> Zoo:
    """The user's zoo, which is not there yet."""
    monkeypatch.setenv("KTG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("KTG_ZOO", str(tmp_path / "zoo"))
    return default_zoo()


@pytest.fixture
def graph() -> Graph:
    """A resnet8 on a few small fractals."""
    formula = {"classes": 3, "instances": 20, "points": 300}
    return build_recipe(
        Data(name="fractaldb"), "resnet8", "tiny", size=16, formula=formula, epochs=3, batch_size=16
    )
