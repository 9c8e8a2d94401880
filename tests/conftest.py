"""What several test files share."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import graph_file, ktg
from hypothesis import settings

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")


# The same examples in every run, and no time limits: a test that fails on a slow machine says nothing.
settings.register_profile("ktg", deadline=None, derandomize=True)
settings.load_profile("ktg")


@dataclass(frozen=True)
class Searched:
    """A finished search: the folder with its store, what `--json` printed, and what was shown beside it."""

    folder: Path
    result: dict[str, Any]
    shown: str

    @property
    def uri(self) -> str:
        return f"sqlite:///{self.folder}/mlflow.db"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real images, weights and reference numbers, which lie beside the checkout of a developer only."""
    folder = Path(os.environ.get("KTG_SHARED", Path(__file__).parents[2] / "shared"))
    if not (folder / "reference").is_dir():
        pytest.skip(f"needs the developers' reference folder, and {folder} does not exist (set KTG_SHARED)")
    return folder


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A learnable data set of 160 colour images of 8 x 8 pixels in 4 classes, as an .npz without splits."""
    random = np.random.default_rng(0)
    labels = np.arange(160) % 4
    images = random.integers(0, 120, (160, 8, 8, 3))
    for label in range(3):  # the class is the bright channel, or none
        images[labels == label, :, :, label] += 60
    path = tmp_path_factory.mktemp("tiny") / "tiny.npz"
    np.savez(path, x=images.astype(np.uint8), y=labels)
    return path


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the tests' caches out of the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KTG_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session")
def searched(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Searched:
    """A real search with `ktg search` on Ray, into an SQLite store: baselines, stopped, failed and duplicate trials."""
    folder = tmp_path_factory.mktemp("searched")
    gates = {"choice": ["through", "cutoff", "linear"]}
    graph_file(
        folder / "space.yaml",
        tiny,
        train={"epochs": 4, "lr": {"choice": [0.05, 1e-5, 1e30]}},
        edges={"label -> n0": {}, "label -> n1": {"gate": gates}, "any -> any": {"gate": gates}},
        search={"trials": 8, "sampler": "random", "grace_epochs": 1, "reduction_factor": 2},
    )
    done = ktg("search", "space.yaml", "--name", "a search", "--json", folder=folder)
    assert done.code == 0, done.err
    return Searched(folder, json.loads(done.out), done.err)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Train on one thread: results are equal on every machine, and small networks faster."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
