import subprocess
import sys

import pytest
import torch

from ktg.errors import SpecError
from ktg.graph import Node
from ktg.models.architectures import (
    HALF,
    IMAGENET,
    build_body,
    build_on_meta,
    find_statistics,
    make_constructor_args,
    takes_any_size,
)
from ktg.models.names import list_library_models


def plan(model: str, image_size: int = 64, classes: int = 10, **fields):
    return build_on_meta(
        Node(model=model, **fields), classes=classes, image_size=image_size, where="nodes.n1"
    )


@pytest.mark.slow
# The largest RegNets are left out: they alone need memory even on the meta device.
@pytest.mark.parametrize(
    "name",
    sorted(n for n in list_library_models("torchvision") if not n.endswith(("128gf", "32gf"))),
)
def test_every_torchvision_model_has_a_head_and_takes_96_pixels_or_its_own(name):
    found = plan(f"torchvision/{name}", 96, classes=7)
    assert found.size in (96, 224)
    assert list(dict(found.body.named_parameters()))[-1] in found.head
    assert {
        parameter.shape[0] for n, parameter in found.body.named_parameters() if n in found.head
    } == {7}


@pytest.mark.parametrize(
    "name",
    [
        "resnet18",
        "vgg11",
        "densenet121",
        "mobilenetv2_100",
        "efficientnet_b0",
        "convnext_atto",
        "vit_tiny_patch16_224",
        "swin_tiny_patch4_window7_224",
        "deit_tiny_distilled_patch16_224",
        "mixer_s32_224",
        "inception_v3",
        "xcit_nano_12_p16_224",
    ],
)
def test_the_head_is_what_timm_calls_the_classifier(name):
    found = plan(f"timm/{name}", 128)
    classifier = found.body.pretrained_cfg["classifier"]
    wanted = {classifier} if isinstance(classifier, str) else set(classifier)
    assert {parameter.rpartition(".")[0] for parameter in found.head} == wanted


def test_the_meta_network_has_the_shapes_of_the_network():
    node = Node(model="mobilenetv2_035", model_args={"pad_type": "same"})
    body = build_body(node, classes=10, size=64)
    found = build_on_meta(node, classes=10, image_size=64)
    assert {k: v.shape for k, v in body.state_dict().items()} == {
        k: v.shape for k, v in found.body.state_dict().items()
    }
    assert all(parameter.is_meta for parameter in found.body.parameters())


def test_a_meta_network_is_made_once_and_leaves_the_generator_alone():
    state = torch.get_rng_state()
    assert plan("resnet14").body is plan("resnet14").body
    assert torch.equal(torch.get_rng_state(), state)


def test_some_networks_take_one_size_of_images_only():
    assert takes_any_size(Node(model="resnet8"))
    assert takes_any_size(Node(model="mobilenetv2_035"))
    assert not takes_any_size(Node(model="vit_tiny_patch16_224"))
    dynamic = Node(model="vit_tiny_patch16_224", model_args={"dynamic_img_size": True})
    assert takes_any_size(dynamic)


@pytest.mark.parametrize(
    ("model", "fields", "size", "args"),
    [
        ("resnet20", {}, 64, {}),
        ("resnet20", {"input_size": 32}, 32, {}),
        ("resnet18", {}, 64, {}),
        ("vit_tiny_patch16_224", {}, 224, {}),
        ("vit_tiny_patch16_224", {"input_size": 64}, 64, {"img_size": 64}),
        ("vit_tiny_patch16_224", {"model_args": {"img_size": 96}}, 96, {"img_size": 96}),
        (
            "vit_tiny_patch16_224",
            {"model_args": {"dynamic_img_size": True}},
            64,
            {"dynamic_img_size": True},
        ),
        ("torchvision/vit_b_32", {}, 224, {}),
        ("torchvision/vit_b_32", {"input_size": 64}, 64, {"image_size": 64}),
        ("torchvision/maxvit_t", {"input_size": 448}, 448, {"input_size": (448, 448)}),
    ],
)
def test_the_input_size(model, fields, size, args):
    assert plan(model, 64, **fields).size == size
    assert make_constructor_args(Node(model=model, **fields), size) == args


