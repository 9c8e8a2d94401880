"""Archives are read where they lie, and what is hostile in them does nothing."""

import io
import pickle
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ktg.data import archive as archives
from ktg.data.archive import read_archive
from ktg.data.decode import Geometry
from ktg.errors import DataError

FORM = Geometry(4, 3)


def png(value: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((4, 4, 3), value, np.uint8)).save(buffer, "png")
    return buffer.getvalue()


def pack(path: Path, files: dict[str, bytes]) -> Path:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        return path
    kinds = {".tar": "w", ".tgz": "w:gz", ".bz2": "w:bz2", ".xz": "w:xz"}
    with tarfile.open(path, kinds[path.suffix]) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tgz", "a.tar.bz2", "a.tar.xz"])
def test_visible_images_are_found_in_order_and_read(tmp_path, name):
    files = {
        "b/two.png": png(2),
        "a/one.png": png(1),
        "../../outside.png": png(3),
        "/root.png": png(4),
        "__MACOSX/a/._one.png": b"",
        ".hidden.png": png(5),
        "notes.txt": b"no image",
    }
    found = read_archive(pack(tmp_path / name, files), "t")
    found = pickle.loads(pickle.dumps(found))
    names = ["/root.png", "a/one.png", "b/two.png"]
    assert [found.name(row) for row in range(len(found))] == names
    values = {"/root.png": 4, "a/one.png": 1, "b/two.png": 2}
    for row, each in enumerate(names):
        assert (found.open(row, FORM)[1] == values[each]).all()
        assert found.header(row).sides == (4, 4)
        assert found.peak(row) == 0
    last = found.take(np.array([2]))
    assert (last.name(0), len(last)) == ("b/two.png", 1)
    assert last.identity() != found.identity()
    written = {path.name for path in tmp_path.rglob("*.png")}
    assert not written  # nothing is ever unpacked by its name


def test_links_and_devices_are_passed_over(tmp_path):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
            info = tarfile.TarInfo(f"{kind.decode()}.png")
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
    assert len(read_archive(path, "t")) == 0


def test_of_two_files_with_one_name_the_last_counts(tmp_path):
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w") as archive:
        for value in (1, 2):
            info = tarfile.TarInfo("x.png")
            info.size = len(png(value))
            archive.addfile(info, io.BytesIO(png(value)))
    found = read_archive(path, "t")
    assert len(found) == 1
    assert (found.open(0, FORM)[1] == 2).all()


def test_a_bomb_is_refused_before_it_fills_the_disk(tmp_path, monkeypatch):
    monkeypatch.setenv("KTG_CACHE_GIB", str(2 / 1024))
    path = pack(tmp_path / "a.tgz", {"x.png": bytes(4 * 2**20)})
    with pytest.raises(DataError, match=r"t takes more than 0\.0 GiB unpacked, the room that"):
        read_archive(path, "t")
    assert not list((tmp_path / "cache").rglob("*.tar"))
    monkeypatch.setattr(archives, "MAX_FILE_BYTES", 2**20)
    found = read_archive(pack(tmp_path / "a.zip", {"x.png": bytes(4 * 2**20)}), "t")
    with pytest.raises(OSError, match="takes 4,194,304 bytes unpacked"):
        found.open(0, FORM)


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tgz"])
def test_what_is_cut_off_or_no_archive_is_one_sentence(tmp_path, name):
    files = {f"{number}.png": np.random.default_rng(number).bytes(9000) for number in range(9)}
    whole = pack(tmp_path / name, files).read_bytes()
    for content in (b"no archive at all" * 100, whole[: len(whole) // 2]):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match="t cannot be read as an archive, or is damaged"):
            read_archive(tmp_path / name, "t")


def test_an_encrypted_zip_is_refused(tmp_path):
    path = pack(tmp_path / "a.zip", {"x.png": png(1)})
    content = bytearray(path.read_bytes())
    for magic, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(magic) + offset] |= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match="t is encrypted; unpack it"):
        read_archive(path, "t")


def test_a_compressed_tar_is_unpacked_once(tmp_path, cache):
    path = pack(tmp_path / "a.tgz", {"x.png": png(1)})
    first = read_archive(path, "t")
    assert first.path.is_relative_to(cache / "archives")
    stamp = first.path.stat().st_mtime_ns
    assert read_archive(path, "t") == first
    assert first.path.stat().st_mtime_ns == stamp
