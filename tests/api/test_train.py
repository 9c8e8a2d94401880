"""Training from Python."""

import numpy as np
import pytest
from command import graph_file

import ktg
from ktg.errors import UserError
from ktg.graph.yaml_files import load_graph
from ktg.tracking import find_experiment

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.slow
def test_train_keeps_the_run_and_the_weights(tiny, tmp_path):
    file, uri = graph_file(tmp_path / "graph.yaml", tiny), f"sqlite:///{tmp_path}/mlflow.db"
    weights = tmp_path / "model.safetensors"
    confirmed = ktg.train(file, seeds=2, weights=weights, device="cpu", tracking_uri=uri)
    model = ktg.load(weights)
    accuracy = model.about.accuracy
    assert (accuracy.split, accuracy.mean, accuracy.std, accuracy.n) == (
        "test",
        confirmed.mean,
        confirmed.std,
        2,
    )
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
