"""The search spaces that come with ktg are read by ktg."""

import re
from pathlib import Path

import pytest

from ktg.space import load_space

ROOT = Path(__file__).parents[1]
SPACES = sorted((ROOT / "search_spaces").rglob("*.yaml"))


@pytest.mark.parametrize("path", SPACES, ids=lambda path: path.stem)
def test_a_space_is_read_and_says_how_to_run_it(path):
    space = load_space(path)
    assert space.holes
    assert space.name == path.stem
    text = path.read_text()
    assert f"ktg search {path.relative_to(ROOT)}" in text
    schema = re.search(r"\$schema=(\S+)", text)
    assert schema is not None
    assert (path.parent / schema[1]).resolve() == ROOT / "search_spaces" / "ktg.schema.json"
