"""Reports from Python."""

import pytest

import ktg
from ktg.errors import UserError

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.slow
def test_report_and_compare_are_those_of_the_commands(searched, tmp_path):
    data = ktg.report("a search", tmp_path / "page.html", tracking_uri=searched.uri)
    assert data["comparison"][0]["val_accuracy"] == searched.result["rows"][0]["accuracy"]
    assert (tmp_path / "page.html").read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    with pytest.raises(UserError, match="at least two experiments are needed"):
        ktg.compare("a search", tracking_uri=searched.uri)
    with pytest.raises(UserError, match="there is no folder"):
        ktg.report("a search", tmp_path / "absent" / "page.html", tracking_uri=searched.uri)
