from pathlib import Path

import pytest

from ktg.places import cache_folder, data_folder


def test_environment_wins_and_an_empty_variable_means_the_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KTG_CACHE", "~/fast")
    monkeypatch.setenv("KTG_DATA", "")
    assert cache_folder() == tmp_path / "fast"
    assert data_folder() == tmp_path / ".cache/ktg/data"
    monkeypatch.delenv("KTG_CACHE")
    assert cache_folder() == tmp_path / ".cache/ktg"
    assert not list(tmp_path.iterdir())
