"""The training loop: what it must be bit for bit, what it must never do, and that it learns."""

import copy
import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from ktg.data import Dataset, open_data
from ktg.errors import TrainingError
from ktg.graph import Graph, parse
from ktg.training import Training, train
from ktg.training.schedule import Clock
from ktg.training.training_batches import TrainingBatch

MUTUAL = {"label -> any": {}, "any -> any": {"gate": "linear"}}


pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def dataset(tiny: Path) -> Dataset:
    return open_data(make(tiny).data)


def make(
    tiny: Path, nodes: int | dict = 2, edges: dict | None = None, batch_size: int = 32, **settings
) -> Graph:
    if isinstance(nodes, int):
        nodes = {f"n{i}": {"model": "resnet8"} for i in range(nodes)}
    return parse(
        {
            "data": {"path": str(tiny), "batch_size": batch_size, "augment": "basic"},
            "train": {"epochs": 3, "lr": 0.05, **settings},
            "nodes": nodes,
            "edges": MUTUAL if edges is None else edges,
        }
    )


def weights(training: Training) -> dict[str, torch.Tensor]:
    return {key: value.clone() for key, value in training.target.state_dict().items()}


def assert_equal(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for name in one:
        assert torch.equal(one[name], other[name]), name


def trained(graph: Graph, dataset: Dataset) -> tuple[Training, list]:
    training = Training(graph, dataset, device="cpu")
    return training, list(training)


def timeless(epochs: list) -> list[dict[str, float]]:
    clocks = ("epoch_s", "images_per_s", "peak_memory_mib")
    return [
        {key: value for key, value in epoch.metrics().items() if key not in clocks}
        for epoch in epochs
    ]


def test_it_learns_and_every_node_is_reported(tiny, dataset):
    _, epochs = trained(make(tiny, epochs=8), dataset)
    assert [epoch.number for epoch in epochs] == list(range(1, 9))
    assert epochs[-1].val_accuracy > 0.9
    assert epochs[-1].nodes["n1"].val_accuracy > 0.9
    assert epochs[0].edges["label", "n0"].loss > epochs[-1].edges["label", "n0"].loss


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others(tiny, dataset):
    one, first = trained(make(tiny), dataset)
    other, second = trained(make(tiny), dataset)
    assert timeless(first) == timeless(second)
    assert_equal(weights(one), weights(other))
    _, third = trained(make(tiny, seed=1), dataset)
    assert timeless(third) != timeless(first)


def test_the_global_generator_is_neither_read_nor_changed(tiny, dataset):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    _, first = trained(make(tiny), dataset)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    _, second = trained(make(tiny), dataset)
    assert timeless(first) == timeless(second)


@pytest.mark.parametrize("interrupted_after", [1, 2])
@pytest.mark.parametrize(
    "settings",
    [{}, {"optimizer": "adamw", "ema_decay": 0.9, "schedule": "step", "milestones": [1]}],
)
def test_an_interrupted_and_resumed_run_equals_an_uninterrupted_one(
    tiny, dataset, interrupted_after, settings
):
    graph = make(tiny, **settings)
    whole, epochs = trained(graph, dataset)
    half = Training(graph, dataset, device="cpu")
    for _ in range(interrupted_after):
        next(half)
    state = copy.deepcopy(half.state_dict())
    resumed = Training(graph, dataset, device="cpu")
    resumed.load_state_dict(state)
    assert timeless(list(resumed)) == timeless(epochs[interrupted_after:])
    assert_equal(weights(resumed), weights(whole))


def test_renaming_reordering_and_dead_nodes_do_not_change_a_bit(tiny, dataset):
    edges = {
        "label -> a": {},
        "label -> b": {},
        "label -> c": {"gate": "linear"},
        "b -> a": {},
        "c -> b": {},
    }
    plain = make(tiny, {name: {"model": "resnet8"} for name in "abc"}, edges)
    swap = {"a": "a", "b": "z", "c": "y", "label": "label"}
    renamed_edges = {
        f"{swap[e[0]]} -> {swap[e[1]]}": v for k, v in edges.items() for e in [k.split(" -> ")]
    }
    renamed_edges |= {"label -> dead": {}, "a -> dead": {}, "dead -> a": {"gate": "cutoff"}}
    renamed = make(
        tiny, {name: {"model": "resnet8"} for name in ["a", "dead", "y", "z"]}, renamed_edges
    )
    one, first = trained(plain, dataset)
    other, second = trained(renamed, dataset)
    assert len(other.learners) == 3
    assert_equal(weights(one), weights(other))
    assert [epoch.nodes["b"] for epoch in first] == [epoch.nodes["z"] for epoch in second]
    assert first[-1].edges["c", "b"] == second[-1].edges["y", "z"]
    assert "dead" not in second[-1].nodes


def test_progress_runs_from_exactly_0_to_exactly_1_over_all_epochs(tiny, dataset):
    training = Training(
        make(tiny, nodes=1, edges={"label -> n0": {"gate": "linear"}}), dataset, device="cpu"
    )
    clocks, step = [], training.step
    training.step = lambda batch, clock: clocks.append(clock) or step(batch, clock)
    epochs = list(training)
    seen = [clock.progress for clock in clocks]
    assert len(seen) == 3 * (len(dataset.train) // 32)
    assert seen[0] == 0
    assert seen[-1] == 1
    assert seen == sorted(seen)
    weights = [epoch.edges["label", "n0"].gate_weight for epoch in epochs]
    assert weights[0] < weights[2] < 1


class Synchronisations(TorchDispatchMode):
    """Counts the operations that make the host wait for the device."""

    WAITING = (
        "_local_scalar_dense",
        "item",
        "is_nonzero",
        "nonzero",
        "equal",
        "masked_select",
        "_to_copy_host",
    )

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.overloadpacket.__name__ in self.WAITING:
            self.seen.append(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


def test_the_counter_sees_a_synchronisation():
    with Synchronisations() as counter:
        float(torch.ones(3).sum())
        bool(torch.ones(1) > 0)
    assert len(counter.seen) == 2


@pytest.mark.parametrize(
    "settings",
    [{}, {"clip_norm": 1.0, "ema_decay": 0.9, "label_smoothing": 0.1, "optimizer": "adamw"}],
)
def test_no_host_synchronisation_inside_a_step(tiny, dataset, settings):
    edges = {
        "label -> any": {},
        "label -> n1": {"gate": "small_loss", "noise": 0.3, "over": "kept"},
        "any -> any": {"gate": "correct", "over": "kept"},
        "n1 -> n0": {"gate": "linear"},
    }
    training = Training(make(tiny, nodes=3, edges=edges, **settings), dataset, device="cpu")
    for learner in training.learners.values():
        learner.begin_epoch(0)
    images = dict.fromkeys(training.graph.nodes, torch.rand(32, 3, 8, 8))
    labels, weights = torch.arange(32) % 4, torch.arange(32) / 15.5
    batch, clock = TrainingBatch(images, {}, labels, weights=weights), Clock(step=5, total=11)
    training.step(batch, clock)
    with Synchronisations() as counter:
        training.step(batch, clock)
    assert counter.seen == []


@pytest.mark.parametrize("loss", ["dkd", "emd", "attention", "feature"])
def test_no_loss_and_no_learned_weight_synchronises_either(tiny, dataset, loss):
    edges = {
        "label -> any": {"weight": "learned"},
        "n1 -> n0": {"loss": loss, "weight": "learned", "gate": "correct"},
    }
    training = Training(make(tiny, edges=edges), dataset, device="cpu")
    for learner in training.learners.values():
        learner.begin_epoch(0)
    images = dict.fromkeys(training.graph.nodes, torch.rand(32, 3, 8, 8))
    batch, clock = TrainingBatch(images, {}, torch.arange(32) % 4), Clock(step=5, total=11)
    training.step(batch, clock)
    with Synchronisations() as counter:
        training.step(batch, clock)
    assert counter.seen == []


def test_a_teacher_is_trained_once_never_changed_and_shared(tiny, dataset, tmp_path):
    edges = {"label -> n0": {}, "n1 -> n0": {}}
    training = Training(make(tiny, edges=edges, epochs=4), dataset, device="cpu", cache=tmp_path)
    (file,) = (tmp_path / "solo").glob("*.safetensors")
    written = file.stat().st_ino  # a file that is written again is another one
    (teacher,) = training.teachers.values()
    before = {key: value.clone() for key, value in teacher.state_dict().items()}
    epochs = list(training)
    assert_equal(before, teacher.state_dict())  # weights and batch-norm statistics
    assert epochs[0].nodes["n1"].val_accuracy > 0.7  # it knew the task from the start
    assert epochs[0].nodes["n1"].lr is None
    Training(make(tiny, edges=edges, epochs=4), dataset, device="cpu", cache=tmp_path)
    assert file.stat().st_ino == written


def test_a_teacher_equals_its_model_trained_alone(tiny, dataset, tmp_path):
    alone, _ = trained(make(tiny, nodes=1, edges={"label -> n0": {}}), dataset)
    graph = make(tiny, edges={"label -> n0": {}, "n1 -> n0": {}})
    (teacher,) = Training(graph, dataset, device="cpu", cache=tmp_path).teachers.values()
    assert_equal(teacher.state_dict(), alone.target.state_dict())


def test_a_loss_that_is_not_finite_ends_training_and_says_where_and_when(tiny, dataset):
    training = Training(make(tiny, lr=1e30, schedule="constant"), dataset, device="cpu")
    with pytest.raises(
        TrainingError,
        match=r"edge (label -> n\d|n\d -> n\d) became nan in epoch \d, step \d of 3.*lower",
    ):
        list(training)


def test_a_frozen_backbone_keeps_weights_statistics_and_optimizer_state_untouched(tiny, dataset):
    graph = make(tiny, {"n0": {"model": "resnet8", "frozen_epochs": 2}}, {"label -> n0": {}})
    training = Training(graph, dataset, device="cpu")
    learner = training.learners["n0"]
    before = {key: value.clone() for key, value in learner.network.body.state_dict().items()}
    for _ in range(2):
        next(training)
    after = learner.network.body.state_dict()
    changed = {key for key in before if not torch.equal(before[key], after[key])}
    assert changed == learner.network.head
    assert len(learner.optimizer.state) == len(learner.network.head)
    next(training)
    after = learner.network.body.state_dict()
    assert all(
        not torch.equal(before[key], after[key]) for key in before if "num_batches" not in key
    )


def test_clipping_bounds_the_gradient(tiny, dataset):
    training = Training(
        make(tiny, nodes=1, edges={"label -> n0": {}}, clip_norm=1e-3), dataset, device="cpu"
    )
    (learner,) = training.learners.values()
    seen = []
    step = learner.optimizer.step

    def spy():
        seen.append(
            math.sqrt(sum(p.grad.square().sum().item() for p in learner.network.parameters()))
        )
        step()

    learner.optimizer.step = spy
    next(training)
    assert seen
    assert max(seen) <= 1e-3 * 1.001


def test_final_training_uses_the_validation_images_too_and_validates_nothing(tiny, dataset):
    graph = make(tiny, nodes=1, edges={"label -> n0": {}}, batch_size=16)
    training = Training(graph, dataset, device="cpu", final=True)
    epoch = next(training)
    assert epoch.val_accuracy is None
    assert len(training._batches.labelled) == len(dataset.train) + len(dataset.val)


def test_train_is_the_same_loop(tiny, dataset):
    _, epochs = trained(make(tiny), dataset)
    assert timeless(list(train(make(tiny), device="cpu"))) == timeless(epochs)


@pytest.mark.parametrize(
    "settings",
    [
        {"precision": "bfloat16"},
        {"optimizer": "adam", "lr": 0.003},
        pytest.param({"compile": True}, marks=pytest.mark.slow),
    ],
)
def test_options_of_training_learn_too(tiny, dataset, settings):
    if settings.get("compile"):
        settings = {**settings, "epochs": 1}
    _, epochs = trained(make(tiny, nodes=1, edges={"label -> n0": {}}, **settings), dataset)
    assert epochs[-1].edges["label", "n0"].loss < math.log(4) * 1.3


def test_a_length_in_steps_is_shared_by_the_epochs(tiny, dataset):
    # 104 training images: a pass has 6 steps of 16, an epoch 22 // 4 = 5.
    one = {"nodes": 1, "edges": {"label -> n0": {}}, "batch_size": 16}
    training, epochs = trained(make(tiny, **one, epochs=4, steps=22), dataset)
    assert [epoch.number for epoch in epochs] == [1, 2, 3, 4]
    assert training.learners["n0"].optimizer.param_groups[0]["lr"] == pytest.approx(
        0.05 * (1 + math.cos(math.pi * 19 / 20)) / 2
    )
    rows = torch.cat([training._batches.rows(epoch) for epoch in range(4)])
    plain = Training(make(tiny, **one, epochs=3), dataset, device="cpu")._batches
    assert torch.equal(rows, torch.cat([plain.rows(epoch) for epoch in range(4)])[:20])
    resumed = Training(make(tiny, **one, epochs=4, steps=22), dataset, device="cpu")
    first = Training(make(tiny, **one, epochs=4, steps=22), dataset, device="cpu")
    next(first)
    resumed.load_state_dict(copy.deepcopy(first.state_dict()))
    assert timeless(list(resumed)) == timeless(epochs[1:])
    assert_equal(weights(resumed), weights(training))


def test_as_many_steps_as_the_epochs_have_change_nothing(tiny, dataset):
    plain, epochs = trained(make(tiny), dataset)
    training, same = trained(make(tiny, steps=3 * 3), dataset)
    assert timeless(same) == timeless(epochs)
    assert_equal(weights(training), weights(plain))


@pytest.mark.slow
def test_the_best_epoch_is_kept_and_a_resumed_training_knows_it(tiny, dataset):
    # A rate that soon destroys what was learned: the best epoch is not the last.
    wild = {"epochs": 5, "optimizer": "sgd", "lr": 0.05, "schedule": "step", "milestones": [2]}
    last = make(tiny, nodes=1, edges={"label -> n0": {}}, **wild | {"schedule": "constant"})
    best = dataclasses.replace(last, train=dataclasses.replace(last.train, keep="best"))
    training, epochs = trained(best, dataset)
    _, plain = trained(last, dataset)
    figures = [epoch.val_accuracy for epoch in plain]
    assert [epoch.val_accuracy for epoch in epochs] == [*figures[:-1], max(figures)]
    assert epochs[-1].kept_epoch == 1 + figures.index(max(figures)) < len(figures)
    assert training.test(dataset.val).accuracy == max(figures)
    resumed, before = (Training(best, dataset, device="cpu") for _ in range(2))
    for _ in range(3):
        next(before)
    resumed.load_state_dict(copy.deepcopy(before.state_dict()))
    assert [epoch.kept_epoch for epoch in resumed] == [epoch.kept_epoch for epoch in epochs[3:]]
    assert_equal(weights(resumed), weights(training))
    by_loss = Training(best, dataset, device="cpu", metric="loss")
    list(by_loss)
    lowest = min(epoch.scored.loss for epoch in plain)
    assert by_loss.test(dataset.val).loss == pytest.approx(lowest, rel=1e-6)
    final = Training(best, dataset, device="cpu", final=True)
    assert [epoch.kept_epoch for epoch in final] == [0] * 5


@pytest.mark.parametrize("balance", ["none", "loss", "sampling"])
def test_balanced_training_shows_or_weighs_rare_classes_more(tmp_path, balance):
    random, labels = np.random.default_rng(0), np.repeat([0, 1, 2], [120, 30, 10])
    images = random.integers(0, 255, (160, 8, 8, 3)).astype(np.uint8)
    np.savez(tmp_path / "few.npz", x=images, y=labels)
    graph = make(tmp_path / "few.npz", nodes=1, edges={"label -> n0": {}}, batch_size=12)
    graph = dataclasses.replace(graph, data=dataclasses.replace(graph.data, balance=balance))
    data = open_data(graph.data)
    training = Training(graph, data, device="cpu")
    batch = next(iter(training._batches(0, {})))
    counts = batch.labels.bincount(minlength=3).tolist()
    assert (counts == [4, 4, 4]) == (balance == "sampling")
    training.step(batch, Clock(0, 10))
    weights = training._class_weights
    assert (weights is not None) == (balance == "loss")
    if weights is not None:
        assert float(weights[torch.from_numpy(data.train.labels)].mean()) == pytest.approx(1)
        assert weights[0] < weights[1] < weights[2]


@pytest.mark.parametrize("keep", ["last", "best"])
def test_the_last_epoch_has_what_every_node_says_of_the_validation_images(tiny, dataset, keep):
    training = Training(make(tiny, keep=keep), dataset)
    *before, last = training
    assert [set(epoch.answers) for epoch in before] == [{"n0"}, {"n0"}]
    assert set(last.answers) == {"n0", "n1"}
    assert torch.equal(last.answers["n0"], training.logits(dataset.val))
    assert torch.equal(last.scored.logits, last.answers["n0"])
    for name, logits in last.answers.items():
        right = logits.argmax(dim=1).numpy() == dataset.val.labels
        assert right.mean() == pytest.approx(last.nodes[name].val_accuracy)
