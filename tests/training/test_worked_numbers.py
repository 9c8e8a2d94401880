"""The worked numbers in the docstrings of the mathematics are what the functions return."""

import doctest
import inspect

import pytest

from ktg.training import gates, losses, schedule, sinkhorn

MODULES = pytest.mark.parametrize("module", [gates, losses, schedule, sinkhorn])


@MODULES
def test_worked_numbers_are_right(module):
    assert doctest.testmod(module).failed == 0


@MODULES
def test_every_public_function_has_one(module):
    public = [
        function
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and not name.startswith("_")
    ]
    assert public
    assert [function.__name__ for function in public if ">>>" not in function.__doc__] == []
