"""Who hears a command called from Python: nobody, or the reader of a notebook."""

import sys
from types import SimpleNamespace

from ktg.api.listener import QUIET, SparseLines, find_listener, is_notebook


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


def test_in_a_notebook_what_is_being_done_is_said_now_and_then(monkeypatch, capsys):
    shell = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    listener = find_listener()
    listener.status("Looking at the images")
    listener.status("Ranking weights")  # at once
    listener.decoding(1, 2)
    assert capsys.readouterr().out == "Looking at the images\n"
    seconds = iter([0, 4, 5, 9, 11])
    lines = SparseLines(clock=lambda: next(seconds))
    for text in ("one", "two", "three", "four", "three"):
        lines.tell(text)
    assert capsys.readouterr().out == "one\nthree\n"
    lines = SparseLines(clock=lambda: 0.0)
    lines.tell_count("decoding images", 1000, 20_000)
    assert capsys.readouterr().out == "decoding images: 1,000 of 20,000\n"
