"""One graph over several seeds, trained on all but the test split, which is scored once a seed."""

import weakref
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from command import graph_file

from ktg.data import Images, merge, open_data, open_test
from ktg.data.augment import to_float
from ktg.errors import SpecError, TrainingError
from ktg.graph import Graph
from ktg.graph.yaml_files import load_graph
from ktg.models.network import split_forward
from ktg.searching import seeds as module
from ktg.searching.seed_queue import SeedRun
from ktg.searching.seeds import SeedResults, train_head_seeds, train_seeds
from ktg.tracking import MemoryTracker
from ktg.training import Training
from ktg.training.classical import score_head

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def graph(tiny: Path, tmp_path: Path) -> Graph:
    return load_graph(graph_file(tmp_path / "graph.yaml", tiny, train={"seed": 3}))


def test_each_seed_is_the_training_of_its_own_on_all_but_the_test_split(graph):
    seen = []
    confirmed = train_seeds(
        graph, 2, MemoryTracker(), device="cpu", on_epoch=lambda *each: seen.append(each)
    )
    assert [run.seed for run in confirmed.runs] == [3, 4]
    alone = Training(graph, open_data(graph.data), device="cpu", final=True)
    for _ in alone:
        pass
    score = alone.test(open_test(graph.data))
    assert (confirmed.runs[0].accuracy, confirmed.runs[0].loss) == (score.accuracy, score.loss)
    assert confirmed.runs[0].loss != confirmed.runs[1].loss
    assert [(seed, epoch.number, epochs) for seed, epoch, epochs in seen] == [
        (3, 1, 2),
        (3, 2, 2),
        (4, 1, 2),
        (4, 2, 2),
    ]


def test_the_test_split_is_opened_once_however_many_seeds(graph, monkeypatch):
    opened = []
    monkeypatch.setattr(
        module, "open_test", lambda *args, **kw: opened.append(args) or open_test(*args, **kw)
    )
    train_seeds(graph, 2, MemoryTracker(), device="cpu")
    assert len(opened) == 1


@pytest.mark.parametrize("keep_first", [True, False])
def test_one_training_is_built_after_the_other_and_only_the_first_is_kept(
    graph, monkeypatch, keep_first
):
    built = []

    def build(*args, **settings):
        alive.append(sum(ref() is not None for ref in built))
        training = Training(*args, **settings)
        built.append(weakref.ref(training))
        return training

    alive = []
    monkeypatch.setattr(module, "Training", build)
    results = train_seeds(graph, 3, MemoryTracker(), device="cpu", keep_first=keep_first)
    assert alive == ([0, 1, 1] if keep_first else [0, 0, 0])
    assert results.first is (built[0]() if keep_first else None)
    assert [run.seed for run in results.runs] == [3, 4, 5]


def test_what_is_recorded(graph):
    tracker = MemoryTracker()
    confirmed = train_seeds(graph, 2, tracker, device="cpu")
    parent, *children = tracker.runs.values()
    assert parent.artifacts.keys() == {"graph.yaml", "graph.svg"}
    assert parent.history("test_accuracy") == [(0, confirmed.mean)]
    assert parent.history("test_accuracy_std") == [(0, confirmed.std)]
    assert [child.params["seed"] for child in children] == [3, 4]
    for child in children:
        assert [step for step, _ in child.history("nodes.n0.train_accuracy")] == [1, 2]
    assert {run.state for run in tracker.runs.values()} == {"finished"}
    assert {run.tags["kind"] for run in tracker.runs.values()} == {"train"}
    assert parent.tags["data.test"] == open_test(graph.data).fingerprint_with_labels


def test_a_training_that_diverges_is_recorded_as_failed(tiny, tmp_path):
    graph = load_graph(graph_file(tmp_path / "graph.yaml", tiny, train={"lr": 1e30}))
    tracker = MemoryTracker()
    with pytest.raises(TrainingError, match="became"):
        train_seeds(graph, 1, tracker, device="cpu")
    assert {run.state for run in tracker.runs.values()} == {"failed"}
    assert all("became" in run.tags["reason"] for run in tracker.runs.values())


def test_a_mistake_is_found_before_anything_is_recorded(tiny, tmp_path):
    graph = load_graph(graph_file(tmp_path / "graph.yaml", tiny, data={"batch_size": 1000}))
    tracker = MemoryTracker()
    with pytest.raises(SpecError, match=r"^data\.batch_size"):
        train_seeds(graph, 1, tracker, device="cpu")
    assert not tracker.runs


def test_mean_and_deviation_between_seeds():
    confirmed = SeedResults(
        tuple(SeedRun(seed, accuracy, 0.1, 1.0) for seed, accuracy in enumerate((0.5, 0.6, 0.7)))
    )
    assert confirmed.mean == pytest.approx(0.6)
    assert confirmed.std == pytest.approx(0.1)  # n - 1
    assert confirmed.summary() == "60.00 +- 10.00 % (n = 3)"
    assert confirmed.to_json()["test_accuracy"]["n"] == 3


def test_one_seed_has_no_deviation():
    confirmed = SeedResults((SeedRun(0, 0.5, 0.1, 1.0),))
    assert confirmed.std is None
    assert confirmed.summary() == "50.00 % (n = 1)"


def test_a_classical_head_sees_the_targets_untrained_features_and_the_final_splits(graph):
    confirmed = train_head_seeds(graph, "logistic", 2, MemoryTracker(), device="cpu")
    assert [(run.seed, run.loss) for run in confirmed.runs] == [(3, None), (4, None)]
    dataset, test = open_data(graph.data), open_test(graph.data)
    training = Training(graph, dataset, device="cpu", final=True)
    assert len(training.images) == len(dataset.train) + len(dataset.val)
    (features,), _ = split_forward(training.target.eval(), to_float(batch(test)))
    torch.testing.assert_close(training.features(test), features)
    assert confirmed.runs[0].accuracy > 0.7  # even of random features


def test_a_classical_head_uses_no_label_of_weight_0(graph, tiny, tmp_path, monkeypatch):
    lines = [f"{row},{row % 4},{row % 3}" for row in range(160)]
    (tmp_path / "labels.csv").write_text("\n".join(["file,label,weight", *lines]))
    data = replace(graph.data, path=str(tiny), labels=str(tmp_path / "labels.csv"))
    fitted = []

    def note(head, train, test, seed):
        fitted.append(train)
        return score_head(head, train, test, seed)

    monkeypatch.setattr(module, "score_head", note)
    train_head_seeds(replace(graph, data=data), "logistic", 1, MemoryTracker(), device="cpu")
    ((features, labels),) = fitted
    images = merge(open_data(data))
    assert labels.tolist() == images.labels[images.weights > 0].tolist()
    assert len(labels) == len(features) < len(images)


def test_a_network_without_a_head_of_its_own_gives_no_features(graph):
    node = replace(graph.nodes["n0"], model="deit_tiny_distilled_patch16_224", input_size=32)
    with pytest.raises(
        SpecError, match=r"nodes.n0.model: deit_tiny_distilled_patch16_224 has no head of its own"
    ):
        train_head_seeds(
            replace(graph, nodes={"n0": node}), "svm", 1, MemoryTracker(), device="cpu"
        )


def batch(images: Images) -> torch.Tensor:
    return torch.from_numpy(images.read(range(len(images)))).permute(0, 3, 1, 2)
