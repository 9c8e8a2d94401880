"""Machines of a cluster that could not train are named before anything is spent."""

from pathlib import Path

import pytest

from ktg.errors import UserError
from ktg.graph import parse
from ktg.searching import cluster_check
from ktg.searching.cluster_check import check_machines, inspect_machine
from ktg.version import __version__

GRAPH = parse(
    {
        "data": {"path": "/data/birds"},
        "sources": {"mine": {"path": "/weights/mine.pth"}},
        "nodes": {"n0": {"model": "resnet18", "source": "mine"}},
        "edges": {"label -> n0": {}},
    }
)


def test_what_a_node_sees(tmp_path):
    """That nodes are really asked is seen in `test_faults`, where there are two."""
    here, gone = str(tmp_path), str(tmp_path / "gone")
    assert inspect_machine([here, gone]) == (__version__, [gone])


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            ("0.0.1", []),
            f"node 10.0.0.2: has ktg 0.0.1, and this is {__version__}; all machines need the same",
        ),
        ((__version__, ["/data/birds"]), "node 10.0.0.2: does not see /data/birds; put the files"),
        (
            ImportError("Traceback\nNo module named 'ktg'\n"),
            "node 10.0.0.2: cannot run ktg (No module named 'ktg');",
        ),
    ],
)
def test_a_node_that_cannot_train_is_a_mistake(monkeypatch, tmp_path, answer, said):
    answers = {"10.0.0.1": (__version__, []), "10.0.0.2": answer}
    monkeypatch.setattr(cluster_check, "ask_machines", lambda ray, paths: answers)
    with pytest.raises(UserError) as raised:
        check_machines(None, [GRAPH], tmp_path, pytest.fail)
    assert str(raised.value).startswith(said)


def test_a_node_that_does_not_see_the_storage_is_warned_of(monkeypatch, tmp_path):
    def answer(ray, paths):
        return {"10.0.0.1": (__version__, paths[-1:])}

    monkeypatch.setattr(cluster_check, "ask_machines", answer)
    warnings: list[str] = []
    check_machines(None, [GRAPH], tmp_path / "new", warnings.append)
    assert warnings[0].startswith(
        f"node 10.0.0.1 does not see {tmp_path}/new: a trial whose machine is lost starts again"
    )
    assert Path(tmp_path, "new").is_dir()
