"""Where entries of the cache are, and how they are found again."""

import pytest

from ktg.data.cache_kinds import ANSWERS, ARCHIVES, IMAGES, TEACHERS, VIEWS


@pytest.mark.parametrize("kind", [ANSWERS, ARCHIVES, IMAGES, TEACHERS, VIEWS])
def test_an_entry_is_found_where_it_is_placed(kind, tmp_path, monkeypatch):
    monkeypatch.setenv("KTG_CACHE", str(tmp_path / "cache"))
    assert list(kind.find()) == []
    entry = kind.place("abc")
    entry.mkdir(parents=True)
    (entry.parent / "abc.other").mkdir()
    assert list(kind.find()) == [entry]
    elsewhere = kind.place("abc", tmp_path)
    elsewhere.mkdir(parents=True)
    assert list(kind.find(tmp_path)) == [elsewhere]
    assert entry.relative_to(tmp_path / "cache") == elsewhere.relative_to(tmp_path)


def test_what_has_begun_is_found_where_that_is_wanted(tmp_path):
    entry = ANSWERS.place("abc", tmp_path)
    begun = entry.with_name(f"{entry.name}.tmp")
    begun.mkdir(parents=True)
    assert list(ANSWERS.find(tmp_path)) == []
    assert list(ANSWERS.find(tmp_path, begun=True)) == [begun]
