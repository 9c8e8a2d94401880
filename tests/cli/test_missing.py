"""Weights that are not there: files that stand for ImageNet's, and options that are left out."""

import json

import pytest
import torch
from command import ktg
from huggingface_hub import constants

from ktg.api.affinity import add_imagenet, measure, read_input
from ktg.graph import Node
from ktg.models.architectures import build_body

FREE = "n1: {model: {choice: [resnet8, resnet14]}, source: {choice: [imagenet, none, zoo/animals]}}"


@pytest.fixture(autouse=True)
def _offline(tmp_path_factory, monkeypatch):
    empty = tmp_path_factory.mktemp("empty")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(empty / "hf"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setenv("KTG_ZOO", str(empty / "zoo"))


@pytest.fixture
def room(room):
    """A space and a graph that start from ImageNet weights, and a file that stands for them."""
    for name, node in (("space", FREE), ("graph", "n1: {model: resnet8, source: imagenet}")):
        file = room / f"{name}.yaml"
        file.write_text(file.read_text().replace("n1: {model: resnet8}", node))
    torch.save(build_body(Node(model="resnet8"), classes=10, size=32).state_dict(), room / "r.pth")
    return room


@pytest.mark.parametrize("command", ["search", "check"])
def test_a_search_stops_before_it_starts(refused, command):
    said = refused(command, "space.yaml")
    assert said.startswith(
        "space.yaml: nodes.n1.source.choice[0] (imagenet): no ImageNet weights are published for "
    )
    assert "(also: nodes.n1.source.choice[2] (zoo/animals)); `--missing-sources drop`" in said


def test_check_says_what_a_search_would_do_without(room):
    words = ["check", "space.yaml", "--missing-sources", "drop", "--json"]
    found = json.loads(ktg(*words, folder=room).out)["without"]
    assert list(found) == [
        "nodes.n1.source.choice[0] (imagenet)",
        "nodes.n1.source.choice[2] (zoo/animals)",
    ]
    found = json.loads(ktg(*words, "--weights", "resnet8=r.pth", folder=room).out)["without"]
    assert list(found) == [
        "nodes.n1.source.choice[2] (zoo/animals)",
        "nodes.n1: resnet14 from imagenet",
    ]
    shown = ktg(*words[:-1], folder=room).out
    assert (
        "without\n  nodes.n1.source.choice[0] (imagenet) dropped: no ImageNet weights are published"
        in shown
    )


@pytest.mark.slow
def test_a_search_without_what_is_missing_says_so_and_its_graphs_train_again(room):
    words = ["--missing-sources", "drop", "--imagenet", "resnet8=r.pth", "--trials", "2"]
    done = ktg("search", "space.yaml", *words, folder=room)
    assert done.code == 0, done.err
    assert "nodes.n1.source.choice[2] (zoo/animals) dropped: " in done.out
    assert "nodes.n1: resnet14 from imagenet never tried: " in done.out
    assert ktg("export", "space", "-o", "best.yaml", folder=room).code == 0
    assert ktg("check", "best.yaml", folder=room).code == 0


def test_a_graph_takes_its_file_from_the_command_line_or_from_its_own_section(room, refused):
    assert "no ImageNet weights are published for 'resnet8'" in refused("check", "graph.yaml")
    assert ktg("check", "graph.yaml", "--imagenet", "resnet8=r.pth", folder=room).code == 0
    file = room / "graph.yaml"
    file.write_text(f"weights: {{resnet8: r.pth}}\n{file.read_text()}")
    (room / "below").mkdir()
    assert ktg("check", "../graph.yaml", folder=room / "below").code == 0


@pytest.mark.parametrize(
    "command", [["check", "graph.yaml"], ["train", "graph.yaml"], ["search", "space.yaml"]]
)
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("resnet8", ": 'resnet8' is not MODEL=FILE"),
        ("=r.pth", ": '=r.pth' is not MODEL=FILE"),
        ("resnet9=r.pth", ": 'resnet9' is not a model"),
        ("resnet8=gone.pth", "--imagenet resnet8: there is no file"),
        ("resnet8=tiny.npz", "is not a weights file; allowed: .safetensors"),
        (
            "resnet20=r.pth",
            "--imagenet resnet20: no node starts 'resnet20' from imagenet; models that do: resnet",
        ),
    ],
)
def test_a_file_that_cannot_stand_for_imagenet(refused, command, given, said):
    assert said in refused(*command, "--imagenet", given)


def test_two_files_for_one_model(refused):
    said = refused(
        "check", "graph.yaml", "--imagenet", "resnet8=r.pth", "--imagenet", "resnet8=s.pth"
    )
    assert said == "--weights: two files are given for resnet8; a model has one"


@pytest.mark.parametrize(
    ("section", "said"),
    [
        ("resnet9: r.pth", "graph.yaml: weights.resnet9: 'resnet9' is not a model"),
        ("resnet8: gone.pth", "graph.yaml: weights.resnet8: there is no file"),
        (
            "timm/resnet18: r.pth",
            "graph.yaml: weights.timm/resnet18: no node starts 'timm/resnet18' from imagenet",
        ),
        ("resnet14: r.pth", "models that do: resnet8. Did you mean 'resnet8'?"),
    ],
)
def test_a_wrong_entry_of_the_section(room, refused, section, said):
    file = room / "graph.yaml"
    file.write_text(f"weights: {{{section}}}\n{file.read_text()}")
    assert said in refused("check", "graph.yaml")


def test_affinity_ranks_a_file_that_stands_for_imagenet(room, refused):
    words = ["affinity", "rank", "tiny.npz", "--among", "resnet8@imagenet"]
    assert "no ImageNet weights are published for 'resnet8'" in refused(*words)
    assert "--imagenet resnet14: no node" in refused(
        *words, "--imagenet", "resnet8=r.pth", "--imagenet", "resnet14=r.pth"
    )
    given, candidates = add_imagenet(
        read_input(str(room / "tiny.npz")), {"resnet8": str(room / "r.pth")}, words[-1:]
    )
    found, failed = measure(given, candidates, 50, 0, "cpu")
    assert (list(found), failed) == (["resnet8@imagenet"], {})
