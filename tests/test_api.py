"""The commands as functions: lazily, by their names, on paths, plain data and parsed objects."""

import subprocess
import sys

import numpy as np
import pytest
from command import graph_file

import ktg
from ktg import api
from ktg.cli import commands
from ktg.errors import DataError, SpecError, UserError
from ktg.files import load, load_graph
from ktg.tracking import find_experiment

pytestmark = pytest.mark.usefixtures("one_thread")


def test_every_command_has_its_function():
    other = {"graph": "draw", "source": "pretrain"}
    rooms = {"affinity", "data", "zoo", "transfer"}  # `ktg.affinity` and the like are packages of functions
    names = {other.get(name, name) for name in commands.commands} - rooms
    assert names <= set(ktg.__all__)
    assert all(callable(getattr(ktg, name)) and getattr(ktg, name) is getattr(api, name) for name in ktg.__all__)
    assert set(ktg.__all__) <= set(dir(ktg))
    with pytest.raises(AttributeError, match="module 'ktg' has no attribute 'nonsense'"):
        ktg.nonsense  # noqa: B018


def test_a_name_is_found_without_importing_torch():
    code = "import sys, ktg; ktg.search; ktg.train; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_graph_as_path_plain_data_or_parsed_trains_to_the_same(tiny, tmp_path):
    file = graph_file(tmp_path / "graph.yaml", tiny)
    forms = [file, str(file), load(file), load_graph(file)]
    found = {ktg.train(form, device="cpu", tracking_uri=None).runs[0].loss for form in forms}
    assert len(found) == 1


def test_train_keeps_the_run_and_the_weights(tiny, tmp_path):
    file, uri = graph_file(tmp_path / "graph.yaml", tiny), f"sqlite:///{tmp_path}/mlflow.db"
    weights = tmp_path / "model.safetensors"
    confirmed = ktg.train(file, seeds=2, weights=weights, device="cpu", tracking_uri=uri)
    model = ktg.load(weights)
    accuracy = model.about.accuracy
    assert (accuracy.split, accuracy.mean, accuracy.std, accuracy.n) == ("test", confirmed.mean, confirmed.std, 2)
    assert model.about.training.splits == "train and val"
    assert len(find_experiment("graph", uri).searches()) == 1
    with pytest.raises(UserError, match="is there already"):
        ktg.train(file, weights=weights, tracking_uri=None)


def test_the_kept_network_is_the_first_seeds_and_scores_what_was_told(tiny, tmp_path):
    from ktg.data import open_test

    file, weights = graph_file(tmp_path / "graph.yaml", tiny), tmp_path / "model.safetensors"
    confirmed = ktg.train(file, seeds=2, weights=weights, device="cpu", tracking_uri=None)
    test = open_test(load_graph(file).data)
    answers = ktg.predict(weights, list(test.read(range(len(test)))), device="cpu")
    labels = np.array([answer.probabilities.argmax() for answer in answers])
    assert (labels == test.labels).mean() == confirmed.runs[0].accuracy


def test_predict_takes_a_model_or_its_file_and_folders(trained, photos):
    answers = ktg.predict(trained.file, photos / "val")
    assert len(answers) == 8
    (one,) = ktg.predict(ktg.load(trained.file), np.zeros((5, 5), np.uint8))
    assert one.label in ("night", "noon")
    with pytest.raises(DataError, match=r"absent\.png: there is no such file"):
        ktg.predict(trained.file, "absent.png")


def test_export_check_and_draw(searched, tmp_path):
    delivered = ktg.export("a search", tmp_path / "best.yaml", trial=1, tracking_uri=searched.uri)
    file = delivered.graphs[0].file
    assert delivered.graphs[0].trial == "trial-0001 (alone)"
    assert ktg.check(file)["kind"] == "graph"
    assert "<svg" in ktg.draw(file)


def test_rank_puts_the_best_first_and_correlate_reads_a_table(tiny, tmp_path):
    found = ktg.rank(tiny, ["resnet8@none", "resnet14@none"], score="knn", device="cpu")
    assert set(found) == {"resnet8@none", "resnet14@none"}
    first, second = (one.scores["knn"] for one in found.values())
    assert first >= second
    with pytest.raises(UserError, match="name the candidates"):
        ktg.rank(tiny)
    with pytest.raises(UserError, match=r"^densenet121@none.input_size: densenet121 cannot take images of 8x8"):
        ktg.rank(tiny, ["resnet8@none", "densenet121@none"])
    table = tmp_path / "table.csv"
    table.write_text("model,score,accuracy\na,1,0.5\nb,2,0.7\nc,3,0.8\n")
    assert ktg.correlate(table)["score"].spearman == 1.0


def test_a_study_gives_the_rows_of_a_table_that_correlate_reads(tiny, tmp_path):
    from ktg.studying import table_text

    file, uri = graph_file(tmp_path / "graph.yaml", tiny), f"sqlite:///{tmp_path}/mlflow.db"
    among = [f"{model}@none" for model in ("resnet8", "resnet14", "resnet20")]
    rows = ktg.study(file, among=among, seeds=1, device="cpu", tracking_uri=uri)
    assert [row.candidate.name for row in rows] == among
    (tmp_path / "table.csv").write_text(table_text(rows, test=False))
    assert "parameters" in ktg.correlate(tmp_path / "table.csv")
    with pytest.raises(UserError, match="at least 3"):
        ktg.study(file, among=among[:2], tracking_uri=uri)
    assert ktg.searches(tracking_uri=uri) == []  # a study is no search


def test_report_and_compare_are_those_of_the_commands(searched, tmp_path):
    data = ktg.report("a search", tmp_path / "page.html", tracking_uri=searched.uri)
    assert data["comparison"][0]["val_accuracy"] == searched.result["rows"][0]["accuracy"]
    assert (tmp_path / "page.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    with pytest.raises(UserError, match="at least two experiments are needed"):
        ktg.compare("a search", tracking_uri=searched.uri)
    with pytest.raises(UserError, match="there is no folder"):
        ktg.report("a search", tmp_path / "absent" / "page.html", tracking_uri=searched.uri)


def test_a_search_by_plain_data_gives_a_result(tiny, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    space = load(graph_file(tmp_path / "space.yaml", tiny, search={"trials": 1, "baselines": False}))
    space["train"]["lr"] = {"choice": [0.05, 0.1]}
    result = ktg.search(space, name="mine", tracking_uri=None)
    assert (result.name, result.finished) == ("mine", 1)
    assert result.best is not None
    assert not list(tmp_path.glob("mlflow*"))


def test_mistakes_are_errors_in_one_sentence(tiny, tmp_path):
    with pytest.raises(SpecError, match="is not a model"):
        ktg.train({"data": {"path": str(tiny)}, "nodes": {"n0": {"model": "resnet9"}}, "edges": {"label -> n0": {}}})
    with pytest.raises(UserError, match="expected a path, plain data or a parsed graph"):
        ktg.train(3)
