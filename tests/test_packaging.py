"""Tests what is installed and what is shipped."""

import importlib.metadata
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import ktg

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
CONSTRAINTS = [
    Requirement(line)
    for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (path,) = folder.glob("*.whl")
    return path


def normal(name):
    """Return a package's name as an index compares it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_version_is_written_once():
    assert importlib.metadata.version(PROJECT["name"]) == ktg.__version__


def test_the_wheel_holds_the_package_its_types_and_its_licence_and_nothing_else(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    info = f"{normal(PROJECT['name']).replace('-', '_')}-{ktg.__version__}.dist-info"
    assert {"ktg/py.typed", f"{info}/licenses/LICENSE", f"{info}/entry_points.txt"} <= names
    assert {name.partition("/")[0] for name in names} == {"ktg", info}
    sources = {str(path.relative_to(ROOT)) for path in (ROOT / "ktg").rglob("*.py")}
    assert {name for name in names if name.endswith(".py")} == sources
    templates = {
        str(path.relative_to(ROOT)) for path in (ROOT / "ktg/reporting/templates").rglob("*.*")
    }
    assert templates
    assert templates <= names
    zoo = {str(path.relative_to(ROOT)) for path in (ROOT / "ktg/zoo/shipped").rglob("*.*")}
    assert len(zoo) == 3
    assert zoo <= names


def test_the_wheel_shows_the_readme(wheel):
    name = next(name for name in zipfile.ZipFile(wheel).namelist() if name.endswith("/METADATA"))
    metadata = zipfile.ZipFile(wheel).read(name).decode()
    assert metadata.endswith((ROOT / "README.md").read_text(encoding="utf-8"))


def test_constraints_name_exact_versions_and_no_place():
    for pinned in CONSTRAINTS:
        (version,) = pinned.specifier
        assert version.operator == "==" and "*" not in version.version, pinned
        assert not pinned.url and not pinned.extras, pinned


def test_every_requirement_is_pinned_within_its_range():
    everything = [
        *PROJECT["dependencies"],
        *(line for extra in PROJECT["optional-dependencies"].values() for line in extra),
    ]
    for requirement in map(Requirement, everything):
        if requirement.name == PROJECT["name"]:
            continue  # an extra that includes another
        pins = [pin for pin in CONSTRAINTS if normal(pin.name) == normal(requirement.name)]
        assert pins, f"{requirement.name} is not in constraints.txt; its head says how to make it"
        for pin in pins:
            versions = [version.version for version in pin.specifier]
            assert all(map(requirement.specifier.contains, versions)), (pin, requirement)
