"""The rooms of ktg and who may import whom: a module imports from lines below its own, or its room.

Imports inside functions and those for type checkers alone count like all others. The checks are
functions of a folder, so that the last tests can run them on small packages with a mistake in them.
"""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "ktg"
GROUND = (
    "errors",
    "version",
    "local",
    "intervals",
    "byte_lru",
    "wording",
    "calibration",
    "class_scores",
)
LAYERS = (
    ("cli",),
    ("api",),
    ("reporting", "exporting"),
    ("searching",),
    ("proposing",),
    ("affinity", "auditing", "pretraining"),
    ("training",),
    ("models",),
    ("data",),
    ("zoo",),
    ("tracking",),
    ("graph",),
    GROUND,
)
HEIGHT = {room: -line for line, rooms in enumerate(LAYERS) for room in rooms}
# The command line knows what it calls and how errors and numbers are worded, and nothing else.
ONLY_FROM = {"cli": {"cli", "api", *GROUND}}
ONLY_IN = {
    "click": ("cli",),
    "ray": ("searching",),
    "optuna": ("searching",),
    "mlflow": ("tracking",),
    "yaml": ("graph",),
}
NO_TORCH = HEIGHT["zoo"]  # this room and all below it do without torch
TORCH = ("torch", "timm", "torchvision")
HEAVY = (*TORCH, "sklearn", "ray", "mlflow", "optuna")
LIGHT = (
    "api",
    "cli",
    "errors",
    "graph",
    "graph.canonical",
    "graph.json_schema",
    "graph.space",
    "graph.yaml_files",
    "models.names",
    "models.resolve",
    "zoo",
)


def files_of(package: Path) -> list[Path]:
    """Return all modules of a package but its own `__init__`, which is the library's face."""
    return sorted(path for path in package.rglob("*.py") if path != package / "__init__.py")


def name_of(path: Path, package: Path) -> str:
    """Return `ktg.graph.parse` for ktg/graph/parse.py, `ktg.graph` for ktg/graph/__init__.py."""
    parts = path.relative_to(package.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room_of(path: Path, package: Path) -> str:
    return path.relative_to(package).with_suffix("").parts[0]


def imports(path: Path) -> set[str]:
    """Return the dotted names that a file imports anywhere, those inside functions too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def faults_of_imports(path: Path, package: Path) -> Iterator[str]:
    """Yield what is wrong with the imports of one file."""
    room = room_of(path, package)
    if room not in HEIGHT:
        yield f"ktg.{room} has no layer yet: give it one above"
        return
    for name in sorted(imports(path)):
        parts = name.split(".")
        if parts[0] == "ktg":
            yield from faults_of_import(room, parts)
            continue
        if room not in ONLY_IN.get(parts[0], (room,)):
            yield f"only ktg.{' and ktg.'.join(ONLY_IN[parts[0]])} may import {parts[0]}"
        if HEIGHT[room] <= NO_TORCH and parts[0] in TORCH:
            yield f"ktg.{room} must not import {name}"


def faults_of_import(room: str, parts: list[str]) -> Iterator[str]:
    """Yield what is wrong when a room imports this name of ktg."""
    name, other = ".".join(parts), parts[1] if len(parts) > 1 else ""
    if other not in HEIGHT:
        yield f"ktg.{room} must not import {name}: ktg/__init__.py is for users alone"
    elif other != room and HEIGHT[other] >= HEIGHT[room] and other not in GROUND:
        yield f"ktg.{room} must not import {name}, which is not below it"
    elif other not in ONLY_FROM.get(room, {other}):
        yield f"ktg.{room} must not import {name}: it goes through ktg.api"


def graph_of_imports(package: Path) -> dict[str, set[str]]:
    """Return by module the modules that it names, wherever in its file.

    `from ktg.graph import parse` leads to the module `ktg.graph.parse` if there is one, else to
    `ktg.graph`. That the folders of a module are imported before it is no edge.
    """
    modules = {name_of(path, package): path for path in files_of(package)}
    edges = {}
    for module, path in modules.items():
        targets = {name if name in modules else name.rpartition(".")[0] for name in imports(path)}
        edges[module] = targets & modules.keys()
    return edges


def circles(edges: dict[str, set[str]]) -> list[list[str]]:
    """Return the groups of modules that reach each other, by Tarjan's algorithm."""
    number: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found = []

    def visit(module: str) -> None:
        number[module] = low[module] = len(number)
        stack.append(module)
        for other in edges[module]:
            if other not in number:
                visit(other)
                low[module] = min(low[module], low[other])
            elif other in stack:
                low[module] = min(low[module], number[other])
        if low[module] == number[module]:
            group = stack[stack.index(module) :]
            del stack[stack.index(module) :]
            if len(group) > 1 or module in edges[module]:
                found.append(sorted(group))

    for module in sorted(edges):
        if module not in number:
            visit(module)
    return found


FILES = files_of(PACKAGE)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path):
    assert list(faults_of_imports(path, PACKAGE)) == []


