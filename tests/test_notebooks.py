"""Tests that the notebooks run, with smaller numbers, and that they are committed without outputs.

To look at their figures, run them with their own numbers and save them:

    KTG_NOTEBOOKS=/tmp/notebooks pytest tests/test_notebooks.py
"""

import json
import os
import re
import sys
from pathlib import Path

import nbformat
import pytest
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"
FILES = sorted(NOTEBOOKS.glob("*.ipynb"))
notebooks = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)


SMALLER = {
    r"(?<!_)epochs(: |=)\d+": r"epochs\g<1>3",
    r"EPOCHS = \d+": "EPOCHS = 4",
    r"trials: \d+": "trials: 3",
    r"seeds([ =])\d+": r"seeds\g<1>1",
    r"range\(2\)": "range(1)",
    r"points=20_000": "points=1000",
}


class Kernel(AsyncKernelManager):
    """Runs notebooks with the Python of the tests, whichever kernels the user has installed."""

    def format_kernel_cmd(self, extra_arguments: list[str] | None = None) -> list[str]:
        return [sys.executable, "-m", "ipykernel_launcher", "-f", self.connection_file]


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[nbformat.NotebookNode]]:
    """Return the cells of each notebook after all have run in one folder.

    A user has one folder, too: 02 reads what 01 has written. One kernel runs them all, because
    imports take longest; its variables are reset in between.
    """
    folder = tmp_path_factory.mktemp("notebooks")
    output = os.environ.get("KTG_NOTEBOOKS")
    together = nbformat.v4.new_notebook()
    for file in FILES:
        cells = nbformat.read(file, as_version=4).cells
        for cell in cells:
            cell.metadata["file"], cell["id"] = file.name, f"{file.stem}-{cell['id']}"
            if not output:
                make_smaller(cell)
        together.cells += [*cells, nbformat.v4.new_code_cell("%reset -f")]
    with pytest.MonkeyPatch.context() as patch:
        # The notebooks call `!ktg`.
        patch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
        patch.setenv("JUPYTER_RUNTIME_DIR", str(folder / "runtime"))
        resources = {"metadata": {"path": folder}}
        how = {"kernel_manager_class": Kernel, "timeout": 900, "resources": resources}
        NotebookClient(together, **how).execute()
    cells_of = {
        file.name: [c for c in together.cells if c.metadata.get("file") == file.name]
        for file in FILES
    }
    for name, cells in cells_of.items() if output else ():
        nbformat.write(nbformat.v4.new_notebook(cells=cells), Path(str(output), name))
    return cells_of


# The first test runs all of them, and a busy machine is no fault.
@pytest.mark.slow
@pytest.mark.timeout(1800)
@notebooks
def test_a_notebook_runs_quietly_and_draws(
    file: Path, executed: dict[str, list[nbformat.NotebookNode]]
):
    outputs = [output for cell in executed[file.name] for output in cell.get("outputs", ())]
    noise = [output["text"] for output in outputs if output.get("name") == "stderr"]
    # Jupyter warns about IProgress, a package of its own.
    assert not [text for text in noise if "IProgress" not in text]
    assert any("image/png" in output.get("data", {}) for output in outputs)


def make_smaller(cell: nbformat.NotebookNode) -> None:
    """Let a cell train less: its code stays the same but for numbers."""
    if cell.cell_type == "code":
        for pattern, less in SMALLER.items():
            cell.source = re.sub(pattern, less, cell.source)


def test_all_numbers_to_be_smaller_are_there():
    sources = "".join(file.read_text(encoding="utf-8") for file in FILES)
    assert not [pattern for pattern in SMALLER if not re.search(pattern, sources)]


@notebooks
def test_a_notebook_is_committed_without_outputs(file: Path):
    for cell in json.loads(file.read_text(encoding="utf-8"))["cells"]:
        clear = not cell.get("outputs") and cell.get("execution_count") is None
        assert clear, f"{file.name}: clear its outputs"


@notebooks
def test_links_of_a_notebook_lead_to_files(file: Path):
    for cell in nbformat.read(file, as_version=4).cells:
        if cell.cell_type == "markdown":
            for link in re.findall(r"\]\(([^)#:\s]+)[^)]*\)", cell.source):
                assert (NOTEBOOKS / link).exists(), f"{file.name}: nothing at {link}"
