"""Optimizers, groups and averages against torch's own."""

import copy
import csv
from pathlib import Path
from typing import get_args

import pytest
import torch
from torch import nn

from ktg.data import open_data
from ktg.graph import Node, Train, parse
from ktg.graph.vocabulary import OptimizerName
from ktg.models.architectures import build_on_meta
from ktg.models.build import build_network
from ktg.models.network import Network
from ktg.models.stages import split_stages
from ktg.training import Training
from ktg.training.node import OPTIMIZERS, Average, Learner, group_parameters

pytestmark = pytest.mark.usefixtures("one_thread")


NODE = Node(model="resnet8")


@pytest.fixture
def network() -> Network:
    return build_network(NODE, {}, classes=4, image_size=8, mean=[0.5], std=[0.5], seed=0)


def give_gradients(network: nn.Module, seed: int = 0) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)


def test_every_optimizer_name_has_a_function_and_no_other():
    assert set(OPTIMIZERS) == set(get_args(OptimizerName))


@pytest.mark.parametrize(
    ("train", "reference"),
    [
        (
            Train(optimizer="sgd", lr=0.1, momentum=0.8, weight_decay=0.01),
            lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.8, nesterov=True, weight_decay=0.01),
        ),
        (
            Train(optimizer="sgd", lr=0.1, momentum=0, weight_decay=0),
            lambda p: torch.optim.SGD(p, lr=0.1),
        ),
        (
            Train(optimizer="adamw", lr=0.01, weight_decay=0.1),
            lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1),
        ),
        (
            Train(optimizer="adam", lr=0.01, weight_decay=0.1),
            lambda p: torch.optim.Adam(p, lr=0.01, weight_decay=0.1),
        ),
    ],
)
def test_steps_equal_those_of_torch(network, train, reference):
    other = build_network(
        Node(model="resnet8"), {}, classes=4, image_size=8, mean=[0.5], std=[0.5], seed=0
    )
    learner = Learner(
        network, Node(model="resnet8"), Train(**{**vars(train), "schedule": "constant"})
    )
    optimizer = reference(other.parameters())
    for seed in range(3):
        give_gradients(network, seed)
        give_gradients(other, seed)
        learner.step(where=0.5)
        optimizer.step()
    for mine, theirs in zip(network.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)


def test_a_node_overrides_what_train_says(network):
    node = Node(model="resnet8", optimizer="adamw", lr=0.02, weight_decay=0.0, schedule="constant")
    learner = Learner(
        network, node, Train(optimizer="sgd", lr=0.5, weight_decay=0.3, schedule="cosine")
    )
    give_gradients(network)
    learner.step(where=0.9)
    assert isinstance(learner.optimizer, torch.optim.AdamW)
    assert learner.lr == 0.02
    assert {group["weight_decay"] for group in learner.optimizer.param_groups} == {0.0}


def grouped(network: Network, learning: set[str] | None = None, **fields) -> list[dict]:
    everything = {name for name, _ in network.body.named_parameters()}
    node = Node(
        model="resnet8", **{name: fields.pop(name) for name in set(fields) & set(vars(NODE))}
    )
    given = {"weight_decay": 0.1, "decay_norm_and_bias": True} | fields
    return group_parameters(network, everything if learning is None else learning, node, **given)


def test_decay_can_spare_norms_and_biases(network):
    groups = grouped(network, decay_norm_and_bias=False)
    decayed = [p for group in groups if group["weight_decay"] for p in group["params"]]
    spared = [p for group in groups if not group["weight_decay"] for p in group["params"]]
    assert all(p.ndim > 1 for p in decayed)
    assert all(p.ndim == 1 for p in spared)
    assert len(decayed) + len(spared) == len(list(network.parameters()))
    assert {group["weight_decay"] for group in grouped(network)} == {0.1}


def test_the_backbone_alone_has_the_scaled_rate_and_what_never_learns_is_in_no_group(network):
    learning = split_stages(network.body)[2] | network.head
    groups = grouped(network, learning, backbone_lr_scale=0.1)
    by_scale = {group["lr_scale"]: {id(p) for p in group["params"]} for group in groups}
    assert by_scale[1.0] == {id(network.body.get_parameter(name)) for name in network.head}
    assert by_scale[0.1] == {id(p) for name, p in network.backbone_parameters() if name in learning}
    assert len(groups) == 2


