"""The commands as functions: all of them, by their names, lazily."""

import inspect
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
        "cache",
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


@pytest.mark.parametrize("name", sorted(set(commands.commands) & set(ktg.__all__)))
def test_the_options_of_a_command_are_arguments_of_its_function(name):
    # What only decides how it is printed; `source` is called `experiment` in Python, and `imagenet`
    # of newer functions `weights`.
    others = {"check": {"schema"}, "predict": {"form", "top"}, "export": {"source"}}
    others |= {"evaluate": {"form"}, "init": {"imagenet"}, "search": {"imagenet"}}
    options = {option.name for option in commands.commands[name].params} - {"as_json"}
    arguments = inspect.signature(getattr(ktg, name)).parameters.keys()
    assert options - others.get(name, set()) <= arguments
