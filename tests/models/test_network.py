from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from ktg.errors import SpecError, WeightsError
from ktg.graph import Node, SourceFile
from ktg.models.network import Network, build

FILES = {
    "mobilenetv2_100.imagenet.pth": ("mobilenetv2_100", 1000),
    "mobilenetv2_100.inat_bird.pth": ("mobilenetv2_100", 965),
    "mobilenetv2_100.inat_insect.pth": ("mobilenetv2_100", 1022),
    "mobilenetv2_035.flowers.pth": ("mobilenetv2_035", 5),
    "mobilenetv2_035.imagenet.pth": ("mobilenetv2_035", None),
    "mobilenet_v2.imagenet.torchvision.pth": ("mobilenet_v2", 1000),
    "resnet20.cifar10.pth": ("resnet20", 10),
    "resnet32.cifar10.pth": ("resnet32", 10),
    "resnet56.cifar10.pth": ("resnet56", 10),
}


def plain(model: str = "resnet8", **fields) -> Network:
    given = {"classes": 4, "image_size": 16, "mean": [0.4], "std": [0.2], "seed": 0} | fields
    sources, base = given.pop("sources", {}), given.pop("base", None)
    node = {
        name: given.pop(name) for name in ("source", "input_size", "model_args") if name in given
    }
    return build(Node(model=model, **node), sources, base=base, where="nodes.n0", **given)


def identical(a: nn.Module, b: nn.Module) -> bool:
    return all(
        torch.equal(x, y)
        for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True)
    )


@pytest.mark.parametrize("model", ["resnet8", "mobilenetv2_035", "torchvision/squeezenet1_1"])
def test_the_seed_alone_decides_the_weights(model):
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = plain(model, image_size=64)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert identical(first, plain(model, image_size=64))
    assert not identical(first, plain(model, image_size=64, seed=1))


@settings(max_examples=20, deadline=None)
@given(
    channels=st.sampled_from([1, 3]),
    height=st.integers(8, 40),
    width=st.integers(8, 40),
    size=st.integers(8, 24),
)
def test_images_of_any_shape_become_what_the_body_expects(channels, height, width, size):
    network = Network(nn.Identity(), size=size, mean=[0.1, 0.2, 0.3], std=[0.5], head=frozenset())
    value = torch.rand(1).item()
    out = network(torch.full((2, channels, height, width), value))
    wanted = (value - torch.tensor([0.1, 0.2, 0.3])) / 0.5
    torch.testing.assert_close(out, wanted.view(1, 3, 1, 1).expand(2, 3, size, size))


def test_grey_statistics_and_grey_images_are_the_same_in_every_channel():
    images = torch.rand(2, 1, 16, 16)
    network = plain().eval()
    assert network.prepare(images).shape == (2, 3, 16, 16)
    torch.testing.assert_close(network(images), network(images.repeat(1, 3, 1, 1)))


def test_resizing_is_antialiased():
    """A chessboard of single pixels shrunk fourfold is evenly grey; without antialiasing it would not be."""
    board = (
        (torch.arange(64).view(-1, 1) + torch.arange(64)).remainder(2).float().expand(1, 3, 64, 64)
    )
    small = Network(nn.Identity(), size=16, mean=[0], std=[1], head=frozenset()).prepare(board)
    torch.testing.assert_close(
        small[..., 1:-1, 1:-1], torch.full((1, 3, 14, 14), 0.5), atol=0.02, rtol=0
    )


def test_statistics_of_any_kind_of_number_keep_single_precision():
    network = plain(mean=np.array([0.1, 0.2, 0.3]), std=np.array([1.0, 1.0, 1.0]))
    assert network.mean.dtype is torch.float32
    assert network(torch.rand(2, 3, 16, 16)).dtype is torch.float32


def test_statistics_are_not_saved_but_move_with_the_network():
    network = plain()
    assert all(name.startswith("body.") for name in network.state_dict())
    assert network.to(torch.float64).mean.dtype is torch.float64


def test_head_and_backbone_are_everything():
    network = plain(classes=4)
    head, backbone = dict(network.head_parameters()), dict(network.backbone_parameters())
    assert head.keys() == network.head == {"linear.weight", "linear.bias"}
    assert head | backbone == dict(network.body.named_parameters())


@pytest.mark.parametrize("classes", [1, 2, 965])
def test_any_number_of_classes(classes):
    assert plain(classes=classes)(torch.rand(2, 3, 16, 16)).shape == (2, classes)


def test_googlenet_without_its_auxiliary_heads_returns_logits_while_training():
    network = plain("torchvision/googlenet", image_size=64).train()
    assert network(torch.rand(2, 3, 64, 64)).shape == (2, 4)


@pytest.mark.parametrize(
    ("model", "size"), [("torchvision/googlenet", 64), ("torchvision/inception_v3", 80)]
)
def test_published_files_with_auxiliary_heads_load(tmp_path: Path, model, size):
    from torchvision.models import get_model

    torch.manual_seed(0)
    published = get_model(
        model.removeprefix("torchvision/"), aux_logits=True, init_weights=False, num_classes=9
    )
    torch.save(published.state_dict(), tmp_path / "aux.pth")
    network = plain(model, image_size=size, classes=9, source="./aux.pth", base=tmp_path)
    assert torch.equal(network.body.fc.weight, published.fc.weight)
    assert network.mean.flatten().tolist() == [0.5] * 3


