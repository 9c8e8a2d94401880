import socket
import threading

import pytest

from ktg import online
from ktg.online import reachable


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch):
    for variable in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)


def test_a_host_that_listens_is_reachable_and_one_that_does_not_is_not():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert reachable(f"http://127.0.0.1:{port}/file.tar.gz")
    assert not reachable(f"http://127.0.0.1:{port}/file.tar.gz")
    assert not reachable("https://host.invalid/file.tar.gz")


def test_a_name_server_that_hangs_does_not_hang_us(monkeypatch: pytest.MonkeyPatch):
    found, left = threading.Event(), threading.Event()

    def hang(*_: object, **__: object) -> None:
        found.wait(60)
        left.set()
        raise OSError("no such host")

    monkeypatch.setattr(online.socket, "create_connection", hang)
    assert not reachable("https://host.invalid/", timeout_s=0.2)
    assert not left.is_set()
    found.set()
    assert left.wait(60)  # the thread is over before the next test


def test_behind_a_proxy_the_proxy_is_asked(monkeypatch: pytest.MonkeyPatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("https_proxy", f"127.0.0.1:{server.getsockname()[1]}")
        assert reachable("https://host.invalid/")
