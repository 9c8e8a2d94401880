import subprocess
import sys

import pytest

from ktg.data.set_names import NAMED_SETS, NAMES, check_name
from ktg.errors import SpecError


def test_every_name_is_allowed_and_a_slip_is_answered_with_the_nearest():
    for name in NAMES:
        check_name(name)
    with pytest.raises(
        SpecError, match=r"data\.name: 'cifar1O' is not a known data set.*Did you mean 'cifar10'"
    ) as it:
        check_name("cifar1O")
    assert it.value.path == "data.name"


def test_names_and_opening_folders_need_no_torch():
    heavy = "[m for m in ('torch', 'torchvision', 'sklearn', 'scipy') if m in sys.modules]"
    code = f"import sys, ktg.data, ktg.data.set_names; sys.exit(str({heavy}) if {heavy} else 0)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("name", sorted(NAMED_SETS))
def test_torchvision_has_the_class_and_takes_the_arguments(name: str):
    import inspect

    import torchvision

    known = NAMED_SETS[name]
    parameters = inspect.signature(getattr(torchvision.datasets, known.torchvision)).parameters
    for split in known.splits:
        assert set(split or {}) <= set(parameters)
    assert "root" in parameters


@pytest.mark.parametrize(
    ("name", "attribute"),
    [("cifar10", "url"), ("cifar100", "url"), ("stl10", "url"), ("dtd", "_URL"),
     ("fgvc_aircraft", "_URL"), ("food101", "_URL"), ("country211", "_URL"),
     ("sun397", "_DATASET_URL")],
)  # fmt: skip
def test_addresses_are_those_of_torchvision(name: str, attribute: str):
    import torchvision

    assert (
        getattr(getattr(torchvision.datasets, NAMED_SETS[name].torchvision), attribute)
        == NAMED_SETS[name].url
    )
