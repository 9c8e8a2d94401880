import io
import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from ktg.data.formula.fractal import list_settings, make_generator
from ktg.data.formula.image_writer import encode_png, write_folder
from ktg.errors import DataError

SMALL = {"size": 20, "points": 500, "masks": 1}


def write(folder, classes=2, resume=False, **settings):
    formula = make_generator("fractaldb", classes, **(SMALL | settings))
    return write_folder(formula, folder, list_settings(formula), resume=resume, threads=2)


def test_the_official_layout_and_names(tmp_path):
    formula, done = make_generator("fractaldb", 2, **SMALL), []
    assert (
        write_folder(formula, tmp_path / "db", list_settings(formula), progress=done.append) == 200
    )
    assert sum(done) == 200
    assert sorted(path.name for path in (tmp_path / "db").iterdir()) == [
        "00000",
        "00001",
        "fractal.json",
    ]
    names = sorted(path.name for path in (tmp_path / "db/00001").iterdir())
    assert len(names) == 100
    assert names[0] == "00001_00_count_0_flip0.png"
    assert names[-1] == "00001_24_count_0_flip3.png"
    with Image.open(tmp_path / "db/00001/00001_03_count_0_flip2.png") as image:
        np.testing.assert_array_equal(np.asarray(image), formula.draw(1, 14))
    assert json.loads((tmp_path / "db/fractal.json").read_text())["scale"] == 0.4


def test_resume_writes_what_is_missing_and_leaves_the_rest(tmp_path):
    write(tmp_path)
    kept = tmp_path / "00000/00000_00_count_0_flip0.png"
    kept.write_bytes(b"mine")
    (tmp_path / ".00002.tmp").mkdir()
    (tmp_path / ".00002.tmp/00002_00_count_0_flip0.png").write_bytes(b"half")
    assert write(tmp_path, 3, resume=True) == 100
    assert kept.read_bytes() == b"mine"
    assert len(list((tmp_path / "00002").iterdir())) == 100
    assert not (tmp_path / ".00002.tmp").exists()


def test_a_folder_that_cannot_be_gone_on_with_is_refused(tmp_path):
    write(tmp_path / "db")
    with pytest.raises(DataError, match="was begun before; add --resume"):
        write(tmp_path / "db")
    with pytest.raises(DataError, match=r"was begun with scale 0\.4, not 0\.1"):
        write(tmp_path / "db", resume=True, scale=0.1)
    (tmp_path / "db/fractal.json").write_text("{")
    with pytest.raises(DataError, match=r"fractal\.json: is damaged"):
        write(tmp_path / "db", resume=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "other/notes.txt").touch()
    with pytest.raises(DataError, match="holds other files"):
        write(tmp_path / "other", resume=True)
    with pytest.raises(DataError, match="is a file"):
        write(tmp_path / "other/notes.txt")


@pytest.mark.slow
def test_a_full_disk_is_one_sentence_and_leaves_no_half_class(tmp_path):
    # A limit on the size of a file fails as a full disk does: an OSError in the middle of a write.
    code = f"""
import resource
from pathlib import Path
from ktg.data.formula.image_writer import write_folder
from ktg.data.formula.fractal import make_generator, list_settings
formula = make_generator("fractaldb", 1, size=64, points=5000, masks=1)
formula.draw(0, 0)
resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600))
try:
    write_folder(formula, Path({str(tmp_path)!r}) / "db", list_settings(formula))
except Exception as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith(
        f"DataError {tmp_path / 'db'}: cannot be written: File too large; mend that"
    )
    assert [path.name for path in (tmp_path / "db").iterdir()] == ["fractal.json"]


@given(arrays(np.uint8, st.tuples(st.integers(1, 20), st.integers(1, 20), st.just(3))))
def test_pillow_reads_back_what_was_encoded(picture):
    with Image.open(io.BytesIO(encode_png(picture))) as image:
        assert (image.format, image.mode) == ("PNG", "RGB")
        np.testing.assert_array_equal(np.asarray(image), picture)
