"""`ktg affinity study` as a user meets it."""

import json

import pytest
from click.testing import CliRunner

from ktg.cli.affinity import affinity
from ktg.errors import UserError

SPACE = """\
data: {name: digits, per_class: 4, batch_size: 20, augment: none SPLIT}
train: {epochs: 2, lr: 0.05}
nodes:
  n0: {model: {choice: [resnet8, resnet14, resnet20]}}
edges: {label -> n0: {}}
"""


@pytest.fixture
def spaces(tmp_path, one_thread):
    for name, change in (("a", ""), ("b", ", split_seed: 1")):
        (tmp_path / f"{name}.yaml").write_text(SPACE.replace(" SPLIT", change))
    return tmp_path / "a.yaml", tmp_path / "b.yaml"


def call(*arguments: object) -> str:
    words = ["study", "--device", "cpu", "--seeds", "1", *map(str, arguments)]
    done = CliRunner().invoke(affinity, words, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.slow
def test_a_study_writes_a_table_that_correlate_reads(spaces, tmp_path, quiet):
    text = " ".join(call(*spaces, "-o", tmp_path / "t.csv", "--plots", tmp_path / "plots").split())
    assert "Accuracy after fine-tuning (validation split)" in text
    assert "means over 2 groups, 6 rows" in text
    assert (tmp_path / "plots" / "correlations.svg").read_bytes().startswith(b"<?xml")
    words = ["correlate", str(tmp_path / "t.csv"), "--group", "dataset", "--json"]
    again = json.loads(CliRunner().invoke(affinity, words, catch_exceptions=False).stdout)
    found = json.loads(call(*spaces, "--json"))
    assert found["scores"] == again["scores"]
    assert set(found["scores"]["knn"]["groups"]) == {"a", "b"}
    assert len(found["rows"]) == 6
    parent = next(iter(quiet[0].runs.values()))
    assert parent.state == "finished"
    assert {"table.csv", "study.json", "plots/correlations.svg"} <= parent.artifacts.keys()
    assert parent.artifacts["table.csv"] == (tmp_path / "t.csv").read_text()


@pytest.mark.slow
def test_candidates_may_be_named(spaces, quiet):
    among = [
        word
        for model in ("resnet8", "resnet14", "resnet20")
        for word in ("--among", f"{model}@none")
    ]
    rows = json.loads(call(spaces[0], *among, "--json"))["rows"]
    assert [row["candidate"] for row in rows] == ["resnet8@none", "resnet14@none", "resnet20@none"]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--among", "resnet8@none"], "1 candidates; a correlation needs at least 3"),
        (["--among", "resnet9@none"], "is not a model"),
    ],
)
def test_mistakes_are_found_before_anything_is_trained(spaces, quiet, options, problem):
    with pytest.raises(UserError, match=problem):
        call(spaces[0], *options)
    with pytest.raises(UserError, match="two files of this name"):
        call(spaces[0], spaces[0])
    with pytest.raises(UserError, match="says nothing of how to train"):
        call("digits")
    assert not quiet