@pytest.mark.parametrize(
    ("model", "fields", "message"),
    [
        ("resnet5O", {}, r"^nodes\.n1\.model: 'resnet5O' is not a model"),
        (
            "resnet20",
            {"model_args": {"width": 2}},
            r"^nodes\.n1\.model_args: resnet20 does not take width: 2 \(.*'width'",
        ),
        (
            "resnet18",
            {"model_args": {"widht": 2}},
            r"^nodes\.n1\.model_args: resnet18 does not take widht: 2 \(",
        ),
        (
            "torchvision/resnet18",
            {"model_args": {"a": "b"}},
            r"^nodes\.n1\.model_args: .* does not take a: b \(",
        ),
        (
            "resnet18",
            {"model_args": {"checkpoint_path": "x"}},
            r"^nodes\.n1\.model_args\.checkpoint_path: cannot be given",
        ),
        (
            "resnet18",
            {"model_args": {"num_classes": 3}},
            r"^nodes\.n1\.model_args\.num_classes: cannot be given",
        ),
        (
            "resnet18",
            {"model_args": {"in_chans": 1}},
            r"^nodes\.n1\.model_args\.in_chans: cannot be given",
        ),
        (
            "vgg11",
            {"input_size": 8},
            r"^nodes\.n1\.input_size: vgg11 cannot take images of 8x8 pixels \(.*example 224$",
        ),
        ("torchvision/googlenet", {"input_size": 5}, r"^nodes\.n1\.input_size: .*5x5"),
        (
            "inception_v3",
            {"input_size": 32},
            r"^nodes\.n1\.input_size: inception_v3 cannot take .*32x32.*example 299$",
        ),
        ("vit_tiny_patch16_224", {"input_size": 8}, r"^nodes\.n1\.input_size: .*8"),
        (
            "vit_tiny_patch16_224",
            {"input_size": 64, "model_args": {"img_size": 32}},
            r"^nodes\.n1\.input_size: 64 contradicts model_args\.img_size: 32$",
        ),
        (
            "qwen3_vit_88m_enc",
            {"input_size": 96},
            r"^nodes\.n1\.model: .* does not return one logit per class",
        ),
    ],
)
def test_what_cannot_be_built_is_one_clear_sentence(model, fields, message):
    with pytest.raises(SpecError, match=message) as caught:
        plan(model, **fields)
    assert "\n" not in str(caught.value)


def test_images_too_small_for_a_model_are_found_by_their_own_size():
    with pytest.raises(
        SpecError, match=r"^nodes\.n1\.input_size: alexnet cannot take images of 16x16 pixels"
    ):
        plan("alexnet", 16)
    assert plan("alexnet", 64).size == 64


def test_statistics_belong_to_the_published_weights():
    assert find_statistics("resnet20") == find_statistics("torchvision/resnet18") == IMAGENET
    assert find_statistics("torchvision/inception_v3") == HALF
    assert find_statistics("vit_tiny_patch16_224") == HALF
    assert find_statistics("resnet18") == IMAGENET


def test_half_statistics_are_torchvisions_own_input_transform():
    from torchvision.models.inception import Inception3

    with torch.device("meta"):
        theirs = Inception3(init_weights=False, transform_input=True)
    images = torch.rand(2, 3, 4, 4)
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in IMAGENET)
    torch.testing.assert_close(theirs._transform_input((images - mean) / std), (images - 0.5) / 0.5)


@pytest.mark.slow
def test_timm_and_torchvision_wait_until_they_are_needed():
    code = (
        "import sys; from ktg.graph import Node;"
        "from ktg.models.architectures import build_on_meta;"
        "import ktg.models.network; build_on_meta(Node(model='resnet8'), classes=2, image_size=8);"
        "print({'timm', 'torchvision', 'huggingface_hub', 'safetensors'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True
    )
    assert done.stdout == "set()\n", done.stderr


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("mobilenetv2_035", "drop_path_rate"),
        ("resnet18", "drop_rate"),
        ("torchvision/vit_b_16", "attention_dropout"),
    ],
)
@pytest.mark.parametrize("value", [2, -0.1, float("nan"), "half", True])
def test_a_rate_of_dropping_is_a_share(model, name, value):
    node = Node(model=model, model_args={name: value})
    with pytest.raises(SpecError, match=f"node.model_args.{name}: .* is no share; allowed: 0 to 1"):
        build_on_meta(node, classes=2, image_size=224)


def test_a_share_is_taken():
    node = Node(model="mobilenetv2_035", model_args={"drop_path_rate": 0.2, "drop_rate": 0})
    assert build_on_meta(node, classes=2, image_size=64).head


def test_shapes_of_a_network_that_is_known_to_work_cost_no_compiler():
    code = (
        "import sys; from ktg.graph import Node\n"
        "from ktg.models.architectures import build_on_meta\n"
        "body = build_on_meta(\n"
        "    Node(model='resnet8'), classes=10, image_size=32, checked=False\n"
        ").body\n"
        "print(sum(each.numel() for each in body.parameters()), 'torch._dynamo' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    size = sum(each.numel() for each in plan("resnet8", 32).body.parameters())
    assert done.stdout.split() == [str(size), "False"]
