"""The page of an audit is complete in itself and shows every find."""

import re

import pytest
from PIL import Image

from ktg.auditing.audit import audit_pool
from ktg.auditing.pool import gather
from ktg.graph import Data
from ktg.reporting import audit_sheet
from ktg.reporting.audit_sheet import draw_audit


@pytest.fixture(scope="module")
def found(photos, tmp_path_factory):
    root = tmp_path_factory.mktemp("copied")
    for file in sorted(photos.rglob("*.*")):
        if file.is_file():
            to = root / file.relative_to(photos).with_suffix(".png")
            to.parent.mkdir(parents=True, exist_ok=True)
            Image.open(file).save(to)
    Image.open(root / "train/noon/1.png").save(root / "test/night/<b>.png")
    return audit_pool(gather(Data(path=str(root), size=32)), None, "colours & shapes")


def test_the_page_needs_nothing_else_and_escapes_names(found):
    page = draw_audit(found, "copied")
    assert "http" not in page.replace("http://www.w3.org", "")
    assert "test/night/&lt;b&gt;.png" in page.replace("<wbr>", "")
    assert "<b>.png" not in page
    assert page.count("data:image/") >= 2
    assert "Leaks" in page and "Twins with different labels" in page
    assert "colours &amp; shapes" in page


def test_of_many_finds_the_first_are_shown(found, monkeypatch):
    monkeypatch.setattr(audit_sheet, "MOST", 1)
    page = draw_audit(found, "copied")
    part = re.search(r'id="leaks".*?</section>', page, re.S).group()
    assert part.count("data:image/") == 1
