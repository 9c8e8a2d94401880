"""Who may ask the scoring server; `cli/test_serve` asks a real one."""

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from ktg.tracking.serving import check_hosts


@pytest.fixture(scope="module")
def client():
    answers = Starlette(routes=[Route("/ping", lambda _request: PlainTextResponse("pong"))])
    return TestClient(check_hosts(answers), base_url="http://127.0.0.1:5001")


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:5001", "localhost:8000", "LOCALHOST", "[::1]", "[::1]:5001"]
)
def test_this_machine_is_answered(client, host):
    assert client.get("/ping", headers={"host": host}).text == "pong"


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:5001",
        "127.0.0.1.evil.example",
        "localhost.evil.example:5001",
        "10.evil.example",
        "192.168.1.7:5001",
        "localhost:5001@evil.example",
        "localhost:",
        "",
    ],
)
def test_another_host_is_refused(client, host):
    answer = client.get("/ping", headers={"host": host})
    assert (answer.status_code, "localhost" in answer.text) == (403, True)
