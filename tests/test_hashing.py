"""The hash of a file is kept while the file stays the same."""

import hashlib
import os
from pathlib import Path

from ktg.hashing import file_sha256


def test_the_hash_is_that_of_the_content_and_follows_every_change(tmp_path: Path):
    file = tmp_path / "file"
    for content in (b"", b"one", b"two"):
        file.write_bytes(content)
        os.utime(file, ns=(1, 1))  # the time of the change of the inode still tells
        assert file_sha256(file) == hashlib.sha256(content).hexdigest()


def test_the_file_is_read_once(tmp_path: Path, monkeypatch):
    file = tmp_path / "file"
    file.write_bytes(b"one")
    first = file_sha256(file)
    monkeypatch.setattr(Path, "open", None)
    assert file_sha256(file) == first