def test_the_average_follows_the_weights_and_copies_the_statistics(network):
    average = Average(network, decay=0.75)
    before = network.body.conv1.weight.detach().clone()
    with torch.no_grad():
        network.body.conv1.weight += 4
        network.body.bn1.running_mean += 2
    average.update(network)
    torch.testing.assert_close(average.network.body.conv1.weight, before + 1)
    assert torch.equal(average.network.body.bn1.running_mean, network.body.bn1.running_mean)
    assert not average.network.body.conv1.weight.requires_grad


def learning_names(learner: Learner) -> set[str]:
    return {
        name
        for name, parameter in learner.network.body.named_parameters()
        if parameter.requires_grad
    }


def test_the_frozen_phase_leaves_only_the_head_and_what_holds_it_in_training_mode(network):
    learner = Learner(network, Node(model="resnet8", frozen_epochs=1), Train())
    learner.begin_epoch(0)
    assert {name for name, module in network.body.named_modules() if module.training} == {
        "",
        "linear",
    }
    assert learning_names(learner) == network.head
    learner.begin_epoch(1)
    assert all(module.training for module in network.modules())
    assert learning_names(learner) == {name for name, _ in network.body.named_parameters()}


@pytest.mark.slow
@pytest.mark.parametrize("frozen_epochs", [0, 2])
@pytest.mark.parametrize("model", ["resnet8", "resnet10t"])
def test_statistics_that_came_with_the_weights_stay_while_all_else_learns(
    tiny, tmp_path, model, frozen_epochs
):
    size = {"input_size": 32} if model == "resnet10t" else {}
    body = build_network(
        Node(model=model, **size), {}, classes=4, image_size=32, mean=[0.5], std=[0.5], seed=1
    ).body
    for name, buffer in body.named_buffers():
        if name.endswith("running_mean"):
            buffer.uniform_(-0.1, 0.1)
    torch.save(body.state_dict(), tmp_path / "w.pth")
    fields = {
        "model": model,
        "source": str(tmp_path / "w.pth"),
        "frozen_epochs": frozen_epochs,
        **size,
    }
    training = transferred(tiny, **fields, frozen_norm=True)
    before = body_state(training)
    list(training)
    statistics = {name for name, _ in training.target.body.named_buffers()}
    assert len(statistics) > 20
    assert differing(before, body_state(training)) == before.keys() - statistics


@pytest.mark.parametrize("frozen_epochs", [0, 1])
def test_stages_before_the_one_to_unfreeze_from_stay_still_for_good(network, frozen_epochs):
    learner = Learner(
        network, Node(model="resnet8", frozen_epochs=frozen_epochs, unfreeze_from=2), Train()
    )
    parts = split_stages(network.body)
    for epoch in (0, 1, 2):
        learner.begin_epoch(epoch)
        frozen_phase = epoch < frozen_epochs
        assert learning_names(learner) == (
            network.head if frozen_phase else frozenset().union(*parts[2:])
        )
        norms = {
            name
            for name, m in network.body.named_modules()
            if isinstance(m, nn.BatchNorm2d) and m.training
        }
        assert {name.partition(".")[0] for name in norms} == (
            set() if frozen_phase else {"layer2", "layer3"}
        )


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_the_backbone_learns_at_its_share_of_the_scheduled_rate(schedule):
    """One step of plain SGD from the same start: the backbone's is a tenth, the head's the same."""
    steps = []
    for scale in (1.0, 0.1):
        network = build_network(
            Node(model="resnet8"), {}, classes=4, image_size=8, mean=[0.5], std=[0.5], seed=0
        )
        before = {name: p.detach().clone() for name, p in network.body.named_parameters()}
        train = Train(lr=0.5, momentum=0, weight_decay=0, schedule=schedule)
        learner = Learner(network, Node(model="resnet8", backbone_lr_scale=scale), train)
        give_gradients(network)
        learner.step(where=0.5)
        steps.append(
            {name: before[name] - p.detach() for name, p in network.body.named_parameters()}
        )
    assert learner.lr == pytest.approx(0.5 if schedule == "constant" else 0.25)  # the head's
    for name, whole in steps[0].items():
        share = 1.0 if name in network.head else 0.1
        torch.testing.assert_close(steps[1][name], whole * share, rtol=1e-3, atol=1e-6)


