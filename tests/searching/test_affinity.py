"""Affinity holes become choices before the first trial."""

import json
from pathlib import Path

import pytest
import torch

from ktg.affinity import ranking
from ktg.data import open_data
from ktg.errors import MissingSourceError
from ktg.graph import Affinity, Choice, Data, Node, SearchSpace, parse_space
from ktg.models.build import build_network
from ktg.searching import affinity
from ktg.searching.affinity import ARTIFACT, read_left_out, resolve_affinity
from ktg.tracking import MemoryTracker


@pytest.fixture(autouse=True)
def _small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, one_thread: None) -> None:
    monkeypatch.setenv("KTG_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Weights of two resnet8: one sees the classes, which are colours; the other is blind."""
    named = {}
    for name, scale in (("seeing", 1.0), ("blind", 0.0)):
        net = build_network(
            Node(model="resnet8"), {}, classes=6, image_size=8, mean=[0.5], std=[0.5], seed=1
        )
        state = {
            key: tensor * scale if "conv" in key else tensor
            for key, tensor in net.body.state_dict().items()
        }
        named[name] = str(tmp_path / f"{name}.pth")
        torch.save(state, named[name])
    return named


def space(
    tiny: Path, files: dict[str, str], model="resnet8", among=("blind", "seeing"), **hole
) -> SearchSpace:
    node = {"model": model, "source": {"affinity": {"among": list(among), **hole}}}
    return parse_space(
        {
            "data": {"path": str(tiny)},
            "sources": {name: {"path": file} for name, file in files.items()},
            "nodes": {"n0": node},
            "edges": {"label -> n0": {}},
        }
    )


def resolved(searched: SearchSpace) -> affinity.ResolvedSpace:
    return resolve_affinity(
        searched, open_data(searched.bind(searched.default()).data), lambda what: None
    )


def test_the_best_are_kept_and_the_favourite_is_the_default(tiny, files):
    found = resolved(space(tiny, files, keep=1, score="knn"))
    assert found.space.holes == {"nodes.n0.source": Choice(("seeing",))}
    assert found.space.bind(found.space.default()).nodes["n0"].source == "seeing"
    assert found.space.template["nodes"]["n0"]["source"] == {"choice": ["seeing"]}
    node = found.to_json()["nodes"]["n0"]
    assert (node["candidates"], node["kept"], node["favourite"]) == (
        ["seeing", "blind"],
        ["seeing"],
        "seeing",
    )
    assert node["scores"]["seeing"] > node["scores"]["blind"]


def test_what_was_measured_is_written_before_any_trial(tiny, files):
    tracker = MemoryTracker()
    run = tracker.start("search")
    found = resolved(space(tiny, files, score="knn"))
    found.record(tracker, run)
    kept = tracker.runs[run].artifacts
    assert json.loads(kept[ARTIFACT]) == found.to_json()
    assert kept["affinity/n0.svg"].startswith(b"<?xml")
    assert "favourite" in str(list(found.make_table().columns[-1].cells))
    resolved(
        parse_space(
            {
                "data": {"path": str(tiny)},
                "nodes": {"n0": {"model": "resnet8"}},
                "edges": {"label -> n0": {}},
            }
        )
    ).record(tracker, other := tracker.start("another"))
    assert not tracker.runs[other].artifacts


def test_a_prior_keeps_all_in_the_order_of_their_rank(tiny, files):
    found = resolved(space(tiny, files, prior=True, score="knn"))
    assert found.space.holes == {
        "nodes.n0.source": Affinity(("seeing", "blind"), score="knn", prior=True)
    }
    assert resolved(found.space).space.holes == found.space.holes


def test_what_cannot_be_measured_is_kept_and_said(tiny, files, monkeypatch):
    original = ranking.build_candidate

    def broken(candidate, *given, **named):
        if candidate.node.source == "seeing":
            raise RuntimeError("out of order")
        return original(candidate, *given, **named)

    monkeypatch.setattr(ranking, "build_candidate", broken)
    found = resolved(space(tiny, files, among=("none", "blind", "seeing"), keep=1, score="knn"))
    options = found.space.holes["nodes.n0.source"].options
    assert options[1:] == ("seeing",)
    assert found.not_measured() == {"n0: resnet8@seeing": "nodes.n0: torch says: out of order"}
    assert found.to_json()["nodes"]["n0"]["not_measured"] == {
        "seeing": "nodes.n0: torch says: out of order"
    }


def test_a_score_without_a_value_is_a_candidate_not_measured(tiny, files):
    found = resolved(space(tiny, files, among=("none", "seeing"), keep=1, score="leep"))
    assert found.space.holes["nodes.n0.source"].options == ("seeing", "none")
    assert "needs a source with a head" in found.not_measured()["n0: resnet8@none"]


def test_a_search_where_nothing_can_be_measured_goes_on_with_all(tiny, files):
    found = resolved(space(tiny, files, among=("none",), score="leep"))
    assert found.space.holes["nodes.n0.source"].options == ("none",)
    assert found.draw_charts() == {}


def test_each_model_keeps_its_own(tiny, files):
    searched = space(
        tiny, files, {"choice": ["resnet8", "resnet14"]}, ("seeing", "none"), keep=1, score="knn"
    )
    searched = searched.narrow({}, [("n0", "resnet14", "seeing")])
    found = resolved(searched)
    assert found.space.holes["nodes.n0.source"].options == ("seeing", "none")
    assert found.space.missing_weights == {("n0", "resnet14", "seeing"), ("n0", "resnet8", "none")}
    with pytest.raises(MissingSourceError):
        found.space.bind({"nodes.n0.model": "resnet8", "nodes.n0.source": "none"})
    assert found.space.bind({"nodes.n0.model": "resnet14", "nodes.n0.source": "none"})
    assert read_left_out(json.loads(json.dumps(found.to_json()))) == found.space.missing_weights


def test_measuring_happens_once(tiny, files, monkeypatch):
    passes = []
    original = ranking.extract
    monkeypatch.setattr(ranking, "extract", lambda *given: passes.append(1) or original(*given))
    first = resolved(space(tiny, files))
    assert resolved(space(tiny, files)).to_json() == first.to_json()
    assert len(passes) == 2


def test_only_training_images_are_looked_at(tiny, files, monkeypatch):
    data = open_data(Data(path=str(tiny)))
    seen = []
    original = ranking.extract
    monkeypatch.setattr(
        ranking, "extract", lambda *given: seen.append(given[1]) or original(*given)
    )
    resolve_affinity(space(tiny, files), data, lambda what: None)
    assert all(images is data.train for images in seen)
