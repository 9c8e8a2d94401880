"""`ktg ui`: what it refuses. The server itself is tested with `ktg.tracking`."""


def test_a_folder_without_a_store(refused):
    assert "run `ktg search` there first, or give --tracking-uri" in refused("ui")


def test_a_server_has_an_interface_of_its_own(refused):
    assert "open it in a browser" in refused("ui", "--tracking-uri", "http://127.0.0.1:1")


def test_an_experiment_is_looked_for_first(refused, searched):
    assert "Did you mean 'a search'" in refused("ui", "a serch", "--tracking-uri", searched.uri)
