"""What leaves a search, from Python."""

import pytest

import ktg

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.slow
def test_export_check_and_draw(searched, tmp_path):
    delivered = ktg.export("a search", tmp_path / "best.yaml", trial=1, tracking_uri=searched.uri)
    file = delivered.graphs[0].file
    assert delivered.graphs[0].trial == "trial-0001 (alone)"
    assert ktg.check(file)["kind"] == "graph"
    assert "<svg" in ktg.draw(file)