def test_models_of_one_size_get_it():
    network = plain("vit_tiny_patch16_224", image_size=32)
    assert network.size == 224
    assert network.eval()(torch.rand(1, 1, 32, 32)).shape == (1, 4)
    assert plain("vit_tiny_patch16_224", input_size=32)(torch.rand(1, 3, 16, 16)).shape == (1, 4)


@pytest.mark.parametrize("file", FILES)
def test_every_real_file_loads_into_its_architecture(shared: Path, file):
    model, classes = FILES[file]
    args = {"pad_type": "same"} if model.startswith("mobilenetv2") else {}
    sources = {"own": SourceFile(path=file, mean=(0.5,), std=(0.5,))}
    state = torch.load(shared / "weights" / file, weights_only=True)

    def network(classes: int) -> Network:
        base = shared / "weights"
        return plain(
            model,
            image_size=32,
            classes=classes,
            source="own",
            sources=sources,
            base=base,
            model_args=args,
        )

    for count in {classes or 5, 3}:
        own = network(count)
        kept = {
            name
            for name in own.head
            if name in state and torch.equal(own.body.state_dict()[name], state[name])
        }
        assert kept == (own.head if count == classes else set())
        assert all(
            torch.equal(own.body.state_dict()[n], t) for n, t in state.items() if n not in own.head
        )
        assert own.mean.flatten().tolist() == [0.5]


def test_a_new_head_depends_on_the_seed_and_the_backbone_does_not(shared: Path):
    file = str(shared / "weights/resnet20.cifar10.pth")
    first, second = (plain("resnet20", source=file, seed=seed) for seed in (0, 1))
    for name, parameter in first.backbone_parameters():
        assert torch.equal(parameter, second.body.get_parameter(name))
    assert not torch.equal(first.body.linear.weight, second.body.linear.weight)


@pytest.mark.parametrize("classes", [2, 10, 1000])
def test_a_new_head_begins_undecided_however_few_the_classes(shared: Path, classes):
    """timm's own initialisation of this head has a first loss of 10 and more for two classes."""
    sources = {
        "file": SourceFile(
            path=str(shared / "weights/mobilenetv2_035.imagenet.pth"), mean=(0.5,), std=(0.5,)
        )
    }
    node = Node(model="mobilenetv2_035", source="file", model_args={"pad_type": "same"})
    network = build(node, sources, classes=classes, image_size=96, mean=[0.5], std=[0.5], seed=0)
    images = torch.rand(16, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        loss = nn.functional.cross_entropy(network.train()(images), torch.arange(16) % classes)
    assert loss.item() == pytest.approx(np.log(classes), abs=0.5)


def test_real_imagenet_weights_know_cats_from_dogs(shared: Path):
    """ImageNet's classes 151 to 268 are dogs, 281 to 285 cats: proves padding, normalisation and order of classes."""
    sources = {
        "real": SourceFile(path="weights/mobilenetv2_100.imagenet.pth", mean=(0.5,), std=(0.5,))
    }
    args = {"pad_type": "same"}
    network = plain(
        "mobilenetv2_100",
        classes=1000,
        input_size=160,
        source="real",
        sources=sources,
        base=shared,
        model_args=args,
    ).eval()
    right = []
    for kind, labels in {"dog": range(151, 269), "cat": range(281, 286)}.items():
        for file in sorted((shared / "data/cats_dogs" / kind).iterdir())[:30]:
            pixels = (
                torch.from_numpy(np.array(Image.open(file).convert("RGB"))).permute(2, 0, 1)[None]
                / 255
            )
            with torch.inference_mode():
                right.append(network(pixels).argmax().item() in labels)
    assert np.mean(right) > 0.8


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"model": "resnet9"}, SpecError, r"^nodes\.n0\.model: 'resnet9' is not a model"),
        (
            {"model": "resnet9", "source": "imagenet"},
            SpecError,
            r"^nodes\.n0\.model: 'resnet9' is not a model",
        ),
        (
            {"source": "imagenet"},
            SpecError,
            r"^nodes\.n0\.source: no ImageNet weights are published",
        ),
        ({"source": "./gone.pth"}, SpecError, r"^nodes\.n0\.source: there is no file"),
        ({"source": "./empty.pth"}, WeightsError, r"empty\.pth: is empty"),
        (
            {"model_args": {"deep": True}},
            SpecError,
            r"^nodes\.n0\.model_args: resnet8 does not take deep: True",
        ),
        (
            {"model": "alexnet"},
            SpecError,
            r"^nodes\.n0\.input_size: alexnet cannot take images of 16x16",
        ),
    ],
)
def test_mistakes_are_named_at_their_place(tmp_path: Path, fields, error, message):
    (tmp_path / "empty.pth").touch()
    with pytest.raises(error, match=message):
        plain(**fields, base=tmp_path)
