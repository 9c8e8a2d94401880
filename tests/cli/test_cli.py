"""The command line as a whole: help, exit codes, and words it does not know."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from command import ktg

COMMANDS = ("search", "export", "train", "check", "ui", "graph show")


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_help_lists_every_command_and_an_example_on_lines_of_its_own(room, words):
    done = ktg(*words, folder=room)
    assert (done.code, done.err) == (0, "")
    lines = [line.strip() for line in done.out.splitlines()]
    assert "ktg export quickstart -o best.yaml" in lines
    for command in COMMANDS:
        assert any(line.startswith(command.split()[0]) for line in lines)
    assert "\\b" not in done.out


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help_with_an_example(room, command):
    done = ktg(*command.split(), "--help", folder=room)
    assert done.code == 0
    assert f"Example: ktg {command} " in done.out.replace("\n", " ")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["pridect"], "No such command 'pridect'. Did you mean 'predict'?"),
        (
            ["search", "space.yaml", "--trialls", "3"],
            "No such option '--trialls'. Did you mean '--trials'?",
        ),
        (
            ["search", "space.yaml", "--trials", "0"],
            "Invalid value for '--trials': 0 is not in the range",
        ),
        (
            ["search", "space.yaml", "--seed", "-1"],
            "Invalid value for '--seed': -1 is not in the range",
        ),
        (
            ["train", "graph.yaml", "--seeds", "0"],
            "Invalid value for '--seeds': 0 is not in the range",
        ),
        (["train", "graph.yaml", "--seeds", "two"], "Invalid value for '--seeds': 'two' is not"),
        (["ui", "--port", "0"], "Invalid value for '--port'"),
        (["search"], "Missing argument 'SPACE'."),
        (["check"], "Missing argument 'FILE'."),
        (["graph"], "Missing command."),
    ],
)
def test_a_wrong_word_on_the_command_line(refused, words, said):
    assert refused(*words).startswith(said)


def test_version(room):
    assert ktg("--version", folder=room).out.startswith("ktg, version ")


@pytest.mark.parametrize(
    "words",
    [
        ["check", "space.yaml"],
        ["check", "graph.yaml"],
        ["check", "tiny.npz"],
        ["graph", "show", "graph.yaml"],
    ],
)
def test_json_of_what_only_looks_is_plain_data(room, words):
    done = ktg(*words, "--json", folder=room)
    assert (done.code, done.err) == (0, "")
    assert isinstance(json.loads(done.out), dict)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(28, "No space left on device"), "ktg: no space left on device\n"),
        (OSError(13, "Permission denied", "a.yaml"), "ktg: a.yaml: permission denied\n"),
    ],
)
def test_what_the_system_refuses_is_one_sentence(tmp_path, monkeypatch, error, said):
    def refuse(*_, **__):
        raise error

    monkeypatch.setattr("ktg.api.check", refuse)
    done = ktg("check", "a.yaml", folder=tmp_path)
    assert (done.code, done.out, done.err) == (1, "", said)


def test_ctrl_c_while_the_commands_are_imported_is_no_traceback(tmp_path):
    # As if the signal came in the middle of the imports, at the first module after click.
    (tmp_path / "sitecustomize.py").write_text(
        "import sys\n"
        "class Interrupt:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'ktg.cli.search': raise KeyboardInterrupt\n"
        "sys.meta_path.insert(0, Interrupt())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", "from ktg.cli import main; main()"],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (130, "ktg: interrupted\n")
