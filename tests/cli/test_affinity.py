"""`ktg affinity` as a user meets it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from ktg.cli.affinity import affinity
from ktg.errors import UserError

TABLES = Path(__file__).parents[1] / "affinity" / "tables"


def call(*arguments: object) -> str:
    done = CliRunner().invoke(affinity, [str(argument) for argument in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_correlate_prints_figures_conventions_and_warnings():
    text = call("correlate", TABLES / "caltech101.csv", "--tau-rank", "accuracy")
    for figure in ("0.863", "0.819", "-0.565", "0.878", "0.929"):
        assert figure in text
    assert "by accuracy" in text
    assert "Against the intended direction: s5" in text


def test_correlate_as_json_with_groups():
    found = json.loads(call("correlate", TABLES / "tmlr_benchmark.csv", "--group", "dataset", "--json"))
    logme = found["scores"]["logme"]
    assert set(logme) == {"spearman", "weighted_tau", "kendall", "pearson", "regret", "interval", "groups"}
    assert len(logme["groups"]) == 11
    assert round(logme["groups"]["sun397"]["spearman"], 3) == 0.855
    assert found["baselines"] == {"imagenet": {"beats": 12, "of": 13}}
    assert found["tau_rank"] == "none"


def test_correlate_says_what_is_constant(tmp_path):
    table = tmp_path / "t.csv"
    table.write_text("model,flat,s,accuracy\na,1,1,0.1\nb,1,2,0.2\nc,1,0,0.3\n")
    assert "Undefined, because the column is constant: flat" in call("correlate", table)
    assert json.loads(call("correlate", table, "--json"))["scores"]["flat"]["spearman"] is None


def test_correlate_draws(tmp_path):
    text = call("correlate", TABLES / "caltech101.csv", "-o", tmp_path / "new" / "plots")
    assert "6 drawings" in text
    assert {path.name for path in (tmp_path / "new" / "plots").iterdir()} == {
        *(f"s{number}.svg" for number in range(1, 6)),
        "correlations.svg",
    }


@pytest.mark.parametrize(
    ("options", "problem"),
    [(["--accuracy", "acc"], "no column 'acc'"), (["--group", "set"], "no column 'set'"), (["--baseline", "x"], "'x'")],
)
def test_a_mistake_is_a_user_error(options, problem):
    with pytest.raises(UserError, match=problem):
        call("correlate", TABLES / "caltech101.csv", *options)


def test_correlate_needs_no_torch():
    code = (
        "import sys; from click.testing import CliRunner; from ktg.cli.affinity import affinity;"
        f"CliRunner().invoke(affinity, ['correlate', {str(TABLES / 'caltech101.csv')!r}], catch_exceptions=False);"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=dict(os.environ)
    )
    assert (done.stderr, done.returncode) == ("", 0)


def ranked(tiny: Path, tmp_path: Path, *arguments: object) -> str:
    store = f"sqlite:///{tmp_path / 'runs.db'}"
    return call("rank", tiny, "--sample", "40", "--device", "cpu", "--tracking-uri", store, *arguments)


@pytest.fixture
def quiet(monkeypatch, tmp_path):
    """Keep records in memory: what reaches MLflow is tested with the tracker."""
    import ktg.tracking
    from ktg.tracking import MemoryTracker

    trackers = []

    class Kept(MemoryTracker):
        def __init__(self, *_, **__):
            super().__init__()
            trackers.append(self)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            return None

    monkeypatch.setattr(ktg.tracking, "MlflowTracker", Kept)
    monkeypatch.setenv("KTG_CACHE", str(tmp_path / "cache"))
    return trackers


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
        ranked(tiny, tmp_path, "--among", f"resnet8@{wrong}", "--among", "resnet8@none", "--score", "knn", "--json")
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

    from ktg.models.network import build
    from ktg.spec import Node

    net = build(Node(model="resnet8"), {}, classes=3, image_size=8, mean=[0.5], std=[0.5], seed=0)
    torch.save(net.body.state_dict(), tmp_path / "w.pth")
    graph = tmp_path / "graph.yaml"
    graph.write_text(
        f"data: {{path: {tiny}}}\nsources:\n  mine: {{path: {tmp_path / 'w.pth'}}}\n"
        "nodes:\n  n0: {model: resnet8}\nedges:\n  label -> n0: {loss: ce, gate: through}\n"
    )
    found = json.loads(call("rank", graph, "--among", "resnet8@mine", "--sample", "40", "--device", "cpu", "--json"))
    assert "leep" in found["candidates"]["resnet8@mine"]["scores"]
