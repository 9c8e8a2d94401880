"""Models are known by name without importing their libraries."""

import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ktg.errors import SpecError
from ktg.models.cifar import CIFAR_MODELS
from ktg.models.names import (
    check_model,
    list_library_models,
    list_models,
    list_tags,
    locate_model,
    shorten_architecture,
    shorten_model,
)


def test_the_scan_finds_what_timm_registers():
    import timm

    assert list_library_models("timm") == set(timm.list_models())


def test_the_scan_finds_what_torchvision_registers_for_classification():
    import torchvision

    assert list_library_models("torchvision") == set(
        torchvision.models.list_models(module=torchvision.models)
    )


def test_the_cifar_names_are_those_that_can_be_built():
    assert list_library_models("ktg") == set(CIFAR_MODELS)


def test_names_cost_neither_torch_nor_time():
    code = (
        "import sys, time; import ktg.models.names as names; start = time.perf_counter();"
        "names.list_models(); heavy = {'torch', 'timm', 'torchvision', 'numpy'};"
        "print(time.perf_counter() - start, *heavy & set(sys.modules))"
    )
    seconds, *imported = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True
    ).stdout.split()
    assert not imported
    assert float(seconds) < 0.3


def test_a_second_look_is_free():
    list_models()
    start = time.perf_counter()
    list_models()
    assert time.perf_counter() - start < 0.01


@pytest.mark.parametrize(
    ("name", "located"),
    [
        ("resnet32", ("ktg", "resnet32")),
        ("resnet50", ("timm", "resnet50")),
        ("torchvision/resnet50", ("torchvision", "resnet50")),
        ("timm/resnet50", ("timm", "resnet50")),
        ("googlenet", ("torchvision", "googlenet")),
        ("timm/googlenet", None),
        ("ktg/resnet32", None),
        ("torchvision/fasterrcnn_resnet50_fpn", None),
        ("fcn_resnet50", None),
        ("quantized_resnet50", None),
        ("", None),
        ("/", None),
    ],
)
def test_locate(name, located):
    assert locate_model(name) == located


@pytest.mark.parametrize(
    ("got", "meant"),
    [
        ("ResNet32", "resnet32"),
        ("mobilenet_v22", "mobilenet_v2"),
        ("timm/resnet5o", "timm/resnet50"),
    ],
)
def test_an_unknown_model_is_answered_with_the_nearest(got, meant):
    with pytest.raises(
        SpecError, match=rf"^nodes\.n0\.model: '{got}' is not a model; .*Did you mean '{meant}'\?$"
    ):
        check_model(got, "nodes.n0.model")


@given(st.text(max_size=30))
def test_any_text_is_a_known_model_or_a_spec_error(name):
    if locate_model(name) is None:
        with pytest.raises(SpecError, match="is not a model"):
            check_model(name, "nodes.n0.model")
    else:
        check_model(name, "nodes.n0.model")


def test_the_shortest_name_of_a_model_means_the_same_model():
    assert shorten_model("timm/resnet18") == shorten_model("resnet18") == "resnet18"
    assert (
        shorten_model("torchvision/resnet18") == "torchvision/resnet18"
    )  # the bare name is timm's
    assert shorten_model("torchvision/alexnet") == "alexnet"
    for name in [
        *list_models(),
        *(f"torchvision/{name}" for name in list_library_models("torchvision")),
    ]:
        assert locate_model(shorten_model(name)) == locate_model(name)


def test_nearly_all_tags_of_timm_are_found_in_its_text():
    from timm.models._registry import _model_pretrained_cfgs

    tagged = [name.split(".", 1) for name in _model_pretrained_cfgs if "." in name]
    lost = [name for name, tag in tagged if tag not in list_tags(name)]
    assert len(lost) < 0.02 * len(tagged), lost


@pytest.mark.parametrize(
    "name", ["resnet18.a1_in1k", "timm/resnet18.a1_in1k", "hf-hub:timm/resnet18.a1_in1k"]
)
def test_a_tag_names_the_weights_of_a_network(name):
    assert locate_model(name) == ("timm", "resnet18.a1_in1k")
    assert shorten_model(name) == "resnet18.a1_in1k"
    assert shorten_architecture(name) == "resnet18"
    check_model(name, "model")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("resnet18.a1_in2k", "no weights 'a1_in2k' of resnet18; allowed: .* mean 'a1_in1k'"),
        ("torchvision/resnet18.a1_in1k", "is not a model"),
        ("resnet8.x", "'resnet8.x' is not a model"),
        ("hf-hub:me/birds", "as in `model: resnet18, source: hf-hub:me/birds`"),
    ],
)
def test_a_tag_or_repository_that_names_no_network(name, said):
    assert locate_model(name) is None
    with pytest.raises(SpecError, match=said):
        check_model(name, "nodes.n0.model")


def test_the_network_of_other_names_is_the_name():
    for name in ("resnet8", "torchvision/resnet18", "resnet18", "nonsense"):
        assert shorten_architecture(name) == name
