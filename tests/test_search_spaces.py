"""Tests that the search spaces can be read, name what exists, and count their graphs right."""

import importlib
import itertools
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import timm
from command import ktg
from PIL import Image
from safetensors.torch import save_file

from ktg.api.inputs import load_space_file
from ktg.graph import load_space
from ktg.graph.canonical import canonical_key
from ktg.searching.arms import find_alone_space

ROOT = Path(__file__).parents[1]
SPACES = sorted((ROOT / "search_spaces").rglob("*.yaml"))
SMALL = sorted((ROOT / "benchmarks" / "spaces").glob("*.yaml"))
SMALL_RATIO = ROOT / "benchmarks" / "spaces" / "frozen_rose_tulip.yaml"
spaces = pytest.mark.parametrize("path", SPACES, ids=lambda path: path.stem)
# For studies that try every graph: combinations of their holes, and how many graphs these make.
COUNTS = {
    "frozen_cats_dogs": (12, 12),
    "frozen_rose_tulip": (18, 18),
    "stl10_regimes": (9, 9),
    "stl10_vit_augment": (4, 4),
    "pretraining_imagenet": (24, 18),
    "pretraining_fractaldb": (24, 18),
}


@spaces
def test_a_space_is_read_and_says_how_to_run_it(path):
    space = load_space(path)
    assert space.holes
    assert space.name == path.stem
    text = path.read_text()
    assert f"ktg search {path.relative_to(ROOT)}" in text
    schema = re.search(r"\$schema=(\S+)", text)
    assert schema is not None
    assert (path.parent / schema[1]).resolve() == ROOT / "search_spaces" / "ktg.schema.json"
    for script in re.findall(r"benchmarks/\w+\.py", text):
        assert (ROOT / script).is_file()


@spaces
def test_every_option_of_a_space_names_what_there_is(path, tmp_path):
    load_space_file(with_images(path, tmp_path))


@pytest.mark.parametrize("path", SMALL, ids=lambda path: path.stem)
def test_a_space_of_a_benchmark_is_read_with_every_option(path):
    space = load_space(path)
    assert space.name == path.stem
    for hole, rule in space.holes.items():
        for option in rule.options_to_check():
            space.bind(space.default() | {hole: option})


def test_the_graphs_of_a_study_have_names_of_their_own(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    curves = importlib.import_module("curves")

    def names(path: str) -> list[tuple[str, str]]:
        return [name for name, _ in curves.name_graphs(load_space(ROOT / path))]

    assert names("benchmarks/spaces/frozen_cats_dogs.yaml") == [
        ("", f"{n}/{31 - n}") for n in (30, 20, 10, 0)
    ]
    assert names("search_spaces/studies/frozen_cats_dogs.yaml") == [
        ("", f"{n}/{31 - n}") for n in (30, 20, 10, 0)
    ]
    regimes = [("resnet20", regime) for regime in ("scratch", "transfer", "fine-tuning")]
    assert names("benchmarks/spaces/regimes_cifar10.yaml")[6:] == regimes
    assert names("benchmarks/spaces/augment_flowers.yaml")[0] == ("", "augment none")
    graphs = [graph for _, graph in curves.name_graphs(load_space(SMALL_RATIO))]
    assert [curves.find_thawing_epoch(graph) for graph in graphs] == [50, 40, 20, None]


@pytest.mark.parametrize("name", COUNTS)
def test_a_study_trains_each_of_its_graphs_once(name):
    space = load_space(ROOT / "search_spaces" / "studies" / f"{name}.yaml")
    points = list(itertools.product(*(hole.options_to_check() for hole in space.holes.values())))
    bound = [space.bind(dict(zip(space.holes, values, strict=True))) for values in points]
    graphs = {canonical_key(graph) for graph in bound}
    assert (len(points), len(graphs)) == COUNTS[name]
    assert space.search.trials == len(graphs)
    assert not space.search.baselines
    # No trial of the target by itself, and no new seeds: all trainings are of these graphs.
    assert find_alone_space(space) is None
    assert space.search.race_share == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("frozen_cats_dogs", "mobilenetv2_100"),
        ("frozen_rose_tulip", "mobilenetv2_100"),
        ("pretraining_imagenet", "resnet18"),
    ],
)
def test_a_study_whose_images_and_weights_are_there_passes_every_check(name, model, tmp_path):
    save_file(timm.create_model(model).state_dict(), tmp_path / "imagenet.safetensors")
    space = with_images(ROOT / "search_spaces" / "studies" / f"{name}.yaml", tmp_path)
    weights = f"{model}={tmp_path / 'imagenet.safetensors'}"
    done = ktg("check", space, "--weights", weights, "--json", folder=tmp_path)
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert (found["graphs"], found["trials"]) == (str(COUNTS[name][0]), COUNTS[name][1])


def with_images(path: Path, folder: Path) -> Path:
    """Copy a space to a folder, and make a folder of images in three splits if it names one."""
    copy = Path(shutil.copy(path, folder))
    own = load_space(copy).template["data"].get("path")
    classes = ("cat", "dog") if "cats" in path.stem else ("rose", "tulip")
    for split, name in itertools.product(("train", "val", "test"), classes) if own else ():
        (Path(own) / split / name).mkdir(parents=True)
        for number in range(16):
            file = Path(own) / split / name / f"{number}.png"
            Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(file)
    return copy


@pytest.mark.parametrize("name", ["flowers", "rsscn7"])
def test_a_table_of_photographs_has_the_graphs_of_its_space(monkeypatch, name):
    """Every graph once by one seed at least, and bits that agree with the accuracy beside them."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    tables, worlds = map(importlib.import_module, ("photo_tables", "worlds"))
    known = tables.read_table(name)
    assert len(known) == len(list(tables.list_entries(tables.make_space(name))))
    for rows in known.values():
        assert len({row["seed"] for row in rows}) == len(rows)
        for row in rows:
            assert worlds.read_right(row).mean() == pytest.approx(row["test"], abs=5e-5)
    world, again = (worlds.open_table(name).draw(seed) for seed in (3, 3))
    assert world.truth == again.truth
    # Validation images are few, so that their accuracies are far from the true ones, but no worse.
    errors = [world.curves[key][-1] - world.truth[key] for key in known]
    assert 0.01 < max(map(abs, errors)) < 0.5
