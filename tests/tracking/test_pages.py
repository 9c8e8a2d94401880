"""The page that `ktg ui` opens; `test_ui` asks a real server for it."""

import importlib.metadata
import subprocess
import sys
import warnings

import pytest
from starlette.testclient import TestClient

from ktg.tracking.pages import add_script, create_app


def test_our_script_comes_first_and_the_rest_is_mlflows(tmp_path):
    file = tmp_path / "index.html"
    file.write_text(
        "<html><head><script src='main.js'></script></head><body><head></body></html>",
        encoding="utf-8",
    )
    text = add_script(file).decode()
    ours = text[text.index("<head>") + 6 : text.index("<script src")]
    assert text.replace(ours, "") == file.read_text(encoding="utf-8")
    assert ours.startswith("<script>if(localStorage.getItem(")
    assert ours.count("===null") == ours.count("setItem") == 4


def test_mlflow_finds_the_application_and_looking_for_it_is_light():
    (entry,) = importlib.metadata.entry_points(group="mlflow.app", name="ktg")
    assert entry.load() is create_app
    code = "import sys, ktg.tracking.pages; sys.exit('mlflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.fixture(scope="module")
def browser():
    """What asks the application for pages, without a port."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of MLflow's server about what it is made of
        return TestClient(create_app(), base_url="http://127.0.0.1:5000")


def test_the_first_page_has_mlflows_own_headers(browser):
    first, other = browser.get("/"), browser.get("/version")
    assert (first.status_code, other.status_code) == (200, 200)
    assert "<script>if(localStorage" in first.text
    for name in ("x-frame-options", "x-content-type-options"):
        assert first.headers[name] == other.headers[name]
    assert first.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("host", ["evil.example", "evil.example:5000", "localhost.evil.example"])
@pytest.mark.parametrize("path", ["/", "/static-files/x", "/ajax-api/2.0/mlflow/experiments/get"])
def test_no_page_is_given_to_a_foreign_host(browser, host, path):
    answer = browser.get(path, headers={"host": host})
    assert answer.status_code == 403
    assert "DNS rebinding" in answer.text


@pytest.mark.parametrize("host", ["localhost:5000", "127.0.0.1", "[::1]:5000"])
def test_this_machine_is_answered(browser, host):
    assert browser.get("/", headers={"host": host}).status_code == 200
