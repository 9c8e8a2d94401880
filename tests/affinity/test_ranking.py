"""Candidates are measured once; what is kept is known by everything it depends on."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from ktg.affinity import ranking
from ktg.affinity.candidate import Candidate, parse
from ktg.affinity.ranking import Measured, measure_candidate, rank_candidates, sample_rows
from ktg.affinity.scores import SCORES
from ktg.data import Images, open_data
from ktg.errors import TrainingError
from ktg.graph import Data, Node
from ktg.models.build import build_network


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("KTG_CACHE", str(tmp_path / "cache"))
    torch.set_num_threads(1)
    return tmp_path / "cache" / "affinity"


@pytest.fixture
def data(tiny: Path):
    return open_data(Data(path=str(tiny)))


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of images of every pass that is made."""
    made: list[int] = []

    def counted(*arguments):
        made.append(len(arguments[2]))
        return original(*arguments)

    original = ranking.extract
    monkeypatch.setattr(ranking, "extract", counted)
    return made


FRESH = Candidate("fresh", Node(model="resnet8"))


def test_every_score_has_a_value_or_a_reason(data):
    found = measure_candidate(FRESH, data)
    assert set(found.scores) | set(found.not_applicable) == set(SCORES) == set(found.score_s)
    assert set(found.not_applicable) == {"emd", "emd_features", "leep", "nce"}
    assert found.layer == "layer3"
    assert found.images == len(data.train)
    assert found.value("parameters") == found.parameters > 70_000
    assert found.value("leep") is None


def test_a_second_question_costs_no_pass(data, passes, cache):
    first = measure_candidate(FRESH, data, ["knn"])
    assert measure_candidate(FRESH, data, ["knn"]) == first
    assert passes == [len(data.train)]
    both = measure_candidate(FRESH, data, ["knn", "s1"])
    assert set(both.scores) == {"knn", "s1"}
    assert both.scores["knn"] == first.scores["knn"]
    assert len(passes) == 2
    assert len(list(cache.glob("*.json"))) == 1


@pytest.mark.parametrize("change", ["seed", "sample", "model", "data", "weights"])
def test_whatever_matters_is_measured_again(data, passes, change, tmp_path):
    file = tmp_path / "w.pth"

    def save(seed: int) -> None:
        net = build_network(
            Node(model="resnet8"), {}, classes=4, image_size=8, mean=[0.5], std=[0.5], seed=seed
        )
        torch.save(net.body.state_dict(), file)

    save(1)
    candidate = parse([f"resnet8@{file}"], {})[0] if change == "weights" else FRESH
    options = {"sample": 60, "seed": 0}
    measure_candidate(candidate, data, ["knn"], **options)
    if change in options:
        options[change] += 20
    elif change == "model":
        candidate = Candidate("fresh", Node(model="resnet14"))
    elif change == "data":
        data = dataclasses.replace(data, fingerprint="another")
    else:
        save(2)
    measure_candidate(candidate, data, ["knn"], **options)
    assert len(passes) == 2


def test_a_damaged_cache_is_measured_again(data, passes, cache):
    first = measure_candidate(FRESH, data, ["knn"])
    for content in ("", "[]", '{"layer": 1}', '{"dimensions": [1], "wrong": 2}'):
        next(cache.glob("*.json")).write_text(content)
        assert measure_candidate(FRESH, data, ["knn"]).scores == first.scores
    assert len(passes) == 5


def test_a_head_brings_leep_and_nce(data, tmp_path):
    net = build_network(
        Node(model="resnet8"), {}, classes=6, image_size=8, mean=[0.5], std=[0.5], seed=1
    )
    torch.save(net.body.state_dict(), tmp_path / "six.pth")
    found = measure_candidate(
        parse([f"resnet8@{tmp_path / 'six.pth'}"], {})[0], data, ["leep", "nce"]
    )
    assert found.scores["nce"] <= 0
    assert found.scores["leep"] <= 0


def test_a_sample_keeps_every_class_in_its_share_and_is_drawn_by_seed():
    labels = np.array([0] * 80 + [1] * 19 + [2])
    rows = sample_rows(labels, 20)
    assert np.bincount(labels[rows]).tolist() == [16, 3, 1]
    assert rows.tolist() == sorted(rows.tolist())
    assert (
        rows.tolist()
        == sample_rows(labels, 20).tolist()
        != sample_rows(labels, 20, seed=1).tolist()
    )
    assert set(rows) <= set(sample_rows(labels, 50))
    assert sample_rows(labels, 100).tolist() == list(range(100))


def test_order_follows_the_direction_and_those_without_a_value_come_last():
    def one(**scores):
        return Measured("l", (1, 1, 1), 1, 1, 0.0, scores=scores)

    found = {"a": one(logme=-2.0, s3=5.0), "b": one(), "c": one(logme=3.0, s3=9.0)}
    assert rank_candidates(found, "logme") == ["c", "a", "b"]
    assert rank_candidates(found, "s3") == ["a", "c", "b"]


def test_labels_of_weight_0_are_not_used(data):
    images = data.train
    weights = np.arange(len(images)) % 3 / 2
    used = np.flatnonzero(weights)
    wrong = np.where(weights > 0, images.labels, (images.labels + 1) % 4)
    weighed = Images(images, np.arange(len(images)), wrong, images.digests, weights)
    found = measure_candidate(FRESH, dataclasses.replace(data, train=weighed), ["knn"])
    kept = dataclasses.replace(data, train=images.take(used), fingerprint="another")
    assert found.images == len(used)
    assert found.scores == measure_candidate(FRESH, kept, ["knn"]).scores
    few = measure_candidate(FRESH, dataclasses.replace(data, train=weighed), ["knn"], sample=40)
    assert 30 < few.images <= 40


@pytest.mark.parametrize(
    ("name", "error", "said"),
    [
        ("extract", torch.OutOfMemoryError("CUDA"), "out of memory; end other programs"),
        ("measure", torch.linalg.LinAlgError("did not converge"), "torch says: did not converge"),
    ],
)
def test_what_torch_raises_is_an_error_of_the_candidate(data, monkeypatch, name, error, said):
    def fail(*_):
        raise error

    monkeypatch.setattr(ranking, name, fail)
    with pytest.raises(TrainingError, match=f"^fresh: {said}"):
        measure_candidate(FRESH, data, ["knn"])
