"""What the user says of a proposed search, with one name for each model."""

import pytest

from ktg.errors import UserError
from ktg.graph import SourceFile
from ktg.proposing.wishes import Wishes, settle_wishes


@pytest.fixture
def file(tmp_path):
    (tmp_path / "own.pth").touch()
    return SourceFile(path=str(tmp_path / "own.pth"))


@pytest.mark.parametrize(
    ("said", "short"),
    [
        ("timm/resnet18", "resnet18"),
        ("hf-hub:timm/resnet18.a1_in1k", "resnet18.a1_in1k"),
        ("torchvision/resnet18", "torchvision/resnet18"),
        ("resnet8", "resnet8"),
    ],
)
def test_target_and_files_have_the_names_by_which_weights_are_found(file, said, short):
    settled = settle_wishes(Wishes(300, said, {said: file}, 64))
    assert settled == Wishes(300, short, {short: file}, 64)


def test_two_files_for_one_model_are_refused(file):
    with pytest.raises(UserError, match=r"own\.pth are both for resnet18; give one file for a mod"):
        settle_wishes(Wishes(300, files={"resnet18": file, "timm/resnet18": file}))


def test_mistakes_are_named_as_they_were_written(file):
    with pytest.raises(UserError, match=r"--target: 'other/resnet18' is not a model"):
        settle_wishes(Wishes(300, "other/resnet18"))
    with pytest.raises(UserError, match=r"--weights: 'other/resnet18' is not a model"):
        settle_wishes(Wishes(300, files={"other/resnet18": file}))
