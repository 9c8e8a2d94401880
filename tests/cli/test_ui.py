"""`ktg ui`: what it refuses. The server itself is tested with `ktg.tracking`."""


def test_a_folder_without_a_store(refused):
    assert "run `ktg search` there first, or give --tracking-uri" in refused("ui")


def test_a_server_has_an_interface_of_its_own(refused):
    assert "open it in a browser" in refused("ui", "--tracking-uri", "http://127.0.0.1:1")
