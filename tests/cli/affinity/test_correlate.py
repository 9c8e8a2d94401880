"""`ktg affinity correlate` as a user meets it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from ktg.cli.affinity import affinity
from ktg.errors import UserError

TABLES = Path(__file__).parents[2] / "affinity" / "tables"


def call(*arguments: object) -> str:
    done = CliRunner().invoke(
        affinity, [str(argument) for argument in arguments], catch_exceptions=False
    )
    assert done.exit_code == 0, done.output
    return done.stdout


def test_correlate_prints_figures_conventions_and_warnings():
    text = call("correlate", TABLES / "caltech101.csv", "--tau-rank", "accuracy")
    for figure in ("0.863", "0.819", "-0.565", "0.878", "0.929"):
        assert figure in text
    assert "by accuracy" in text
    assert "Against the intended direction: s5" in text


def test_correlate_as_json_with_groups():
    found = json.loads(
        call("correlate", TABLES / "tmlr_benchmark.csv", "--group", "dataset", "--json")
    )
    logme = found["scores"]["logme"]
    assert set(logme) == {
        "spearman",
        "weighted_tau",
        "kendall",
        "pearson",
        "regret",
        "interval",
        "groups",
    }
    assert len(logme["groups"]) == 11
    assert round(logme["groups"]["sun397"]["spearman"], 3) == 0.855
    assert found["baselines"] == {"imagenet": {"beats": 12, "of": 13}}
    assert found["tau_rank"] == "none"


def test_nothing_is_cut_at_eighty_columns(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    text = call("correlate", TABLES / "tmlr_benchmark.csv", "--group", "dataset", "--each")
    assert chr(0x2026) not in text
    assert {"Spearman", "Kendall", "Pearson", "regret"} <= set(text.split())


@pytest.mark.slow
def test_correlate_shows_each_group_on_request():
    table = TABLES / "tmlr_benchmark.csv"
    text = call("correlate", table, "--group", "dataset", "--each")
    assert "Spearman in each group" in text
    assert "0.855" in text
    assert "Spearman in each group" not in call("correlate", table, "--group", "dataset")
    with pytest.raises(UserError, match="only with --group"):
        call("correlate", table, "--each")


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
    [
        (["--accuracy", "acc"], "no column 'acc'"),
        (["--group", "set"], "no column 'set'"),
        (["--baseline", "x"], "'x'"),
    ],
)
def test_a_mistake_is_a_user_error(options, problem):
    with pytest.raises(UserError, match=problem):
        call("correlate", TABLES / "caltech101.csv", *options)


@pytest.mark.slow
def test_correlate_needs_no_torch():
    code = (
        "import sys; from click.testing import CliRunner; from ktg.cli.affinity import affinity;"
        f"table = {str(TABLES / 'caltech101.csv')!r};"
        "CliRunner().invoke(affinity, ['correlate', table], catch_exceptions=False);"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env=dict(os.environ),
    )
    assert (done.stderr, done.returncode) == ("", 0)
