"""Defines the fixtures that several test files share."""

import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command import graph_file, ktg
from hypothesis import settings

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")


# Every run tries the same examples, without time limits: a failure on a slow machine says nothing.
settings.register_profile("ktg", deadline=None, derandomize=True)
settings.load_profile("ktg")


@dataclass(frozen=True)
class Searched:
    """A finished search: the folder of its store, what `--json` printed, and what was shown."""

    folder: Path
    result: dict[str, Any]
    shown: str

    @property
    def uri(self) -> str:
        return f"sqlite:///{self.folder}/mlflow.db"


@pytest.fixture(scope="session")
def new_store(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], str]:
    """Returns the address of an empty SQLite store: a copy, as making its tables takes seconds."""
    from ktg.tracking.store import open_client

    empty = tmp_path_factory.mktemp("empty") / "mlflow.db"
    open_client(f"sqlite:///{empty}").search_experiments()

    def copy() -> str:
        return f"sqlite:///{shutil.copy(empty, tmp_path_factory.mktemp('store'))}"

    return copy


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real images, weights and reference numbers, which only developers have."""
    folder = Path(os.environ.get("KTG_SHARED", Path(__file__).parents[2] / "shared"))
    if not (folder / "reference").is_dir():
        why = f"needs the developers' reference folder, and {folder} does not exist"
        pytest.skip(f"{why} (set KTG_SHARED)")
    return folder


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A learnable .npz without splits: 160 colour images of 8 x 8 pixels in 4 classes."""
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
    """Keep the tests' caches and zoo out of the user's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KTG_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("KTG_ZOO", str(tmp_path_factory.mktemp("zoo")))
        yield


@pytest.fixture(scope="session")
def searched(tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Searched:
    """A real search on Ray with an SQLite store.

    It has baselines and stopped, failed and duplicate trials.
    """
    folder = tmp_path_factory.mktemp("searched")
    gates = {"choice": ["through", "cutoff", "linear"]}
    plain = {"alone_share": 0, "race_share": 0}
    graph_file(
        folder / "space.yaml",
        tiny,
        train={"epochs": 4, "lr": {"choice": [0.05, 1e-5, 1e30]}},
        edges={"label -> n0": {}, "label -> n1": {"gate": gates}, "any -> any": {"gate": gates}},
        search={"trials": 8, "sampler": "random", "scheduler": "asha"} | plain,
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


@dataclass(frozen=True)
class Trained:
    """A trained graph and its target's model file, as `ktg export --weights` writes it."""

    file: Path
    graph: Any
    training: Any


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of small photographs of two classes in several formats: 20, 8 and 8 by split."""
    from PIL import Image

    random = np.random.default_rng(0)
    root = tmp_path_factory.mktemp("photos")
    for split, count in (("train", 20), ("val", 8), ("test", 8)):
        for number in range(count):
            name, bright = (("night", 60), ("noon", 150))[number % 2]
            pixels = random.integers(bright, bright + 80, (20 + number, 28, 3)).astype(np.uint8)
            file = root / split / name / f"{number}.{('png', 'jpg', 'webp')[number % 3]}"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(file)
    return root


@pytest.fixture(scope="session")
def trained(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Two small networks that teach each other, trained on `photos`.

    The first network sees the images at another size than the data set has.
    """
    import torch

    from ktg.exporting.retrain import retrain, write_weights
    from ktg.graph.yaml_files import load_graph

    folder = tmp_path_factory.mktemp("trained")
    file = graph_file(
        folder / "graph.yaml",
        photos,
        data={"size": 16, "batch_size": 8},
        nodes={"n0": {"model": "resnet8", "input_size": 12}, "n1": {"model": "resnet14"}},
    )
    graph = load_graph(file)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    training, accuracies = retrain(graph, device="cpu")
    torch.set_num_threads(threads)
    write_weights(folder / "model.safetensors", graph, training, accuracies, all_nodes=True)
    return Trained(folder / "model.safetensors", graph, training)


@pytest.fixture(scope="session")
def ensemble(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """The two networks of `trained` as an ensemble, in one file."""
    import copy
    from dataclasses import replace

    from ktg.exporting.retrain import write_weights

    training, graph = copy.copy(trained.training), replace(trained.graph, ensemble=True)
    training.graph = replace(training.graph, ensemble=True)
    file = tmp_path_factory.mktemp("ensemble") / "model.safetensors"
    write_weights(file, graph, training, {})
    return Trained(file, graph, training)


@pytest.fixture(scope="session")
def everything(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The folder with all forms of the trained model, and what `export` returned."""
    from types import SimpleNamespace

    from ktg.exporting.export import export
    from ktg.exporting.formats import Formats

    folder = tmp_path_factory.mktemp("forms")
    formats = Formats(
        onnx=folder / "model.onnx",
        torch_export=folder / "model.pt2",
        int8=folder / "small.onnx",
        card=folder / "README.md",
    )
    delivered = export(str(trained.file), "", output=folder / "graph.yaml", formats=formats)
    return SimpleNamespace(folder=folder, delivered=delivered)
