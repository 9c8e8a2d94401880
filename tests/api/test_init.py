"""The commands as functions: all of them, by their names, lazily."""

import subprocess
import sys

import pytest

import ktg
from ktg import api
from ktg.cli import commands


def test_every_command_has_its_function():
    other = {"graph": "draw", "source": "pretrain"}
    rooms = {
        "affinity",
        "data",
        "zoo",
        "transfer",
    }  # `ktg.affinity` and the like are packages of functions
    names = {other.get(name, name) for name in commands.commands} - rooms
    assert names <= set(ktg.__all__)
    assert all(
        callable(getattr(ktg, name)) and getattr(ktg, name) is getattr(api, name)
        for name in ktg.__all__
    )
    assert set(ktg.__all__) <= set(dir(ktg))
    with pytest.raises(AttributeError, match="module 'ktg' has no attribute 'nonsense'"):
        ktg.nonsense  # noqa: B018


def test_a_name_is_found_without_importing_torch():
    code = "import sys, ktg; ktg.search; ktg.train; sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
