"""The page that `ktg ui` opens; `test_ui` asks a real server for it."""

import importlib.metadata
import subprocess
import sys

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
