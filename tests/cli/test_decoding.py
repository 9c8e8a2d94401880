"""The bar while images are decoded: there on a terminal, gone when done, absent elsewhere."""

import io

from rich.console import Console

from ktg.cli.decoding import Decoding


def test_on_a_terminal_a_bar_counts_the_images_and_goes():
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=80)
    with Decoding(console) as decoding:
        decoding(1, 3)
        decoding(3, 3)
        shown = screen.getvalue()
        assert "decoding images" in shown
        assert "3/3" in shown
        assert shown.endswith("\x1b[2K")  # the line is erased
        decoding(1, 7)  # the next split begins anew
    assert "/7" in screen.getvalue()
    assert screen.getvalue().endswith("\x1b[2K")  # also when it ends before its time


def test_elsewhere_nothing_is_printed():
    page = io.StringIO()
    with Decoding(Console(file=page)) as decoding:
        decoding(1, 3)
    assert page.getvalue() == ""
