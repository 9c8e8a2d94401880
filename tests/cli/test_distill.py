"""`ktg distill`: one sentence, JSON, a file that trains again; mistakes are one sentence."""

import json

import pytest
from command import ktg


@pytest.mark.slow
def test_it_prints_a_sentence_and_the_report_has_the_comparison(searched, tmp_path):
    out = tmp_path / "small"  # the folder of the search is looked at by other tests
    command = ("distill", "a search", "--out", out, "--seeds", "1", "--device", "cpu")
    done = ktg(*command, "--json", folder=searched.folder)
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert found["kept"] in ("distilled", "alone")
    assert found["seeds"] == 1
    again = ktg(*command, folder=searched.folder)
    assert again.code == 2
    assert "is there already; give --force" in again.err
    (out / "report.html").write_text("of the model that was there")
    again = ktg(*command, "--force", folder=searched.folder)
    assert again.code == 0, again.err
    assert not (out / "report.html").exists()
    assert again.out.strip().splitlines()[-1] == found["sentence"]
    checked = ktg("check", out / "best.yaml", folder=searched.folder)
    assert checked.code == 0, checked.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nothing",), "there is no MLflow store"),
        (("x", "--budget", "soon"), "--budget: 'soon' is no time"),
        (("x", "--seeds", "0"), "--seeds"),
        (("x", "--out", "a/b/c"), "--out: there is no folder"),
    ],
)
def test_a_mistake_is_one_sentence(tmp_path, arguments, said):
    done = ktg("distill", *arguments, folder=tmp_path)
    assert done.code == 2
    assert said in done.err
    assert "Traceback" not in done.err
    assert not list(tmp_path.iterdir())
