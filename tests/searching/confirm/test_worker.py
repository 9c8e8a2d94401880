"""The score on the test split of a confirmation, in total and image by image."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from command import graph_file

from ktg.data import open_data, open_test
from ktg.graph.yaml_files import load_graph
from ktg.searching.confirm import worker
from ktg.training import Training

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("ensemble", [False, True])
def test_one_pass_gives_the_score_of_the_product_and_every_image(
    tiny: Path, tmp_path: Path, ensemble: bool
):
    graph = load_graph(graph_file(tmp_path / "graph.yaml", tiny, train={"seed": 3}))
    if ensemble:
        graph = replace(graph, ensemble=True)
    training, images = (
        Training(graph, open_data(graph.data), device="cpu", final=True),
        open_test(graph.data),
    )
    # Untrained: after two epochs it makes no mistake, and there would be nothing to tell apart.
    score, found = training.test(images), worker.tested(training, images)
    assert found["test_accuracy"] == score.accuracy
    assert found["test_loss"] == pytest.approx(score.loss, rel=1e-6)
    right = training.predict(images).argmax(dim=1).numpy() == images.labels
    assert 0 < right.mean() < 1
    assert np.array_equal([each == "1" for each in found[worker.RIGHT]], right)