def test_there_are_no_circles():
    assert circles(graph_of_imports(PACKAGE)) == []


def test_few_modules_can_read_the_test_split():
    named = {
        str(path.relative_to(PACKAGE))
        for path in FILES
        if re.search(r"\bopen_test\b", path.read_text("utf-8"))
    }
    makers = {"data/__init__.py", "data/open.py"}
    readers = {
        "searching/confirm/check.py",
        "searching/seeds.py",
        "searching/worker.py",
        "affinity/study.py",
        "auditing/pool.py",
    }
    assert named == makers | readers


def test_the_package_itself_imports_nothing():
    code = "import sys; before = {*sys.modules}; import ktg; print(sorted({*sys.modules} - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "['ktg', 'ktg.version']\n"


@pytest.mark.parametrize("module", LIGHT)
def test_light_modules_load_nothing_heavy_and_say_nothing(module):
    heavy = f"', '.join(m for m in {HEAVY} if m in sys.modules)"
    code = f"import sys, ktg.{module}; sys.exit({heavy} or 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


def build(folder: Path, files: dict[str, str]) -> Path:
    """Make a small package `ktg` of modules like `api/search`, and return its folder."""
    package = folder / "ktg"
    for name, text in {"__init__": "", **files}.items():
        path = package / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return package


def faults(package: Path) -> list[str]:
    return [fault for path in files_of(package) for fault in faults_of_imports(path, package)]


SOUND = {
    "cli/search": "import click\nfrom ktg import api\nfrom ktg.errors import UserError\n",
    "api/search": "def search():\n    from ktg.searching.run import run\n",
    "searching/run": "import ray\n",
    "errors": "",
}


def test_a_sound_package_has_no_faults(tmp_path):
    package = build(tmp_path, SOUND)
    assert faults(package) == []
    assert circles(graph_of_imports(package)) == []


@pytest.mark.parametrize(
    ("module", "line", "said"),
    [
        ("api/search", "from ktg.cli.search import x", "ktg.api must not import ktg.cli.search.x"),
        ("searching/run", "import ktg.api.search", "ktg.searching must not import ktg.api.search"),
        ("cli/search", "from ktg.searching.run import run", "it goes through ktg.api"),
        ("cli/search", "from ktg.graph import Graph", "it goes through ktg.api"),
        ("api/search", "from ktg import __version__", "ktg/__init__.py is for users alone"),
        ("searching/run", "import ktg", "ktg/__init__.py is for users alone"),
        ("api/search", "import click", "only ktg.cli may import click"),
        ("zoo/card", "import torch.nn", "ktg.zoo must not import torch.nn"),
        ("attic/box", "import os", "ktg.attic has no layer yet"),
    ],
)
@pytest.mark.parametrize(
    "where", ["{}\n", "def lazy():\n    {}\n", "if TYPE_CHECKING:\n    {}\n"], ids=str.split
)
def test_an_import_that_points_up_is_found_wherever_it_stands(tmp_path, module, line, said, where):
    package = build(tmp_path, SOUND | {module: where.format(line)})
    assert any(said in fault for fault in faults(package)), faults(package)


@pytest.mark.parametrize(
    "files",
    [
        {"graph/a": "import ktg.graph.b", "graph/b": "def late():\n    from ktg.graph.a import x"},
        {"graph/__init__": "from ktg.graph.a import x", "graph/a": "from ktg.graph import x"},
        {
            "graph/a": "from ktg.graph import b",
            "graph/b": "from ktg.graph.c import x",
            "graph/c": "if TYPE_CHECKING:\n    from ktg.graph.a import Y",
        },
    ],
    ids=["lazily", "by the room's own face", "for type checkers"],
)
def test_a_circle_inside_a_room_is_found(tmp_path, files):
    package = build(tmp_path, files)
    names = {name_of(path, package) for path in files_of(package)}
    assert [set(group) for group in circles(graph_of_imports(package))] == [names]
