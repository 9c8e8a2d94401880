"""`ktg export`: the files, what is said of them, and an experiment that is not there."""

import json

from command import ktg


def test_the_files_and_the_next_three_commands(searched, tmp_path):
    done = ktg("export", "a search", "-o", "best.yaml", "--tracking-uri", searched.uri, folder=tmp_path)
    assert (done.code, done.err) == (0, "")
    best = searched.result["rows"][0]
    first, *_ = done.out.splitlines()
    assert first == f"best.yaml and best.svg: {best['trial']}, validation accuracy {100 * best['accuracy']:.2f} %"
    commands = [line.split("#")[0].strip() for line in done.out.splitlines() if line.startswith("  ktg ")]
    assert commands == ["ktg train best.yaml --seeds 3", "ktg graph show best.yaml", "ktg ui"]
    assert {path.name for path in tmp_path.iterdir()} == {"best.yaml", "best.svg"}
    shown = json.loads(ktg("graph", "show", "best.yaml", "--json", folder=tmp_path).out)
    assert shown["nodes"]["n0"]["role"] == "target"


def test_json_names_the_files_and_where_they_come_from(searched, tmp_path):
    done = ktg("export", "a search", "--json", "--tracking-uri", searched.uri, folder=tmp_path)
    exported = json.loads(done.out)
    assert (exported["graph"], exported["drawing"]) == ("best.yaml", "best.svg")
    assert exported["trial"] == searched.result["rows"][0]["trial"]


def test_an_experiment_that_is_not_there(searched, refused):
    sentence = refused("export", "a serch", "--tracking-uri", searched.uri)
    assert sentence.startswith("no experiment 'a serch' in sqlite:///")
    assert sentence.endswith("it has: a search. Did you mean 'a search'?")
    assert "run `ktg search` there first" in refused("export", "a search")  # no store here at all
