import math
from pathlib import Path

import pytest

from ktg.errors import UserError
from ktg.tracking import UsedData
from ktg.tracking.records import Artifact, End, Log, Start, load, save


def test_a_file_gives_back_the_same_records(tmp_path):
    data = UsedData(name="birds", fingerprint="0f", source="/data/birds", counts={"classes": 2})
    records = [
        Start(run="s", name="search", parent=None, params={}, tags={}, data=data),
        Start(
            run="a",
            name="trial",
            parent="p",
            params={"lr": 0.1, "gate": "linear", "on": True},
            tags={"k": "ü\n"},
        ),
        Log(run="a", metrics={"loss": math.inf, "acc": 0.25}, step=3),
        Artifact(run="a", name="graph.svg", content=b"\x00\xff<svg/>"),
        Artifact(run="a", name="model.bin", content=tmp_path / "model.bin"),
        End(run="a", state="failed", tags={"reason": "out of memory"}),
    ]
    save(tmp_path / "left.jsonl", "my space", "sqlite:////mlflow.db", records)
    assert load(tmp_path / "left.jsonl") == ("my space", records)


@pytest.mark.parametrize(
    "text", ["", "{}", "[1]", '{"experiment": "e"}\n{"record": "Nonsense"}\n', "\x00"]
)
def test_another_file_is_a_users_mistake(tmp_path, text):
    path = tmp_path / "x.jsonl"
    path.write_text(text)
    with pytest.raises(UserError, match="not a file of undelivered"):
        load(path)


def test_no_file_is_a_users_mistake():
    with pytest.raises(UserError, match="cannot be read"):
        load(Path("/nonexistent/x.jsonl"))
