"""What trainings said of the validation images: kept, read again, and pooled."""

import base64
import json
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from ktg.errors import KtgError
from ktg.graph import Graph, parse
from ktg.searching import pool
from ktg.searching.pool import (
    Said,
    count_parameters,
    describe_unkept,
    find_ensemble,
    forget_all_but_best,
    pack,
    pool_trainings,
    unpack,
)
from ktg.searching.trial import Trial


@dataclass
class Finished:
    name: str
    graph: Graph
    score: float
    said: bytes
    fold: int | None = None


def make_graph(model: str = "resnet8", **data) -> Graph:
    return parse(
        {
            "data": {"name": "digits", **data},
            "nodes": {"n0": {"model": model}, "n1": {"model": "resnet14"}},
            "edges": {"label -> any": {}, "n1 -> n0": {}},
        }
    )


def make_said(seed: int, labels: np.ndarray, skill: float = 1.0) -> bytes:
    random = np.random.default_rng(seed)
    logits = torch.from_numpy(random.normal(size=(len(labels), 4))).float()
    logits[torch.arange(len(labels)), torch.from_numpy(labels)] += skill
    return base64.b64decode(pack(labels, logits, {"n0": logits, "n1": -logits}))


LABELS = np.repeat(np.arange(4), 30)


def make_trials(count: int, **data) -> list[Finished]:
    graph = make_graph(**data)
    return [
        Finished(f"trial-{n:04d} (alone)", graph, 0.5 + n / 100, make_said(n, LABELS))
        for n in range(1, count + 1)
    ]


def test_what_is_packed_is_read_again():
    logits = torch.randn(40, 5, generator=torch.Generator().manual_seed(0))
    labels = np.arange(40) % 5
    said = unpack(base64.b64decode(pack(labels, logits, {"a": logits, "b/c": -logits})))
    assert np.array_equal(said.labels, labels)
    assert said.probabilities.dtype == np.float32
    assert np.allclose(said.probabilities, logits.softmax(dim=1), atol=5e-4)
    assert np.array_equal(said.right["a"], logits.argmax(dim=1).numpy() == labels)
    assert set(said.right) == {"a", "b/c"}


def test_too_many_probabilities_are_not_kept_and_it_is_said(monkeypatch):
    monkeypatch.setattr(pool, "MOST_NUMBERS", 479)
    trials = make_trials(3)
    pooled = pool_trainings(trials, trials[0])
    assert [one.said.probabilities for one in pooled] == [None] * 3
    assert pooled[0].said.right["n0"].shape == (120,)
    assert find_ensemble(pooled, "accuracy") is None
    assert describe_unkept(pooled) == (
        "No ensemble was looked for: 120 validation images are more than the 479 probabilities "
        "that are kept of each."
    )
    assert describe_unkept([]) is None


@pytest.mark.parametrize("kept", [b"", b"no zip", b"PK\x03\x04"])
def test_a_file_of_something_else_is_an_error_in_a_sentence(kept):
    with pytest.raises(KtgError, match=r"validation.npz cannot be read"):
        unpack(kept)


def test_only_trainings_that_the_same_images_judged_are_pooled():
    trials = make_trials(4)
    trials[0].fold = 1
    trials[1].graph = make_graph(split_seed=1)
    trials[2].graph = make_graph(batch_size=7, size=16, balance="loss")
    trials.append(replace(trials[3], said=b"", score=0.9))
    pooled = pool_trainings(trials, trials[3])
    assert [one.trial for one in pooled] == ["trial-0004", "trial-0003"]


def test_the_best_are_pooled_and_no_more_than_so_many(monkeypatch):
    monkeypatch.setattr(pool, "MOST_KEPT", 2)
    trials = make_trials(5)
    pooled = pool_trainings(trials, trials[0])
    assert [one.trial for one in pooled] == ["trial-0005", "trial-0004"]


def test_the_race_keeps_who_was_right_however_it_ended(monkeypatch):
    monkeypatch.setattr(pool, "MOST_KEPT", 2)
    graph, said = make_graph(), [make_said(number, LABELS) for number in range(7)]
    about = [
        {"baseline": "alone"},
        {},  # raced
        {},
        {"race_of": 1},
        {"race_of": 1},
        {},
        {"race_of": 1, "said": b"damaged"},
    ]
    scores = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.0]
    trials = [
        Trial(number, graph, str(number), metrics={"val_accuracy": score}, **{"said": own, **known})
        for number, (own, known, score) in enumerate(zip(said, about, scores, strict=True), 1)
    ]
    for one in trials:
        one.state = "finished"
    trials.append(Trial(8, graph, "8", race_of=2))  # still runs
    for _ in range(2):
        forget_all_but_best(trials)
        whole = [one.said == own for one, own in zip(trials, said, strict=False)]
        assert whole == [True, False, False, False, True, True, False]
        assert [one.number for one in trials if not one.said] == [3, 7, 8]
    for number in (2, 4):
        own, before = unpack(trials[number - 1].said), unpack(said[number - 1])
        assert own.probabilities is None
        assert np.array_equal(own.labels, before.labels)
        assert {name: list(table) for name, table in own.right.items()} == {
            name: list(table) for name, table in before.right.items()
        }


@pytest.mark.parametrize("metric", ["accuracy", "loss", "balanced_accuracy"])
def test_an_ensemble_says_what_it_is_worth_and_what_it_costs(metric):
    trials = make_trials(6)
    found = find_ensemble(pool_trainings(trials, trials[0]), metric)
    assert found.pooled == 6
    assert found.images == 120
    assert sum(one.times for one in found.members) >= len(found.members) >= 2
    each = count_parameters(make_graph(), 4)
    assert found.parameters == each * len(found.members)
    assert found.megabytes == pytest.approx(4e-6 * found.parameters)
    assert (found.interval is not None) == (metric == "accuracy")
    if found.interval:
        assert found.interval[0] <= found.score - found.single <= found.interval[1]
    assert found.chosen_score >= found.single
    assert json.loads(json.dumps(found.to_json()))["sentence"] == found.sentence
    assert "on validation images that did not choose them" in found.sentence


def test_one_that_beats_all_mixtures_stands_alone():
    trials = make_trials(3)
    trials[1].said = make_said(9, LABELS, skill=30.0)
    found = find_ensemble(pool_trainings(trials, trials[0]), "accuracy")
    assert [one.trial for one in found.members] == ["trial-0002"]
    assert found.sentence == "No ensemble of the 3 trainings is better than trial-0002 alone."
    assert found.score == found.single == 1


def test_of_fewer_than_two_there_is_no_ensemble():
    trials = make_trials(1)
    assert find_ensemble(pool_trainings(trials, trials[0]), "accuracy") is None
    assert find_ensemble([], "accuracy") is None


def test_where_each_class_has_one_image_nobody_could_judge_an_ensemble():
    labels = np.arange(4)
    trials = make_trials(3)
    for number, one in enumerate(trials):
        one.said = make_said(number, labels)
    assert find_ensemble(pool_trainings(trials, trials[0]), "accuracy") is None
    for number, one in enumerate(trials):
        one.said = make_said(number, np.array([0, 1, 1]))
    assert find_ensemble(pool_trainings(trials, trials[0]), "accuracy").images == 3


def test_parameters_are_those_of_what_is_deployed():
    graph = make_graph()
    single = count_parameters(graph, 10)
    assert single == pytest.approx(75_000, rel=0.1)
    together = count_parameters(replace(graph, ensemble=True), 10)
    assert together == single + count_parameters(make_graph("resnet14"), 10)
    assert isinstance(pool_trainings(make_trials(1), make_trials(1)[0])[0].said, Said)
