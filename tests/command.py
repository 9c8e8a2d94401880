"""Calls the command line in tests, and writes the small files that it is given."""

import contextlib
import io
import sys
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import yaml

from ktg.cli import main

DATA = {"batch_size": 16, "augment": "none"}
EDGES = {"label -> any": {}, "n1 -> n0": {"gate": "linear"}}


@dataclass(frozen=True)
class Done:
    """How a command ended, and what it printed."""

    code: int
    out: str
    err: str


def ktg(*words: object, folder: Path) -> Done:
    """Run the command line in this process, in `folder`."""
    out, err, code = io.StringIO(), io.StringIO(), 0
    argv = ["ktg", *map(str, words)]
    with (
        contextlib.chdir(folder),
        patch.object(sys, "argv", argv),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as end:
            code = end.code
    return Done(code, out.getvalue(), err.getvalue())


def graph_file(path: Path, images: Path, **sections: dict) -> Path:
    """Write a graph of two small networks.

    `sections` replace its own; of `train` and `data` only the given keys are replaced.
    """
    plain = {
        "data": {"path": str(images), **DATA, **sections.pop("data", {})},
        "train": {"epochs": 2, "lr": 0.05, "precision": "float32", **sections.pop("train", {})},
        "nodes": {"n0": {"model": "resnet8"}, "n1": {"model": "resnet8"}},
        "edges": EDGES,
        **sections,
    }
    path.write_text(yaml.safe_dump(plain, sort_keys=False), encoding="utf-8")
    return path
