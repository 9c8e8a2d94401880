"""Graphs and spaces as paths, plain data and parsed objects."""

import os

import pytest
from command import graph_file

import ktg
from ktg.api.inputs import check_writable
from ktg.errors import SpecError, UserError
from ktg.graph.yaml_files import load, load_graph

pytestmark = pytest.mark.usefixtures("one_thread")


def test_a_graph_as_path_plain_data_or_parsed_trains_to_the_same(tiny, tmp_path):
    file = graph_file(tmp_path / "graph.yaml", tiny)
    forms = [file, str(file), load(file), load_graph(file)]
    found = {ktg.train(form, device="cpu", tracking_uri=None).runs[0].loss for form in forms}
    assert len(found) == 1


def test_mistakes_are_errors_in_one_sentence(tiny, tmp_path):
    with pytest.raises(SpecError, match="is not a model"):
        ktg.train(
            {
                "data": {"path": str(tiny)},
                "nodes": {"n0": {"model": "resnet9"}},
                "edges": {"label -> n0": {}},
            }
        )
    with pytest.raises(UserError, match="expected a path, plain data or a parsed graph"):
        ktg.train(3)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_or_a_file_without_the_right_to_write(tmp_path):
    file = tmp_path / "best.yaml"
    file.touch(mode=0o444)
    with pytest.raises(UserError, match="may not be written"):
        check_writable(file)
    tmp_path.chmod(0o555)
    with pytest.raises(UserError, match="cannot write into"):
        check_writable(tmp_path / "new.yaml")


def test_a_check_leaves_nothing_behind(tmp_path):
    check_writable(tmp_path / "best.yaml")
    assert not list(tmp_path.iterdir())
