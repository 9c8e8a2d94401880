import hashlib
import os
import platform
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ktg import local
from ktg.errors import UserError
from ktg.local import (
    atomic_write,
    cache_folder,
    check_ending,
    check_name_length,
    data_folder,
    file_sha256,
    file_stamp,
    is_reachable,
    write_text,
)

"""A file is replaced whole, or left as it was."""


def test_the_old_file_stands_until_the_new_one_is_whole(tmp_path: Path):
    path = tmp_path / "file"
    path.write_text("old")
    with atomic_write(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_named_as_what_is_written():
    assert check_ending("page.HTM", "a page is HTML", ".html", ".htm") == Path("page.HTM")
    for name in ("graph.yaml", "html", "page.html.txt", ""):
        with pytest.raises(UserError, match=r"a page is HTML; give a name .* \.html or \.htm"):
            check_ending(name, "a page is HTML", ".html", ".htm")


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(OSError, match="full"), atomic_write(path) as temporary:
        temporary.write_text("ne")
        raise OSError("disk full")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_text_that_cannot_be_written_leaves_the_old_one(tmp_path: Path):
    path = tmp_path / "page.html"
    write_text(path, "häl\n")
    assert path.read_bytes() == "häl\n".encode()
    with pytest.raises(UnicodeEncodeError):
        write_text(path, "\ud800")
    assert path.read_text(encoding="utf-8") == "häl\n"
    assert list(tmp_path.iterdir()) == [path]


"""The hash of a file is kept while the file stays the same."""


def test_the_hash_is_that_of_the_content_and_follows_every_change(tmp_path: Path):
    file = tmp_path / "file"
    for content in (b"", b"one", b"two"):
        file.write_bytes(content)
        os.utime(file, ns=(1, 1))  # the time of the change of the inode still tells
        assert file_sha256(file) == hashlib.sha256(content).hexdigest()


def test_a_file_that_was_replaced_has_another_stamp(tmp_path: Path):
    file = tmp_path / "weights.pth"
    absent = file_stamp(file)
    file.write_bytes(b"one")
    first = file_stamp(file)
    assert file_stamp(file) == first != absent
    (tmp_path / "new").write_bytes(b"two")
    (tmp_path / "new").replace(file)
    assert file_stamp(file) != first


def test_the_file_is_read_once(tmp_path: Path, monkeypatch):
    file = tmp_path / "file"
    file.write_bytes(b"one")
    first = file_sha256(file)
    monkeypatch.setattr(Path, "open", None)
    assert file_sha256(file) == first


def test_a_pipe_has_no_hash(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="no regular file"):
        file_sha256(tmp_path / "pipe")


def test_environment_wins_and_an_empty_variable_means_the_default(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("KTG_CACHE", "~/fast")
    monkeypatch.setenv("KTG_DATA", "")
    assert cache_folder() == tmp_path / "fast"
    assert data_folder() == tmp_path / ".cache/ktg/data"
    monkeypatch.delenv("KTG_CACHE")
    assert cache_folder() == tmp_path / ".cache/ktg"
    assert not list(tmp_path.iterdir())


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch):
    for variable in (
        "http_proxy",
        "https_proxy",
        "all_proxy",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
    ):
        monkeypatch.delenv(variable, raising=False)


def test_a_host_that_listens_is_reachable_and_one_that_does_not_is_not():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert is_reachable(f"http://127.0.0.1:{port}/file.tar.gz")
    assert not is_reachable(f"http://127.0.0.1:{port}/file.tar.gz")
    assert not is_reachable("https://host.invalid/file.tar.gz")


def test_a_name_server_that_hangs_does_not_hang_us(monkeypatch: pytest.MonkeyPatch):
    found, left = threading.Event(), threading.Event()

    def hang(*_: object, **__: object) -> None:
        found.wait(60)
        left.set()
        raise OSError("no such host")

    monkeypatch.setattr(local.socket, "create_connection", hang)
    assert not is_reachable("https://host.invalid/", timeout_s=0.2)
    assert not left.is_set()
    found.set()
    assert left.wait(60)  # the thread is over before the next test


def test_behind_a_proxy_the_proxy_is_asked(monkeypatch: pytest.MonkeyPatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("https_proxy", f"127.0.0.1:{server.getsockname()[1]}")
        assert is_reachable("https://host.invalid/")


"""A name is as long as a file system takes."""


@pytest.mark.parametrize("name", ["a" * 255, "é" * 127, "a" * 240])
def test_a_file_with_the_longest_name_is_written_like_any_other(tmp_path: Path, name: str):
    with atomic_write(tmp_path / name) as temporary:
        temporary.write_text("new")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    check_name_length(tmp_path / name)


@pytest.mark.parametrize("name", ["a" * 256, "é" * 128, "a" * 300 + "/b"])
def test_a_name_that_no_file_can_have(tmp_path: Path, name: str):
    with pytest.raises(
        UserError, match=r"\.\.\..*: the name of this file has \d+ bytes; at most 255"
    ):
        check_name_length(tmp_path / name)


"""What a process has freed it uses again; what the user says of memory is left."""

# Prints whether memory is kept, and how many pages the system clears for 64 MiB the second time.
ALLOCATE_TWICE = """
import resource
import numpy as np
from ktg.local import keep_freed_memory

kept = keep_freed_memory()
for _ in range(2):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(2**23)
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="only glibc gives memory back so soon"
)
@pytest.mark.parametrize("said", [{}, {"MALLOC_TRIM_THRESHOLD_": "131072"}])
def test_freed_memory_is_used_again_but_where_the_user_says_how(said: dict[str, str]):
    given = {name: value for name, value in os.environ.items() if "MALLOC" not in name} | said
    command = [sys.executable, "-c", ALLOCATE_TWICE]
    done = subprocess.run(command, env=given, capture_output=True, text=True, check=True)
    kept, pages = done.stdout.split()
    assert kept == str(not said)
    # 64 MiB are 16384 pages of 4 KiB, or 32 huge ones.
    assert int(pages) < 16 if kept == "True" else int(pages) > 16
