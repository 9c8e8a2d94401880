"""Tests that links, commands, graphs and Python of the documentation work, examples in code too."""

import ast
import doctest
import importlib.util
import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from test_launch import check_words, find_commands

from ktg.graph import is_space, parse, parse_space
from ktg.graph.yaml_files import loads

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]
NAMES = {path: str(path.relative_to(ROOT)) for path in PAGES}
FENCE = re.compile(r"^ *```(\w*)[^\n]*\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"")
pages = pytest.mark.parametrize("page", PAGES, ids=NAMES.get)


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(page: Path, *languages: str) -> list[str]:
    """Return the fenced blocks of a page in one of these languages."""
    return [code for language, code in FENCE.findall(text_of(page)) if language in languages]


def anchors(page: Path) -> set[str]:
    """Return what GitHub makes of the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text_of(page)), re.MULTILINE)
    plain = [
        re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "") for heading in headings
    ]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in plain}


@pages
def test_links_lead_to_files_and_headings(page: Path):
    for link in ("".join(pair) for pair in LINK.findall(FENCE.sub("", text_of(page)))):
        if re.match(r"[a-z]+:", link):
            continue
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), f"{NAMES[page]}: nothing at {link}"
        assert target.is_relative_to(ROOT), f"{NAMES[page]}: {link} leaves the repository"
        assert not anchor or anchor in anchors(target), f"{NAMES[page]}: no heading for {link}"


@pages
def test_commands_exist_with_their_options(page: Path):
    for block in blocks(page, "bash", "sh", "console"):
        for words in find_commands(block):
            check_words(words, whole=True)
        for script in re.findall(r"(?:bash|sbatch|ray up|kubectl apply -f) (launch/\S+)", block):
            assert (ROOT / script).is_file(), f"{NAMES[page]} names {script}"


@pages
def test_graphs_and_spaces_can_be_read(page: Path):
    for block in blocks(page, "yaml"):
        plain = loads(block, f"a block of {NAMES[page]}")
        if "nodes" in plain and "edges" in plain:
            (parse_space if is_space(plain) else parse)(plain)


@pages
def test_python_compiles_and_what_it_imports_is_there(page: Path):
    nodes = [node for block in blocks(page, "python", "py") for node in ast.walk(ast.parse(block))]
    for module, name in (pair for node in nodes for pair in find_names(node)):
        package = module.partition(".")[0]
        assert importlib.util.find_spec(package), f"{NAMES[page]}: there is no {module}"
        if package == "ktg":  # other libraries are slow to import, and not ours to test
            found = importlib.import_module(module)
            assert not name or hasattr(found, name), f"{NAMES[page]}: {module} has no {name}"


def find_names(node: ast.AST) -> list[tuple[str, str]]:
    """Return (module, name in it or nothing) that a line of Python needs."""
    if isinstance(node, ast.ImportFrom):
        return [(node.module or "", alias.name) for alias in node.names]
    if isinstance(node, ast.Import):
        return [(alias.name, "") for alias in node.names]
    if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "ktg":
        return [("ktg", node.attr)]
    return []


def test_the_index_names_every_page():
    linked = {link for link, _ in LINK.findall(text_of(DOCS / "README.md"))}
    assert {path.name for path in DOCS.glob("*.md")} - {"README.md"} <= linked
    assert {f"../notebooks/{path.name}" for path in (ROOT / "notebooks").glob("*.ipynb")} <= linked


@pytest.mark.slow
def test_the_reference_is_what_the_code_says():
    # In a process of its own: click keeps the help option that a command had when it was first
    # called, by other tests.
    program = "import json, make_reference; print(json.dumps(make_reference.pages()))"
    made = subprocess.check_output([sys.executable, "-c", program], cwd=DOCS, text=True)
    for name, text in json.loads(made).items():
        stale = f"docs/{name} is stale; run: python docs/make_reference.py"
        assert text_of(DOCS / name) == text, stale


def test_the_pictures_are_what_the_code_draws(monkeypatch, tmp_path: Path):
    monkeypatch.syspath_prepend(str(DOCS))
    made = importlib.import_module("make_pictures")
    sys.modules.pop("make_pictures")
    stale = "docs/pictures/{} is stale; run: python docs/make_pictures.py"
    for name, svg in made.pictures().items():
        assert (DOCS / "pictures" / name).read_text(encoding="utf-8") == svg, stale.format(name)
    made.augmentations(tmp_path / "augment.png")
    drawn, kept = (
        np.asarray(Image.open(folder / "augment.png")) for folder in (tmp_path, DOCS / "pictures")
    )
    # Machines differ in the last bit of a colour. Where that decides an operation, some pixels
    # differ, too.
    same = drawn.shape == kept.shape and np.abs(drawn.astype(int) - kept).mean() < 1
    assert same, stale.format("augment.png")


def test_the_checks_find_mistakes(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text("# A `b` [c](d.md), e!\n```yaml\n# no heading\n```\n", encoding="utf-8")
    assert anchors(page) == {"a-b-c-e"}
    assert blocks(page, "yaml") == ["# no heading\n"]
    line = "import ktg.graph.yaml_files\nfrom ktg.graph import parse\nktg.nonsense()"
    needed = [("ktg", "nonsense"), ("ktg.graph", "parse"), ("ktg.graph.yaml_files", "")]
    assert sorted(pair for node in ast.walk(ast.parse(line)) for pair in find_names(node)) == needed
    links = ["".join(pair) for pair in LINK.findall('[a](b.md#c) ![](p.png) <img src="q.svg">')]
    assert links == ["b.md#c", "p.png", "q.svg"]


def with_examples(package: Path) -> list[str]:
    """Return the names of the modules of a package that have examples, like `ktg.graph.parse`."""
    names = []
    for path in sorted(package.rglob("*.py")):
        if re.search(r"^\s*>>> ", text_of(path), re.MULTILINE):
            parts = path.relative_to(package.parent).with_suffix("").parts
            names.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return names


def run_examples(name: str) -> doctest.TestResults:
    # The module comes from sys.modules, because the attribute `ktg.graph.parse` is a function.
    importlib.import_module(name)
    return doctest.testmod(sys.modules[name])


# Modules whose examples cannot run, and why.
NOT_RUN = {"ktg.exporting.classifier": "needs a model that somebody has trained, and a photograph"}


@pytest.mark.parametrize("name", with_examples(ROOT / "ktg"))
def test_the_examples_in_docstrings_are_true(name: str):
    found = run_examples(name)
    assert found.failed == 0
    # Nothing is left out without a reason: neither a line marked to be skipped, nor one that
    # doctest does not see, because it stands in no docstring.
    written = re.findall(r"^\s*>>> ", text_of(Path(sys.modules[name].__file__)), re.MULTILINE)
    assert found.attempted == (0 if name in NOT_RUN else len(written))


@pytest.mark.parametrize("name", ["gates", "losses", "schedule", "sinkhorn"])
def test_every_function_of_the_mathematics_has_an_example(name: str):
    module = importlib.import_module(f"ktg.training.{name}")
    functions = [function for _, function in inspect.getmembers(module, inspect.isfunction)]
    own = [one for one in functions if one.__module__ == module.__name__]
    public = [function for function in own if not function.__name__.startswith("_")]
    assert public
    assert [function.__name__ for function in public if ">>>" not in function.__doc__] == []


def test_a_wrong_example_is_found(monkeypatch, tmp_path: Path, capsys):
    package = tmp_path / "examples_of_a_test"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "right.py").write_text('"""\n>>> 1 + 1\n2\n"""\n')
    (package / "wrong.py").write_text('"""\n>>> 1 + 1\n3\n"""\n')
    (package / "without.py").write_text('"""Is true: 1 + 1 = 2."""\n')
    monkeypatch.syspath_prepend(str(tmp_path))
    names = [f"{package.name}.right", f"{package.name}.wrong"]
    assert with_examples(package) == names
    assert [run_examples(name).failed for name in names] == [0, 1]
    assert "Expected:" in capsys.readouterr().out
