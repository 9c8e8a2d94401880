"""`ktg cache`: what it says and does."""

import json
from pathlib import Path

from command import ktg


def test_the_cache_is_shown_and_cleared(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("KTG_CACHE", str(tmp_path / "cache"))
    (tmp_path / "cache/solo").mkdir(parents=True)
    (tmp_path / "cache/solo/a.safetensors").write_bytes(bytes(2**20))
    shown = ktg("cache", "show", folder=tmp_path).out.splitlines()
    assert shown[0] == str(tmp_path / "cache")
    assert [line.split() for line in shown[1:]] == [
        ["images", "0", "entries", "0.00", "GiB"],
        ["archives", "0", "entries", "0.00", "GiB"],
        ["views", "0", "entries", "0.00", "GiB"],
        ["teachers", "1", "entries", "0.00", "GiB"],
        ["answers", "0", "entries", "0.00", "GiB"],
        ["limit", "of", "each", "200.00", "GiB"],
    ]
    found = json.loads(ktg("cache", "clear", "--json", folder=tmp_path).out)
    assert [each["entries"] for each in found["kept"]] == [0] * 5
    assert found["limit_bytes"] == 200 * 2**30


def test_a_limit_that_is_no_size(tmp_path: Path, monkeypatch):
    monkeypatch.setenv("KTG_CACHE_GIB", "much")
    done = ktg("cache", "show", folder=tmp_path)
    assert (done.code, done.err) == (
        2,
        "ktg: KTG_CACHE_GIB: 'much' is not a size in GiB; allowed: 0 or more\n",
    )
