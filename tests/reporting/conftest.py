"""A report of a real search, and its page as a browser reads it."""

from collections.abc import Iterator
from typing import Any

import pytest

from ktg.reporting.page import render_report
from ktg.reporting.report import make_report
from ktg.searching.history import read_last_search
from ktg.searching.stored_search import StoredSearch
from ktg.tracking import find_experiment


@pytest.fixture(scope="session")
def uri(new_store) -> str:
    """A store for what tests write; they share it."""
    return new_store()


@pytest.fixture(scope="session")
def record(searched) -> StoredSearch:
    return read_last_search(find_experiment("a search", searched.uri))


@pytest.fixture(scope="session")
def reported(record) -> dict[str, Any]:
    return make_report(record, retrain=True)  # however busy the machine is


@pytest.fixture(scope="session")
def page(record, reported) -> str:
    return render_report(reported, record.space.holes)


@pytest.fixture
def closed_figures() -> Iterator[None]:
    """Fail a test that leaves a figure with pyplot, which would keep it for ever."""
    from matplotlib import _pylab_helpers

    yield
    assert not _pylab_helpers.Gcf.figs
