from pathlib import Path

import numpy as np
import pytest

from ktg.data.locate import find_data
from ktg.errors import DataError, SpecError
from ktg.graph import Data


def test_a_folder_an_npz_and_a_name(make, tmp_path: Path):
    root = make({"a": 3, "b": 3})
    np.savez(tmp_path / "set.npz", x=np.zeros((6, 4, 4), np.uint8), y=[0, 1, 0, 1, 0, 1])
    assert find_data(Data(path="set"), tmp_path).classes == ("a", "b")
    assert find_data(Data(path=str(root)), None).classes == ("a", "b")
    assert find_data(Data(path="set.npz"), tmp_path).classes == ("0", "1")
    assert len(find_data(Data(name="digits"), None).classes) == 10


def test_a_relative_path_without_base_is_in_the_working_folder(
    make, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(make({"a": 3, "b": 3}).parent)
    assert find_data(Data(path="set"), None).classes == ("a", "b")


def test_what_cannot_be_found(tmp_path: Path):
    with pytest.raises(
        DataError, match=r"data.path: nowhere does not exist \(looked for .*/nowhere\)"
    ):
        find_data(Data(path="nowhere"), tmp_path)
    (tmp_path / "set.csv").touch()
    (tmp_path / "sets").mkdir()
    with pytest.raises(
        DataError, match=r"data.path: st/a does not exist \(looked for .*\)\. Did you mean 'sets'\?"
    ):
        find_data(Data(path="st/a"), tmp_path)
    with pytest.raises(DataError, match=r"set\.csv is neither a folder nor an \.npz"):
        find_data(Data(path="set.csv"), tmp_path)
    with pytest.raises(SpecError, match="Did you mean 'digits'"):
        find_data(Data(name="digit"), None)
    with pytest.raises(SpecError, match="give either"):
        find_data(Data(), None)


def test_what_the_system_refuses_is_one_sentence(tmp_path: Path):
    with pytest.raises(DataError, match=r"data\.path: a{1000} cannot be read \(File name too long"):
        find_data(Data(path="a" * 1000), tmp_path)


def test_structure_is_checked(make):
    with pytest.raises(DataError, match="at least two"):
        find_data(Data(path=str(make({"a": 3}, name="one"))), None)
    with pytest.raises(DataError, match=r"at least 3 images in the train split.*a \(2\)"):
        find_data(Data(path=str(make({"a": 2, "b": 3}, name="few"))), None)


def test_what_is_drawn_is_not_found():
    with pytest.raises(SpecError, match=r"data\.name: svd is drawn and not found"):
        find_data(Data(name="svd"), None)
