"""Stages of real networks of every library, what unfreezes, and the modes that follow."""

import pytest
from torch import nn

from ktg.errors import SpecError
from ktg.graph import Node
from ktg.models.architectures import MetaNetwork, build_on_meta
from ktg.models.names import locate_model
from ktg.models.stages import TRUNKS, select_unfrozen, set_modes, split_layers, split_stages

# Model: its number of stages, a parameter of the stem, and one of the stage before the head.
STAGES = {
    "resnet18": (6, "conv1.weight", "layer4.1.bn2.bias"),
    "torchvision/resnet18": (6, "bn1.weight", "layer4.1.bn2.bias"),
    "mobilenetv2_100": (9, "bn1.weight", "conv_head.weight"),
    "mobilenet_v2": (20, "features.0.0.weight", "features.18.0.weight"),
    "vit_tiny_patch16_224": (14, "cls_token", "norm.weight"),
    "vit_b_16": (14, "encoder.pos_embedding", "encoder.ln.weight"),
    "densenet121": (6, "features.norm0.weight", "features.denseblock4.denselayer16.conv2.weight"),
    "torchvision/densenet121": (9, "features.norm0.weight", "features.norm5.weight"),
    "torchvision/convnext_tiny": (9, "features.0.1.weight", "features.7.2.layer_scale"),
    "rdnet_tiny": (
        9,
        "stem.0.weight",
        "dense_stages.6.2.dense_block0.gamma",
    ),  # timm has no coarse groups for it
    "resnet20": (5, "bn1.weight", "layer3.2.bn2.bias"),
    "wide_resnet16_1": (5, "conv1.weight", "bn.weight"),
}


def make_plan(model: str) -> MetaNetwork:
    return build_on_meta(
        Node(model=model), classes=10, image_size=32 if locate_model(model)[0] == "ktg" else 224
    )


@pytest.mark.parametrize("model", STAGES)
def test_stages_part_the_parameters_from_the_stem_to_the_head(model):
    plan = make_plan(model)
    number, stem, before_head = STAGES[model]
    found = split_stages(plan.body)
    names = [name for name, _ in plan.body.named_parameters()]
    assert sorted(name for stage in found for name in stage) == sorted(names)
    assert len(found) == number
    assert all(found)
    assert stem in found[0]
    assert before_head in found[-2]
    assert plan.head <= found[-1]
    first = [min(names.index(name) for name in stage) for stage in found]
    assert first == sorted(first)


@pytest.mark.parametrize("model", ["resnet18", "vit_b_16", "wide_resnet16_1"])
def test_layers_part_the_stages_and_keep_their_order(model):
    body = make_plan(model).body
    parts = split_layers(body)
    owners = [{name.rpartition(".")[0] for name in part} for part in parts]
    assert all(len(owner) == 1 for owner in owners)
    rest = list(parts)
    for stage in split_stages(body):
        inside = [rest.pop(0) for _ in range(sum(part <= stage for part in parts))]
        assert frozenset().union(*inside) == stage
    assert not rest


def test_layers_of_a_known_network():
    owners = [
        next(iter(part)).rpartition(".")[0] for part in split_layers(make_plan("resnet8").body)
    ]
    assert owners[:4] == ["conv1", "bn1", "layer1.0.conv1", "layer1.0.bn1"]
    assert (len(owners), owners[-1]) == (15, "linear")


def test_a_parameter_under_two_names_is_in_one_stage():
    body = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3), nn.Linear(3, 2))
    body[1].weight = body[0].weight
    assert split_stages(body) == [{"0.weight", "0.bias"}, {"1.bias"}, {"2.weight", "2.bias"}]


def test_a_norm_layer_before_the_first_weights_is_part_of_the_stem():
    body = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 1), nn.Flatten(), nn.Linear(4, 2))
    assert [sorted({name[0] for name in stage}) for stage in split_stages(body)] == [
        ["0", "1"],
        ["3"],
    ]


@pytest.mark.slow
def test_names_of_trunks_are_those_that_libraries_use():
    models = (
        "mobilenet_v2",
        "vit_b_16",
        "torchvision/mnasnet0_5",
        "torchvision/maxvit_t",
        "caformer_s18",
    )
    models += ("rdnet_tiny", "pit_ti_224", "torchvision/regnet_y_400mf")
    bodies = [make_plan(model).body for model in models]
    used = {name.rpartition(".")[2] for body in bodies for name, _ in body.named_modules()}
    assert used >= TRUNKS
    assert all(len(split_stages(body)) >= 5 for body in bodies)


def test_everything_or_the_stages_from_one_on_or_all_but_a_share_of_the_layers():
    plan = make_plan("resnet8")
    everything = frozenset(name for name, _ in plan.body.named_parameters())
    assert select_unfrozen(plan.body, plan.head, None) == everything
    assert select_unfrozen(plan.body, plan.head, 0) == everything
    assert select_unfrozen(plan.body, plan.head, 0.05) == everything  # of 15 layers
    found = split_stages(plan.body)
    for first in range(1, 5):
        assert select_unfrozen(plan.body, plan.head, first) == frozenset().union(*found[first:])
    assert select_unfrozen(plan.body, plan.head, 4) == plan.head
    assert everything - select_unfrozen(plan.body, plan.head, 0.2) == found[0] | {
        "layer1.0.conv1.weight"
    }
    assert select_unfrozen(plan.body, plan.head, 0.999) == plan.head


def test_both_of_two_heads_always_learn():
    body = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 2), nn.Linear(3, 2))
    head = frozenset({"1.weight", "1.bias", "2.weight", "2.bias"})
    assert select_unfrozen(body, head, 2) == select_unfrozen(body, head, 0.9) == head


@pytest.mark.parametrize("beyond", [5, 1.0, 2.5])
def test_a_stage_beyond_the_last_is_refused_where_it_stands(beyond):
    node = Node(model="resnet8", unfreeze_from=beyond)
    with pytest.raises(SpecError) as caught:
        build_on_meta(node, classes=10, image_size=32, where="nodes.n1")
    assert str(caught.value) == (
        f"nodes.n1.unfreeze_from: {beyond} leaves nothing to learn; this network has 5 stages; "
        "allowed: a stage from 0 (the stem) to 4 (the head), or a fraction below 1"
    )


def modes(body: nn.Module) -> list[bool]:
    return [module.training for module in body]


def test_a_dropout_is_in_the_mode_of_the_layer_before_it():
    body = nn.Sequential(
        nn.Dropout(), nn.Conv2d(3, 4, 1), nn.Dropout(), nn.BatchNorm2d(4), nn.Dropout()
    )
    set_modes(body, {"3.weight", "3.bias"})
    assert body.training
    assert modes(body) == [False, False, False, True, True]
    set_modes(body, {name for name, _ in body.named_parameters()})
    assert modes(body) == [True] * 5


def test_a_block_of_which_a_part_learns_is_in_training_mode():
    body = nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)), nn.Sequential(nn.Linear(4, 2))
    )
    set_modes(body, {"0.1.weight", "1.0.weight"})
    assert {name for name, module in body.named_modules() if module.training} == {
        "",
        "0",
        "0.1",
        "1",
        "1.0",
    }
