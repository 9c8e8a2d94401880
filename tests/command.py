"""The command line as tests call it, and the small files they give it."""

import contextlib
import io
import sys
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import yaml

from ktg.cli import main

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
    """Write a graph of two small networks; `sections` replace its own, `train` and `data` only the keys given."""
    plain = {
        "data": {
            "path": str(images),
            "batch_size": 16,
            "augment": "none",
            **sections.pop("data", {}),
        },
        "train": {"epochs": 2, "lr": 0.05, "precision": "float32", **sections.pop("train", {})},
        "nodes": {"n0": {"model": "resnet8"}, "n1": {"model": "resnet8"}},
        "edges": EDGES,
        **sections,
    }
    path.write_text(yaml.safe_dump(plain, sort_keys=False), encoding="utf-8")
    return path
