"""What a model can begin with, from Python."""

from zoos import filled

from ktg.api.sources import list_sources


def test_a_tag_chooses_published_weights_and_any_entry_of_its_network(tmp_path):
    zoo = filled(tmp_path, ("animals", "resnet18"), ("fish", "resnet8"))
    rows, faults = list_sources(model="resnet18.tv_in1k", zoo=zoo.folder)
    assert not faults
    assert [row.source for row in rows] == ["none", "imagenet", "fractaldb", "zoo/animals", "PATH"]
    assert "resnet18.tv_in1k" in rows[1].about
