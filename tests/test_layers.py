"""The rooms of ktg and who may import whom: a module imports only from lines below its own, or its own room."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "ktg"
LAYERS = (
    ("api",),
    ("cli",),
    ("reporting", "exporting"),
    ("searching",),
    ("affinity", "pretraining"),
    ("training",),
    ("models",),
    ("data",),
    ("zoo",),
    ("tracking",),
    ("graph",),
    ("errors", "version", "local", "intervals"),
)
HEIGHT = {room: -line for line, rooms in enumerate(LAYERS) for room in rooms}
ONLY_IN = {"ray": "searching", "optuna": "searching", "mlflow": "tracking", "yaml": "graph"}
HEAVY = ("torch", "timm", "torchvision", "sklearn", "ray", "mlflow", "optuna")
LIGHT = (
    "api",
    "cli",
    "space",
    "files",
    "canonical",
    "schema",
    "spec",
    "errors",
    "models/names",
    "zoo",
)


def room_of(path):
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imports(path):
    """Return the dotted names that a file imports anywhere, those inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


FILES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path):
    room = room_of(path)
    assert room in HEIGHT, f"ktg.{room} has no layer yet: give it one above"
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "ktg" and parts[1] in HEIGHT and parts[1] != room:
            assert HEIGHT[parts[1]] < HEIGHT[room], f"ktg.{room} must not import {name}"
        owner = ONLY_IN.get(parts[0])
        assert owner in (None, room), f"only ktg.{owner} may import {parts[0]}"
        if HEIGHT[room] <= HEIGHT["zoo"]:
            assert parts[0] not in ("torch", "timm", "torchvision"), (
                f"ktg.{room} must not import {name}"
            )


def test_few_modules_can_read_the_test_split():
    named = {
        str(path.relative_to(PACKAGE))
        for path in FILES
        if re.search(r"\bopen_test\b", path.read_text("utf-8"))
    }
    makers = {"data/__init__.py", "data/dataset.py", "data/open.py"}
    readers = {
        "searching/confirm/check.py",
        "searching/seeds.py",
        "searching/confirm/worker.py",
        "affinity/study.py",
    }
    assert named == makers | readers


def test_the_package_itself_imports_nothing():
    code = "import sys; before = set(sys.modules); import ktg; print(sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "['ktg', 'ktg.version']\n"


def existing(modules):
    return [
        m
        for m in modules
        if (PACKAGE / f"{m}.py").exists() or (PACKAGE / m / "__init__.py").exists()
    ]


@pytest.mark.parametrize("module", existing(LIGHT))
def test_light_modules_load_nothing_heavy_and_say_nothing(module):
    name = "ktg." + module.replace("/", ".")
    code = f"import sys, {name}; sys.exit(', '.join(m for m in {HEAVY} if m in sys.modules) or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)
