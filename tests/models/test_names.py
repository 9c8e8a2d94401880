import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zoos import filled

from ktg.errors import SpecError
from ktg.graph import SourceFile
from ktg.models.cifar import CIFAR_MODELS
from ktg.models.names import (
    check_model,
    check_source,
    entry_name,
    known_models,
    library_models,
    locate,
    locate_file,
    shortest,
)


def test_the_scan_finds_what_timm_registers():
    import timm

    assert library_models("timm") == set(timm.list_models())


def test_the_scan_finds_what_torchvision_registers_for_classification():
    import torchvision

    assert library_models("torchvision") == set(
        torchvision.models.list_models(module=torchvision.models)
    )


def test_the_cifar_names_are_those_that_can_be_built():
    assert library_models("ktg") == set(CIFAR_MODELS)


def test_names_cost_neither_torch_nor_time():
    code = (
        "import sys, time; import ktg.models.names as n; start = time.perf_counter(); n.known_models();"
        "print(time.perf_counter() - start, *{'torch', 'timm', 'torchvision', 'numpy'} & set(sys.modules))"
    )
    seconds, *imported = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True
    ).stdout.split()
    assert not imported
    assert float(seconds) < 0.3


def test_a_second_look_is_free():
    known_models()
    start = time.perf_counter()
    known_models()
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
    assert locate(name) == located


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
    if locate(name) is None:
        with pytest.raises(SpecError, match="is not a model"):
            check_model(name, "nodes.n0.model")
    else:
        check_model(name, "nodes.n0.model")


def test_sources_are_none_imagenet_named_files_and_paths(tmp_path: Path):
    (tmp_path / "birds.pth").write_bytes(b"x")
    sources = {"birds": SourceFile(path="birds.pth")}
    for source in ("none", "imagenet"):
        assert locate_file(source, sources, "p", tmp_path) is None
    for source in ("birds", "birds.pth", "./birds.pth", str(tmp_path / "birds.pth")):
        assert locate_file(source, sources, "p", tmp_path) == tmp_path / "birds.pth"


def test_a_file_may_stand_in_for_imagenet(tmp_path: Path):
    (tmp_path / "a.pth").write_bytes(b"x")
    sources = {"imagenet": SourceFile(path="a.pth")}
    assert locate_file("imagenet", sources, "p", tmp_path) == tmp_path / "a.pth"
    check_source("imagenet", sources, "p", tmp_path, "resnet20")


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            "imagnet",
            r"^p: 'imagnet' is not a source; allowed: none, imagenet, fractaldb, birds, zoo/NAME, .* mean 'imagenet'",
        ),
        ("birds", r"^sources\.birds\.path: there is no file gone\.pth in /"),
        ("sub/gone.pth", r"^p: there is no file sub/gone\.pth in /"),
        ("./folder", r"^p: \./folder is a folder"),
        ("./notes.txt", r"^p: \./notes\.txt is not a weights file; allowed: \.safetensors, \.pth"),
    ],
)
def test_a_source_that_is_not_there_is_a_spec_error(tmp_path: Path, source, message):
    (tmp_path / "folder").mkdir()
    (tmp_path / "notes.txt").touch()
    with pytest.raises(SpecError, match=message):
        check_source(source, {"birds": SourceFile(path="gone.pth")}, "p", tmp_path)


def test_nobody_publishes_imagenet_weights_of_cifar_networks():
    check_source("imagenet", {}, "p", model="resnet50")
    with pytest.raises(SpecError, match=r"^p: no ImageNet weights are published for .resnet32."):
        check_source("imagenet", {}, "p", model="resnet32")


def test_the_shortest_name_of_a_model_means_the_same_model():
    assert shortest("timm/resnet18") == shortest("resnet18") == "resnet18"
    assert shortest("torchvision/resnet18") == "torchvision/resnet18"  # the bare name is timm's
    assert shortest("torchvision/alexnet") == "alexnet"
    for name in [
        *known_models(),
        *(f"torchvision/{name}" for name in library_models("torchvision")),
    ]:
        assert locate(shortest(name)) == locate(name)


def test_entries_of_the_zoo_are_named_by_the_source_and_found_by_the_model(
    tmp_path: Path, monkeypatch
):
    zoo = filled(tmp_path, ("animals", "resnet18"), ("fractaldb", "resnet8"))
    monkeypatch.setenv("KTG_ZOO", str(zoo.folder))
    file = zoo.folder / "animals/resnet18.safetensors"
    for model in ("resnet18", "timm/resnet18"):
        assert locate_file("zoo/animals", {}, "p", tmp_path, model) == file
        check_source("zoo/animals", {}, "p", tmp_path, model)
    file = zoo.folder / "fractaldb/resnet8.safetensors"
    assert {
        locate_file(source, {}, "p", None, "resnet8") for source in ("fractaldb", "zoo/fractaldb")
    } == {file}
    assert locate_file("fractaldb", {}, "p") is None


def test_a_missing_entry_says_what_there_is_and_what_would_make_it(tmp_path: Path, monkeypatch):
    zoo = filled(tmp_path, ("animals", "resnet18"), ("fractaldb", "resnet8"))
    monkeypatch.setenv("KTG_ZOO", str(zoo.folder))
    where = f"^p: the zoo {zoo.folder} has no "
    with pytest.raises(
        SpecError,
        match=where + r"fractaldb for resnet18; .*animals, and fractaldb for resnet8\. Make it",
    ) as error:
        check_source("fractaldb", {}, "p", model="timm/resnet18")
    assert "`ktg source pretrain fractaldb --model timm/resnet18`" in str(error.value)
    with pytest.raises(
        SpecError,
        match=where + r"animls for resnet18; .* Did you mean 'animals'\? .*`ktg zoo list`",
    ):
        check_source("zoo/animls", {}, "p", model="resnet18")
    for source in ("zoo/", "zoo/../animals", "zoo/a/b"):
        with pytest.raises(SpecError, match=r"^p: .* cannot name an entry"):
            check_source(source, {}, "p", model="resnet18")


def test_files_and_names_of_the_users_own_come_before_the_zoo(tmp_path: Path):
    (tmp_path / "zoo").mkdir()
    (tmp_path / "zoo" / "x.pth").write_bytes(b"x")
    sources = {"fractaldb": SourceFile(path="zoo/x.pth")}
    assert locate_file("zoo/x.pth", {}, "p", tmp_path, "resnet8") == tmp_path / "zoo" / "x.pth"
    assert locate_file("fractaldb", sources, "p", tmp_path, "resnet8") == tmp_path / "zoo" / "x.pth"
    assert [
        entry_name(source, sources) for source in ("zoo/x.pth", "fractaldb", "zoo/x", "imagenet")
    ] == [
        None,
        None,
        "x",
        None,
    ]
