"""Tests that tests mirror the modules of ktg: tests/ROOM/test_X.py is about ktg/ROOM/X.py.

The test file of a package's `__init__.py` has the name of the package: tests/cli/test_cli.py. Files
about several modules, or about none, are listed here with a reason.
"""

from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PACKAGE = TESTS.parent / "ktg"
OUTSIDE = "about files of the repository outside ktg, or about ktg as a whole"
WITHOUT_MODULE = {
    "test_benchmarks.py": OUTSIDE,
    "test_docs.py": OUTSIDE,
    "test_launch.py": OUTSIDE,
    "test_layers.py": OUTSIDE,
    "test_mirror.py": OUTSIDE,
    "test_notebooks.py": OUTSIDE,
    "test_packaging.py": OUTSIDE,
    "test_regression.py": OUTSIDE,
    "test_search_spaces.py": OUTSIDE,
    "cli/test_inputs.py": "wrong input files, given to every command that reads them",
    "cli/test_missing.py": "missing weights, met by several commands",
    "cli/test_serve.py": "`ktg serve`, a part of cli/export.py, with a real server",
    "searching/test_conformance.py": "every sampler with every scheduler",
    "searching/test_faults.py": "searches in which trials, processes and machines fail",
    "tracking/test_postgres.py": "the modules of tracking on a real PostgreSQL",
}


def module_of(test: Path) -> Path:
    """Return the module that a test file is named after, relative to ktg."""
    stem = test.stem.removeprefix("test_")
    return test.parent / ("__init__.py" if stem == test.parent.name else f"{stem}.py")


def faults(tests: Path, package: Path, without_module: dict[str, str]) -> list[str]:
    """Return what is wrong with the names of test files below a folder, sorted."""
    found = {str(path.relative_to(tests)): path for path in tests.rglob("test_*.py")}
    named = {name: module_of(Path(name)) for name in found}
    strays = [
        f"tests/{name} mirrors no module: there is no ktg/{module}"
        for name, module in named.items()
        if name not in without_module and not (package / module).is_file()
    ]
    stale = [
        f"tests/{name} is listed as a test without a module, but it "
        + ("has one" if name in found else "is gone")
        for name in without_module
        if name not in found or (package / named[name]).is_file()
    ]
    rooms = [path.parent.name for path in package.glob("*/__init__.py")]
    untested = [
        f"ktg/{room} has no tests"
        for room in rooms
        if not any(name.startswith(f"{room}/") for name in named)
    ]
    return sorted(strays + stale + untested)


def test_tests_mirror_the_modules():
    assert faults(TESTS, PACKAGE, WITHOUT_MODULE) == []


@pytest.fixture
def house(tmp_path: Path) -> Path:
    """A folder with a package of two rooms, and with tests that mirror it."""
    modules = ("errors", "graph/__init__", "graph/parse", "data/__init__", "data/augment/__init__")
    tests = ("test_errors", "test_docs", "graph/test_parse", "data/augment/test_augment")
    add(tmp_path, *(f"ktg/{name}" for name in modules), *(f"tests/{name}" for name in tests))
    return tmp_path


def add(folder: Path, *names: str) -> None:
    """Make empty Python files."""
    for name in names:
        path = folder / f"{name}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def faults_of(house: Path) -> list[str]:
    return faults(house / "tests", house / "ktg", {"test_docs.py": "about pages"})


def test_a_sound_house_has_no_faults(house: Path):
    add(house, "tests/records", "tests/graph/conftest", "tests/graph/test_graph")
    assert faults_of(house) == []


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("tests/test_parse", "tests/test_parse.py mirrors no module: there is no ktg/parse.py"),
        (
            "tests/graph/test_box",
            "tests/graph/test_box.py mirrors no module: there is no ktg/graph/box.py",
        ),
        (
            "tests/attic/test_parse",
            "tests/attic/test_parse.py mirrors no module: there is no ktg/attic/parse.py",
        ),
        ("ktg/zoo/__init__", "ktg/zoo has no tests"),
        ("ktg/docs", "tests/test_docs.py is listed as a test without a module, but it has one"),
    ],
)
def test_a_stray_file_is_found(house: Path, file: str, said: str):
    add(house, file)
    assert faults_of(house) == [said]


def test_a_list_that_names_a_file_that_is_gone_is_found(house: Path):
    (house / "tests" / "test_docs.py").unlink()
    gone = "tests/test_docs.py is listed as a test without a module, but it is gone"
    assert faults_of(house) == [gone]
