"""What leaves a search, from Python."""

import pytest

import ktg
from ktg.errors import UserError

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.slow
def test_export_check_and_draw(searched, tmp_path):
    delivered = ktg.export("a search", tmp_path / "best.yaml", trial=1, tracking_uri=searched.uri)
    file = delivered.graphs[0].file
    assert delivered.graphs[0].trial == "trial-0001 (alone)"
    assert ktg.check(file)["kind"] == "graph"
    assert "<svg" in ktg.draw(file)


def test_the_graph_of_a_model_file_needs_no_place_where_it_is_not_written(
    trained, tmp_path, monkeypatch
):
    (tmp_path / "best.yaml").mkdir()  # nothing can be written under the usual name
    monkeypatch.chdir(tmp_path)
    ktg.export(trained.file, card="README.md")
    assert (tmp_path / "README.md").is_file()
    for source, output in (("a search", None), (trained.file, "best.yaml")):
        with pytest.raises(UserError, match=r"best\.yaml: is a folder"):
            ktg.export(source, output, onnx="model.onnx")
