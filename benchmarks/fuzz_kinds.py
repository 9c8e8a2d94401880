"""Readers of the fuzz suite beyond single files: tables, Python data, stores, servers of a zoo."""

import random
from pathlib import Path
from typing import Any

import numpy as np
from mutations import mutate, mutate_text


def read_labels(folder: Path, own: Path, dice: random.Random) -> None:
    """Check images in one folder with a mutated table of their labels."""
    from ktg import api

    (own / "photos").mkdir()
    for file in (folder / "photos").rglob("*.*"):
        (own / "photos" / file.name).symlink_to(file)
    name = dice.choice(("labels.csv", "train.csv", "metadata.csv"))
    (own / "photos" / name).write_bytes(mutate_text((folder / "labels.csv").read_bytes(), dice))
    api.check(own / "photos")


def read_python(folder: Path, own: Path, dice: random.Random) -> None:
    """Parse a graph or space given as Python data, some of it replaced by any other object."""
    from ktg.graph import parse, parse_space
    from ktg.graph.yaml_files import load

    plain = load(folder / "graph.yaml")
    for _ in range(dice.randint(1, 3)):
        replace_some(plain, dice)
    dice.choice((parse, parse_space))(plain)


def replace_some(plain: Any, dice: random.Random) -> None:
    """Replace one value or key, at any depth of plain data, by another object."""
    strange: list[Any] = [None, True, -1, 10**400, float("nan"), float("inf"), "", "\x1b[2J", b"n0"]
    strange += [[], {}, set(), (), object(), Path("x"), np.float64(0.1), np.zeros(3), len, 1j]
    strange += [{"choice": []}, {"choice": [1, 2]}, {"log": [0, 1]}, {1: 2}, [[[[]]]], "\ud800"]
    keys = list(plain) if isinstance(plain, dict) else list(range(len(plain)))
    if not keys:
        return
    key = dice.choice(keys)
    deeper = plain[key]
    if isinstance(deeper, dict | list) and deeper and dice.random() < 0.8:
        replace_some(deeper, dice)
    elif isinstance(plain, dict) and dice.random() < 0.3:
        odd = dice.choice([None, 1, True, "", "x -> y", "->", (1, 2), b"n0", 1.5, "\x00"])
        plain[odd] = plain.pop(key)
    else:
        plain[key] = dice.choice(strange)


def read_store(folder: Path, own: Path, dice: random.Random) -> None:
    """Ask a mutated tracking store for the state of its search."""
    import sqlite3
    from contextlib import closing, suppress

    from ktg import api

    file = own / "mlflow.db"
    content = (folder / "mlflow.db").read_bytes()
    if dice.random() < 0.4:
        content = mutate(content, dice)
    file.write_bytes(content)
    with suppress(sqlite3.Error), closing(sqlite3.connect(file)) as store:
        for _ in range(dice.randint(0, 3)):
            table, column = dice.choice(
                (
                    *(("runs", "status"), ("runs", "start_time"), ("tags", "value")),
                    *(("tags", "key"), ("metrics", "value"), ("metrics", "step")),
                    *(("latest_metrics", "value"), ("experiments", "lifecycle_stage")),
                )
            )
            values = ("", "x", None, -1, 2**62, "nan", "\x1b[2J", b"\xff", "[", "9" * 400)
            chosen = f"rowid % {dice.randint(1, 4)} = 0"
            with suppress(sqlite3.Error):
                query = f"update {table} set {column} = ? where {chosen}"
                store.execute(query, (dice.choice(values),))
        with suppress(sqlite3.Error):
            if dice.random() < 0.2:
                store.execute(f"drop table {dice.choice(('runs', 'tags', 'metrics', 'params'))}")
            store.commit()
    api.status("birds", tracking_uri=f"sqlite:///{file}")


def read_server(folder: Path, own: Path, dice: random.Random) -> None:
    """Pull a zoo from a web server whose answers are mutated, cut off, redirected or refused."""
    import http.server
    import threading

    from ktg.api.zoo import pull_entries

    class Lying(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            file = folder / "ktg_zoo" / self.path.lstrip("/")
            content = file.read_bytes() if file.is_file() else b""
            if dice.random() < 0.3:
                change = mutate_text if file.suffix == ".yaml" else mutate
                content = change(content or b"x", dice)
            status = dice.choice([200] * 12 + [206, 301, 302, 404, 416, 500, 999])
            self.send_response(status if content else 404)
            length = len(content) + dice.choice([0] * 12 + [-1, 1, 2**40])
            self.send_header("Content-Length", str(max(0, length)))
            if status in (301, 302):
                places = ("/", "http://[", "file:///etc/passwd", "ftp://x", "//", self.path)
                self.send_header("Location", dice.choice(places))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Lying) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            pull_entries(f"http://127.0.0.1:{server.server_port}", zoo=own / "zoo")
        finally:
            server.shutdown()