def test_the_rate_decays_from_stage_to_stage_towards_the_input(network):
    groups = grouped(network, backbone_lr_scale=0.5, layer_decay=0.1)
    scale = {id(p): group["lr_scale"] for group in groups for p in group["params"]}
    parts = split_stages(network.body)
    assert len(parts) == 5
    for below, names in enumerate(reversed(parts)):
        expected = 1.0 if below == 0 else 0.5 * 0.1**below
        assert {scale[id(p)] for name, p in network.body.named_parameters() if name in names} == {
            expected
        }


def test_the_backbone_in_the_heads_stage_learns_at_the_backbones_rate():
    network = build_network(
        Node(model="wide_resnet16_1"), {}, classes=4, image_size=8, mean=[0.5], std=[0.5], seed=0
    )
    network.head = frozenset({"linear.bias"})  # so that the last stage holds a part of the backbone
    scale = {
        id(p): g["lr_scale"]
        for g in grouped(network, backbone_lr_scale=0.5, layer_decay=0.1)
        for p in g["params"]
    }
    assert scale[id(network.body.linear.weight)] == 0.5
    assert scale[id(network.body.linear.bias)] == 1.0


@pytest.mark.parametrize("frozen_epochs", [0, 2])
@pytest.mark.parametrize("unfreeze_from", [None, 2])
def test_stages_thaw_one_after_the_other_from_the_head_on(network, frozen_epochs, unfreeze_from):
    node = Node(
        model="resnet8", frozen_epochs=frozen_epochs, unfreeze_every=2, unfreeze_from=unfreeze_from
    )
    learner, parts, first = (
        Learner(network, node, Train()),
        split_stages(network.body),
        unfreeze_from or 0,
    )
    for epoch in range(frozen_epochs):
        assert learner.select_parameters(epoch) == network.head
    for epoch in range(10):
        begins = max(3 - epoch // 2, first)  # of the stages 0 to 4
        assert learner.select_parameters(frozen_epochs + epoch) == frozenset().union(
            *parts[begins:]
        )
        learner.begin_epoch(frozen_epochs + epoch)
        assert learning_names(learner) == learner.select_parameters(frozen_epochs + epoch)


def transferred(tiny: Path, **fields) -> Training:
    """A training of one resnet8 for four epochs, the first two with a frozen backbone."""
    optimizer = fields.pop("optimizer", "sgd")
    graph = {
        "data": {"path": str(tiny), "batch_size": 32},
        "train": {"epochs": 4, "lr": 0.02, "optimizer": optimizer},
        "nodes": {"n0": {"model": "resnet8", "frozen_epochs": 2, **fields}},
        "edges": {"label -> n0": {}},
    }
    graph = parse(graph)
    return Training(graph, open_data(graph.data), device="cpu")


def body_state(training: Training) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in training.target.body.state_dict().items()}


