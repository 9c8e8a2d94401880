"""Reads what the scripts are asked for: the options that many of them share."""

import argparse
from pathlib import Path

RESULTS = Path(__file__).parent / "results"


def make_parser(
    about: str | None, file: str | None = None, *, seeds: int | None = None, table: bool = False
) -> argparse.ArgumentParser:
    """Return the parser of a script, whose help is its docstring.

    file: below results/, of a script that is given SHARED and writes there. seeds: how many it has
    unless it is told. table: whether it can show what is in its file.
    """
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    if file is not None:
        parser.add_argument("shared", type=find_folder)
        parser.add_argument("-o", "--output", type=Path, default=RESULTS / file)
    if seeds is not None:
        parser.add_argument("--seeds", type=count_seeds, default=seeds)
    if table:
        parser.add_argument("--table", action="store_true")
    return parser


def find_folder(text: str) -> Path:
    """Return a folder by a path that holds wherever a script goes on."""
    return Path(text).absolute()


def count_seeds(text: str) -> int:
    """Return how many seeds are asked for; with none nothing would be measured."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seeds; allowed: 1 and more")
    return int(text)
