"""Makes small zoos for tests, with cards and files of weights, and finds sources in them.

A web server of a folder is here, too.
"""

import contextlib
import http.server
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from ktg.graph import Node, SourceFile
from ktg.models.resolve import resolve_source
from ktg.models.sources import Source
from ktg.zoo import Card, Zoo

HASH = "0" * 64


def card(name: str = "animals", model: str = "resnet8", **fields: Any) -> Card:
    """Return a card; `fields` replace its own."""
    own = {
        "classes": ("cat", "dog"),
        "data": "animals",
        "mean": (0.5,),
        "std": (0.25,),
        "input_size": 32,
    }
    return Card(name=name, model=model, **{**own, **fields})


def weights(path: Path, value: float = 0, size: int = 9) -> Path:
    """Write a .safetensors file whose content depends on `value`."""
    save_file({"w": np.full(size, value, np.float32)}, path)
    return path


def filled(folder: Path, *keys: tuple[str, str]) -> Zoo:
    """Return a zoo with an entry for each (name, model), each with weights of its own."""
    zoo = Zoo(folder / "zoo")
    for number, (name, model) in enumerate(keys):
        zoo.add(card(name, model), weights(folder / f"{number}.safetensors", number))
    return zoo


def find(
    source: str,
    files: Mapping[str, SourceFile] | None = None,
    base: Path | None = None,
    model: str = "resnet8",
) -> Source:
    """Return a source that is there, as `build_network` finds it."""
    found = resolve_source(Node(model=model, source=source), files or {}, base, "p")
    found.check("p")
    return found


def files(folder: Path) -> list[str]:
    """Return the names of all files below a folder but its lock, hidden ones too."""
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.is_file() and path.name != ".lock"
    )


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder in silence."""

    def log_message(self, *args: object) -> None:
        pass


@contextlib.contextmanager
def served(folder: Path, handler: type[Handler] = Handler) -> Iterator[str]:
    """Serve a folder on the loopback interface, and yield its address."""

    class Bound(handler):  # type: ignore[misc, valid-type]
        def __init__(self, *args: Any) -> None:
            super().__init__(*args, directory=str(folder))

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Bound)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
