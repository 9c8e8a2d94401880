"""Checkpoints of one library go into the networks of the other, and the outputs are the same."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from ktg.graph import Node
from ktg.models.architectures import build_body
from ktg.models.names import list_library_models
from ktg.models.renames import FAMILIES, translate
from ktg.models.state_dicts import fit, load, read_state

# torchvision's name, timm's name, what timm's constructor must be told to compute the same
RESNETS = (
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "resnext50_32x4d",
    "resnext101_32x8d",
)
RESNETS += ("resnext101_64x4d", "wide_resnet50_2", "wide_resnet101_2")
TF_EPS = {"bn_eps": 0.001}
SAME = [
    *(
        (name, name, {})
        for name in (*RESNETS, "densenet121", "densenet161", "densenet169", "densenet201")
    ),
    ("mobilenet_v2", "mobilenetv2_100", {}),
    *((f"mobilenet_v3_{size}", f"mobilenetv3_{size}_100", TF_EPS) for size in ("small", "large")),
    *((f"efficientnet_b{i}", f"efficientnet_b{i}", {} if i < 5 else TF_EPS) for i in range(8)),
    *((f"efficientnet_v2_{size}", f"efficientnetv2_{size}", TF_EPS) for size in "sml"),
    *((f"vit_b_{patch}", f"vit_base_patch{patch}_224", {}) for patch in (16, 32)),
    *((f"vit_l_{patch}", f"vit_large_patch{patch}_224", {}) for patch in (16, 32)),
    ("vit_h_14", "vit_huge_patch14_224", {}),
]
COMPUTED = ("resnet18", "densenet121", "mobilenet_v2", "mobilenet_v3_small", "mobilenet_v3_large")
COMPUTED += ("efficientnet_b0", "efficientnet_v2_s")


def network(model: str, args: dict[str, float] | None = None) -> nn.Module:
    return build_body(Node(model=model, model_args=args or {}), classes=10, size=224)


def randomised(body: nn.Module, seed: int, size: int = 64) -> nn.Module:
    """The network in evaluation mode, with norms of which a swapped pair shows.

    Batch norms take their statistics from images, or the signal would fade on its way and hide
    differences.
    """
    generator = torch.Generator().manual_seed(seed)
    for module in body.modules():
        if isinstance(module, nn.BatchNorm2d | nn.LayerNorm):
            nn.init.uniform_(module.weight, 0.5, 1.5, generator)
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # keep the mean over all batches
    with torch.no_grad():
        for name, parameter in body.named_parameters():
            if name.endswith("bias") or "token" in name or "pos_embed" in name:
                parameter.normal_(std=0.1, generator=generator)
        body.train()(torch.randn(8, 3, size, size, generator=generator))
    return body.eval()


def compare(giver: nn.Module, taker: nn.Module, size: int = 64) -> float:
    """Return how far apart the outputs are after `taker` got the weights of `giver`.

    It is relative to how much the outputs of different images differ.
    """
    images = torch.randn(2, 3, size, size, generator=torch.Generator().manual_seed(0))
    giver.eval(), taker.eval()
    with torch.inference_mode():
        wanted, before = giver(images), taker(images)
        load(taker, giver.state_dict(), frozenset(), "test")
        scale = (wanted[0] - wanted[1]).std()
        assert (before - wanted).abs().max() > 0.1 * scale
        return float((taker(images) - wanted).abs().max() / scale)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("torchvision", "timm", "args"), SAME, ids=lambda value: value if type(value) is str else ""
)
def test_every_weight_of_either_library_has_its_place_in_the_other(torchvision, timm, args):
    with torch.device("meta"):
        ours = [network(f"torchvision/{torchvision}"), network(f"timm/{timm}", args)]
    for giver, taker in (ours, ours[::-1]):
        assert (
            fit(taker, giver.state_dict(), frozenset(), "test").keys() == taker.state_dict().keys()
        )
    epsilons = [
        {module.eps for module in body.modules() if hasattr(module, "eps")} for body in ours
    ]
    assert epsilons[0] == epsilons[1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("torchvision", "timm", "args"),
    [row for row in SAME if row[0] in COMPUTED],
    ids=lambda v: v if v else "",
)
@pytest.mark.usefixtures("one_thread")
def test_both_libraries_compute_the_same_from_the_same_weights(torchvision, timm, args):
    torch.manual_seed(0)
    theirs, ours = network(f"torchvision/{torchvision}"), network(f"timm/{timm}", args)
    assert compare(randomised(theirs, 1), ours) < 1e-4
    assert compare(randomised(ours, 2), theirs) < 1e-4


def test_a_vision_transformer_computes_the_same_in_both_libraries():
    import timm
    import torchvision

    torch.manual_seed(0)
    sizes = {
        "image_size": 32,
        "patch_size": 8,
        "num_layers": 3,
        "num_heads": 4,
        "hidden_dim": 64,
        "mlp_dim": 256,
    }
    theirs = torchvision.models.VisionTransformer(**sizes, num_classes=10)
    args = {"img_size": 32, "patch_size": 8, "depth": 3, "num_heads": 4, "embed_dim": 64}
    ours = timm.create_model("vit_base_patch16_224", num_classes=10, **args)
    nn.init.normal_(theirs.heads.head.weight)  # torchvision begins with zeros
    assert compare(randomised(theirs, 1, size=32), ours, size=32) < 1e-5
    assert compare(randomised(ours, 2, size=32), theirs, size=32) < 1e-5


@pytest.mark.parametrize(
    ("timm", "least"), [("mobilenetv3_small_100", 1e-3), ("tf_mobilenetv3_small_100", 1e-2)]
)
def test_epsilon_and_padding_are_no_weights_so_these_networks_only_come_near(timm, least):
    torch.manual_seed(0)
    giver = randomised(network("mobilenet_v3_small"), 1)
    assert least < compare(giver, network(timm))


def test_the_real_torchvision_file_computes_the_same_in_timm(shared: Path):
    state = read_state(shared / "weights/mobilenet_v2.imagenet.torchvision.pth")
    networks = [
        build_body(Node(model=model), classes=1000, size=96).eval()
        for model in ("mobilenet_v2", "mobilenetv2_100")
    ]
    for body in networks:
        load(body, state, frozenset(), "test")
    images = torch.rand(2, 3, 96, 96)
    with torch.inference_mode():
        theirs, ours = (body(images) for body in networks)
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
def test_tables_are_one_to_one(family):
    table = family()
    assert len(set(table.values())) == len(table)


def test_the_names_compared_are_those_of_the_libraries():
    assert {f"{name}" for name, _, _ in SAME} <= list_library_models("torchvision")
    assert {f"{name}" for _, name, _ in SAME} <= list_library_models("timm")


def test_torchvisions_old_names_of_densenet_and_vision_transformer():
    wanted = [
        "features.denseblock1.denselayer2.norm1.weight",
        "encoder.layers.encoder_layer_3.mlp.3.bias",
    ]
    old = {
        "features.denseblock1.denselayer2.norm.1.weight": 1,
        "encoder.layers.encoder_layer_3.mlp.linear_2.bias": 2,
    }
    assert translate(old, wanted) == dict(zip(wanted, (1, 2), strict=True))
    assert translate(old, ["blocks.3.mlp.fc2.bias"])["blocks.3.mlp.fc2.bias"] == 2


def test_auxiliary_classifiers_are_left_out_unless_the_network_has_them():
    state = {"conv.weight": 1, "aux1.fc1.weight": 2, "AuxLogits.fc.weight": 3}
    assert translate(state, ["conv.weight"]) == {"conv.weight": 1}
    assert translate(state, state.keys()) == state


@given(st.dictionaries(st.text(max_size=20), st.integers(), max_size=5))
def test_names_that_fit_already_or_nowhere_stay_as_they_are(state):
    assert translate(state, state.keys()) == state
    assert translate(state, []) == {
        key: v for key, v in state.items() if not key.startswith(("aux1.", "aux2.", "AuxL"))
    }
