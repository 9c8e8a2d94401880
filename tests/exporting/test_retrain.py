"""A graph of a search is trained once more as the search trained it."""

import pytest
from command import graph_file

from ktg.exporting.retrain import retrain, train_to_calibrate
from ktg.graph.yaml_files import load_graph

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("final", [False, True])
def test_the_best_epoch_is_that_by_the_metric_of_the_search(tiny, tmp_path, final):
    file = graph_file(tmp_path / "graph.yaml", tiny, train={"epochs": 2, "keep": "best"})
    graph = load_graph(file)
    training, _ = retrain(graph, final=final, metric="loss", device="cpu")
    by = train_to_calibrate(graph, training)
    assert (by is training) == (not final)
    assert by.metric == training.metric == "loss"