def differing(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> set[str]:
    return {name for name in one if not torch.equal(one[name], other[name])}


@pytest.mark.parametrize(
    ("unfreeze_from", "still"), [(3, ("conv1", "bn1", "layer1", "layer2")), (0.1, ("conv1",))]
)
def test_training_changes_nothing_of_what_is_frozen_and_all_of_the_rest(tiny, unfreeze_from, still):
    training = transferred(tiny, unfreeze_from=unfreeze_from)
    (learner,) = training.learners.values()
    before = body_state(training)
    for _ in training:
        pass
    changed = differing(before, body_state(training))
    assert changed == {name for name in before if name.partition(".")[0] not in still}
    unfrozen = {id(p) for name, p in learner.network.body.named_parameters() if name in changed}
    assert {id(p) for p in learner.optimizer.state} == unfrozen


def test_at_the_switch_the_backbone_begins_without_optimizer_state_and_the_head_keeps_its_own(tiny):
    training = transferred(tiny, optimizer="adamw")
    (learner,) = training.learners.values()
    list(zip(range(3), training, strict=False))
    per_epoch = len(training.dataset.train) // 32
    steps = {
        name: int(learner.optimizer.state[p]["step"])
        for name, p in learner.network.body.named_parameters()
    }
    head = learner.network.head
    assert steps == {name: 3 * per_epoch if name in head else per_epoch for name in steps}


def test_the_schedule_runs_on_across_the_switch(tiny):
    """The head's rate is that of a never frozen network; the backbone begins at its share of it."""
    fields = {"backbone_lr_scale": 0.1, "unfreeze_from": 2}
    thawing, free = transferred(tiny, **fields), transferred(tiny, **fields, frozen_epochs=0)
    (learner,) = thawing.learners.values()
    for one, other in zip(thawing, free, strict=True):
        assert one.nodes["n0"].lr == other.nodes["n0"].lr > 0
        assert {group["lr_scale"] for group in learner.optimizer.param_groups} == {1.0, 0.1}
        for group in learner.optimizer.param_groups:
            assert group["lr"] == pytest.approx(one.nodes["n0"].lr * group["lr_scale"])


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_what_has_not_thawed_stays_still_without_optimizer_state(tiny, optimizer):
    training = transferred(tiny, optimizer=optimizer, unfreeze_every=1)
    (learner,) = training.learners.values()
    parts = split_stages(learner.network.body)
    parameters = dict(learner.network.body.named_parameters())
    before = body_state(training)
    for epoch, thawed in enumerate((1, 1, 2, 3)):
        next(training)
        names = frozenset().union(*parts[-thawed:])
        assert differing(before, body_state(training)) & parameters.keys() == names, epoch
        assert {id(p) for p in learner.optimizer.state} == {id(parameters[name]) for name in names}


@pytest.mark.parametrize("interrupted_after", [1, 2, 3])
@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
@pytest.mark.parametrize("gradual", [{}, {"unfreeze_every": 1, "layer_decay": 0.5}])
def test_a_run_interrupted_around_a_switch_equals_an_uninterrupted_one(
    tiny, interrupted_after, optimizer, gradual
):
    fields = {"optimizer": optimizer, "unfreeze_from": 2, "backbone_lr_scale": 0.1} | gradual
    whole, half, resumed = (transferred(tiny, **fields) for _ in range(3))
    losses = [epoch.edges["label", "n0"].loss for epoch in whole]
    for _ in range(interrupted_after):
        next(half)
    resumed.load_state_dict(copy.deepcopy(half.state_dict()))
    assert [epoch.edges["label", "n0"].loss for epoch in resumed] == losses[interrupted_after:]
    assert not differing(body_state(resumed), body_state(whole))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("row", "model"),
    [
        ("resnet50", "timm/resnet50"),
        ("resnet50", "torchvision/resnet50"),
        ("densenet201", "timm/densenet201"),
        ("densenet201", "torchvision/densenet201"),
        ("vit_b_16", "vit_base_patch16_224"),
        ("vit_b_16", "torchvision/vit_b_16"),
    ],
)
def test_parameters_in_all_and_trainable_under_transfer_are_the_published_ones(shared, row, model):
    lines = (shared / "tables/stl10_regimes.csv").read_text(encoding="utf-8").splitlines()
    table = {
        line["model"]: line for line in csv.DictReader(lines[1:])
    }  # the first line is a comment
    node = Node(model=model, frozen_epochs=1)
    plan = build_on_meta(node, classes=10, image_size=224)
    network = Network(copy.deepcopy(plan.body), size=plan.size, mean=[0], std=[1], head=plan.head)
    learner = Learner(network, node, Train())
    for epoch, column in enumerate(("trainable_params_transfer", "total_params")):
        learner.begin_epoch(epoch)
        trainable = sum(p.numel() for p in network.parameters() if p.requires_grad)
        assert trainable == int(table[row][column])
