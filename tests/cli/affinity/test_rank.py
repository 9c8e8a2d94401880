"""`ktg affinity rank` as a user meets it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from ktg.cli.affinity import affinity
from ktg.errors import UserError


def call(*arguments: object) -> str:
    done = CliRunner().invoke(
        affinity, [str(argument) for argument in arguments], catch_exceptions=False
    )
    assert done.exit_code == 0, done.output
    return done.stdout


def ranked(tiny: Path, tmp_path: Path, *arguments: object) -> str:
    store = f"sqlite:///{tmp_path / 'runs.db'}"
    return call(
        "rank", tiny, "--sample", "40", "--device", "cpu", "--tracking-uri", store, *arguments
    )


def test_rank_sorts_says_what_is_missing_and_records(tiny, tmp_path, quiet):
    among = ("--among", "resnet8@none", "--among", "resnet14@none")
    text = ranked(tiny, tmp_path, *among, "-o", tmp_path / "plots")
    assert "By parc, beside the baselines" in text
    assert "Not applicable to 1, 2: leep needs a source with a head" in " ".join(text.split())
    assert (tmp_path / "plots" / "ranking.svg").read_bytes().startswith(b"<?xml")
    assert next(iter(quiet[0].runs.values())).name == str(tiny)
    assert len(quiet[0].runs) == 3


def test_rank_as_json_goes_on_past_a_candidate_that_cannot_be_measured(tiny, tmp_path, quiet):
    wrong = tmp_path / "wrong.pth"
    wrong.write_bytes(b"PK no weights")
    found = json.loads(
        ranked(
            tiny,
            tmp_path,
            "--among",
            f"resnet8@{wrong}",
            "--among",
            "resnet8@none",
            "--score",
            "knn",
            "--json",
        )
    )
    assert list(found["candidates"]) == ["resnet8@none"]
    assert "wrong.pth" in found["not_measured"]["resnet8@wrong.pth"]
    assert 0 <= found["candidates"]["resnet8@none"]["scores"]["knn"] <= 1


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["digit", "--among", "resnet8@none"], "Did you mean 'digits'"),
        (["digits", "--among", "resnet8@none", "--score", "logm"], "Did you mean 'logme'"),
        (["digits", "--among", "resnet8"], "not MODEL@SOURCE"),
        (["digits", "--among", "resnet8@none", "--device", "gpu"], "not a device"),
    ],
)
def test_rank_refuses_mistakes_before_it_measures(arguments, problem, tmp_path, quiet):
    with pytest.raises(UserError, match=problem):
        call("rank", *arguments, "--tracking-uri", f"sqlite:///{tmp_path / 'runs.db'}")
    assert not quiet or not quiet[0].runs


def test_rank_takes_data_and_sources_of_a_graph(tiny, tmp_path, quiet):
    import torch

    from ktg.graph import Node
    from ktg.models.build import build_network

    net = build_network(
        Node(model="resnet8"), {}, classes=3, image_size=8, mean=[0.5], std=[0.5], seed=0
    )
    torch.save(net.body.state_dict(), tmp_path / "w.pth")
    graph = tmp_path / "graph.yaml"
    graph.write_text(
        f"data: {{path: {tiny}}}\nsources:\n  mine: {{path: {tmp_path / 'w.pth'}}}\n"
        "nodes:\n  n0: {model: resnet8}\nedges:\n  label -> n0: {loss: ce, gate: through}\n"
    )
    found = json.loads(
        call(
            "rank", graph, "--among", "resnet8@mine", "--sample", "40", "--device", "cpu", "--json"
        )
    )
    assert "leep" in found["candidates"]["resnet8@mine"]["scores"]


SPACE = """\
data: {path: TINY}
nodes:
  n0: {model: {choice: [resnet8, resnet14]}, source: none}
edges: {label -> n0: {}}
"""


def test_rank_takes_the_candidates_of_a_space(tiny, tmp_path, quiet):
    (tmp_path / "space.yaml").write_text(SPACE.replace("TINY", str(tiny)))
    found = json.loads(
        call("rank", tmp_path / "space.yaml", "--sample", "40", "--device", "cpu", "--json")
    )
    assert set(found["candidates"]) == {"resnet8@none", "resnet14@none"}
    assert found["candidates"]["resnet8@none"]["source_accuracy"] == 0
    with pytest.raises(UserError, match="--among: name the candidates"):
        call("rank", tiny, "--json")


@pytest.fixture
def named_source(tiny, tmp_path):
    """A graph of data of 4 classes, with a source of 2 classes that has names and an accuracy."""
    import torch

    from ktg.graph import Node
    from ktg.models.build import build_network

    net = build_network(
        Node(model="resnet8"), {}, classes=2, image_size=8, mean=[0.5], std=[0.5], seed=0
    )
    torch.save(net.body.state_dict(), tmp_path / "w.pth")
    (tmp_path / "names.txt").write_text("cat\ndog\n")
    (tmp_path / "graph.yaml").write_text(
        f"data: {{path: {tiny}}}\n"
        "sources:\n  mine: {path: w.pth, labels: names.txt, accuracy: 0.75}\n"
        "nodes:\n  n0: {model: resnet8, source: mine}\nedges:\n  label -> n0: {}\n"
    )
    return tmp_path / "graph.yaml"


def test_distances_between_names_bring_emd(named_source, tmp_path, quiet):
    (tmp_path / "d.csv").write_text("source,0,1,2,3\ncat,1,1,1,1\ndog,1,1,1,1\n")
    table = call(
        "rank", named_source, "--distances", tmp_path / "d.csv", "--score", "emd", "--device", "cpu"
    )
    assert "0.75" in table
    among = ("--among", "resnet8@mine", "--among", "resnet8@none")
    found = json.loads(
        call("rank", named_source, *among, "--distances", tmp_path / "d.csv", "--json")
    )
    assert found["candidates"]["resnet8@mine"]["scores"]["emd"] == pytest.approx(1, abs=1e-6)
    assert "emd" in found["candidates"]["resnet8@none"]["not_applicable"]
    assert (
        "emd"
        not in json.loads(call("rank", named_source, "--json"))["candidates"]["resnet8@mine"][
            "scores"
        ]
    )


def test_embeddings_without_the_words_are_a_mistake(named_source, tmp_path, quiet):
    (tmp_path / "e.txt").write_text("cat 1 0\ndog 0 1\n")
    with pytest.raises(UserError, match="has no word of these class names: 0, 1, 2, 3"):
        call("rank", named_source, "--embeddings", tmp_path / "e.txt", "--device", "cpu")
    with pytest.raises(UserError, match="give one of them"):
        call(
            "rank",
            named_source,
            "--embeddings",
            tmp_path / "e.txt",
            "--distances",
            tmp_path / "e.txt",
        )


def test_names_that_do_not_fit_the_head_are_said(named_source, tmp_path, quiet):
    (tmp_path / "names.txt").write_text("cat\n")
    (tmp_path / "d.csv").write_text("source,0,1,2,3\ncat,1,1,1,1\n")
    text = " ".join(
        call("rank", named_source, "--distances", tmp_path / "d.csv", "--device", "cpu").split()
    )
    assert "emd: not for resnet8@mine: its source has 2 classes, and 1 names are known" in text
