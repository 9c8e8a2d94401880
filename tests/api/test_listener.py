"""Who hears a command called from Python: nobody, or the reader of a notebook."""

import sys
from types import SimpleNamespace

from ktg.api.listener import QUIET, find_listener, is_notebook


def test_outside_a_notebook_nobody_hears(monkeypatch):
    assert find_listener() is QUIET
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    assert not is_notebook()
    # A terminal of IPython has no kernel.
    shell = SimpleNamespace()
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    assert not is_notebook()


def test_in_a_notebook_progress_is_plain_lines(monkeypatch, capsys):
    shell = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    listener = find_listener()
    listener.say("a sentence")
    listener.console.print("3/10 done", highlight=False)
    assert capsys.readouterr().out == "a sentence\n3/10 done\n"
    assert not listener.console.is_terminal
