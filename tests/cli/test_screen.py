"""What is shown while a command works: lines, and on a terminal bars that go when they are done."""

import ast
import io
import json
from pathlib import Path

from rich.console import Console

import ktg.cli
from ktg.cli.screen import Screen, echo, format_json, make_console
from ktg.cli.tables import make_table
from ktg.training.metrics import EpochMetrics, NodeMetrics
from ktg.training.scoring import Evaluation


def epoch(number: int) -> EpochMetrics:
    nodes = {"n0": NodeMetrics(0.25, 0.5, 1.0, 0.1)}
    return EpochMetrics(number, "n0", nodes, {}, 2.0, 640.4, 0, Evaluation(0.5, 1.0))


def test_a_line_for_each_epoch_where_output_is_kept():
    out = io.StringIO()
    with Screen(Console(file=out, width=20)) as screen:
        show = screen.epochs("[a]/resnet8")
        show(epoch(1), 2)
        show(epoch(2), 2)
    assert out.getvalue().splitlines() == [
        f"[a]/resnet8: epoch {number}/2, train 25.0%, val 50.0%, 640 images/s" for number in (1, 2)
    ]


def test_one_line_on_a_terminal_which_goes():
    out = io.StringIO()
    with Screen(Console(file=out, force_terminal=True, width=120)) as screen:
        show = screen.epochs("a")
        for number in range(1, 4):
            show(epoch(number), 3)
        screen.clear()
        screen.clear()
        show(epoch(3), 3)
    text = out.getvalue()
    assert "a: epoch 3/3, train 25.0%, val 50.0%, 0 s left" in text
    assert (
        text.count("\n") == text.count("\x1b[2K") == 2
    )  # a line each time, and each time it is taken away


def test_on_a_terminal_a_bar_counts_the_images_and_goes():
    out = io.StringIO()
    with Screen(Console(file=out, force_terminal=True, width=80)) as screen:
        decoding = screen.listener.decoding
        decoding(1, 3)
        decoding(3, 3)
        shown = out.getvalue()
        assert "decoding images" in shown
        assert "3/3" in shown
        assert shown.endswith("\x1b[2K")  # the line is erased
        decoding(1, 7)  # the next split has a bar of its own
    assert "/7" in out.getvalue()
    assert out.getvalue().endswith("\x1b[2K")  # also when it ends before its time


def test_a_bar_for_each_file_that_comes_and_a_line_in_between():
    out = io.StringIO()
    with Screen(Console(file=out, force_terminal=True, width=80)) as screen:
        screen.status("looking")
        screen.transfer("a/resnet8", 500_000, 2_000_000)
        screen.transfer("b/resnet8", 0, 1_000_000)
        screen.transfer("a/resnet8", 2_000_000, 2_000_000)
        screen.transfer("b/resnet8", 1_000_000, 1_000_000)
        screen.status("done")
    for said in ("looking", "a/resnet8", "2.0/2.0 MB", "1.0/1.0 MB", "done"):
        assert said in out.getvalue()


def test_elsewhere_nothing_is_drawn():
    out = io.StringIO()
    with Screen(Console(file=out)) as screen:
        screen.count("drawing", 1, 3)
        screen.status("measuring")
    assert out.getvalue() == ""


def test_a_warning_is_printed_as_it_is():
    out = io.StringIO()
    Screen(Console(file=out, width=40)).warn("[bold]a/b[/bold] " + 60 * "x")
    assert out.getvalue() == "[bold]a/b[/bold] " + 60 * "x" + "\n"


def test_names_in_square_brackets_are_shown_as_they_are(capsys):
    table = make_table("[b]class", title="[i]x")
    table.add_row("IMG_1[copy].jpg [/b] a:100:b")
    with Screen() as screen:
        screen.console.print(table)
        screen.console.print("of [old]")
    shown = capsys.readouterr().out
    for text in ("[b]class", "[i]x", "IMG_1[copy].jpg [/b] a:100:b", "of [old]"):
        assert text in shown


def test_nothing_that_is_shown_commands_the_terminal(capsys):
    evil = "\x1b]0;owned\x07\x9b31m\u202e"
    table = make_table("name", evil, title=evil)
    table.add_row("\x1b[2J", "1")
    with Screen() as screen:
        screen.console.print(table, evil)
        screen.say(evil)
        screen.warn(evil)
    make_console(stderr=True).print(evil)
    echo(evil)
    echo(evil, err=True)
    shown = capsys.readouterr()
    for text in shown:
        assert not set("\x1b\x07\x9b\u202e") & set(text)
        assert r"\u001b]0;owned" in text


def test_what_has_a_style_is_escaped_too():
    console = make_console()
    console.file, console._force_terminal = io.StringIO(), True
    with console.capture() as shown:
        console.print("a\x1b", style="bold")
    assert r"a\u001b" in shown.get()


def test_json_is_valid_whatever_is_in_it():
    value = {"a": float("nan"), "b": [float("inf"), 1.5, (-float("inf"), None, True, 3)]}
    assert json.loads(format_json(value)) == {"a": None, "b": [None, 1.5, [None, None, True, 3]]}
    text = format_json({"name": "\x1b\x9b\u202e\udcff caf\u00e9\n"}, indent=2)
    assert not set("\x1b\x9b\u202e\udcff") & set(text)
    assert "caf\u00e9" in text
    assert json.loads(text) == {"name": "\x1b\x9b\u202e\udcff caf\u00e9\n"}


def test_every_command_prints_through_the_screen():
    """A command that printed by itself would show the texts of strangers as they are."""
    direct = [
        f"{path.name}:{node.lineno}"
        for path in Path(ktg.cli.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if path.name != "screen.py"
        and isinstance(node, ast.Call)
        and ast.unparse(node.func) in ("click.echo", "click.secho", "print", "Console")
    ]
    assert direct == []
