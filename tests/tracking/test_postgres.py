"""A store in a real PostgreSQL, with a password, that dies in the middle; skipped without one."""

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ktg.errors import UserError
from ktg.tracking import MlflowTracker, find_experiment

BINARIES = [str(path) for path in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
PASSWORD = "s3cret"


class Postgres:
    """A server on a free port of the loopback address."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        (folder / "password").write_text(PASSWORD)
        # PostgreSQL refuses to run as root.
        self.user = (
            {"user": "postgres", "group": "postgres", "extra_groups": []}
            if os.getuid() == 0
            else {}
        )
        if self.user:
            for path in (folder, folder / "password"):
                shutil.chown(path, "postgres", "postgres")
        options = [
            "--username=ktg",
            "--auth=scram-sha-256",
            f"--pwfile={folder / 'password'}",
            "--no-sync",
        ]
        self.run("initdb", f"--pgdata={self.data}", *options)

    def run(self, tool: str, *words: str) -> None:
        path = shutil.which(tool) or shutil.which(tool, path=os.pathsep.join(BINARIES))
        subprocess.run(
            [path, *words], cwd=self.data.parent, stdout=subprocess.DEVNULL, check=True, **self.user
        )

    def start(self) -> None:
        options = f"-h 127.0.0.1 -p {self.port} -k {self.data.parent} -F"
        self.run(
            "pg_ctl",
            "start",
            "-w",
            f"--pgdata={self.data}",
            f"--options={options}",
            f"--log={self.data}/log",
        )

    def die(self) -> None:
        self.run("pg_ctl", "stop", "-w", f"--pgdata={self.data}", "--mode=immediate")

    def uri(self, password: str = PASSWORD) -> str:
        return f"postgresql+psycopg2://ktg:{password}@127.0.0.1:{self.port}/postgres"


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    pytest.importorskip("psycopg2")
    if not shutil.which("initdb") and not BINARIES:
        pytest.skip("needs PostgreSQL (Debian: postgresql)")
    with tempfile.TemporaryDirectory() as folder:
        server = Postgres(Path(folder))
        server.start()
        yield server
        server.die()


@pytest.mark.slow
def test_a_store_in_postgres_that_dies_in_the_middle_gets_every_record(
    postgres, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)  # where MLflow keeps artifacts of such a store
    warnings: list[str] = []
    with MlflowTracker("space", postgres.uri(), warn=warnings.append) as tracker:
        run = tracker.start("search", params={"gate": "linear"})
        tracker.artifact(run, "graph.yaml", "nodes: {}")
        for step in range(100):
            tracker.log(run, {"acc": 0.5}, step)
        while not tracker.flush():
            assert not warnings
        postgres.die()
        for step in range(100, 200):
            tracker.log(run, {"acc": 0.5}, step)
        assert not tracker.flush(1.0)
        postgres.start()
        tracker.end(run, "finished")
        while not tracker.flush(0.5):
            pass
    assert len(warnings) == 1
    assert PASSWORD not in warnings[0]
    experiment = find_experiment("space", postgres.uri())
    (search,) = experiment.searches()
    assert (search.state, search.params) == ("finished", {"gate": "linear"})
    assert [step for step, _ in experiment.history(search, "acc")] == list(range(200))
    assert experiment.read_artifact(search, "graph.yaml") == "nodes: {}"
    with pytest.raises(
        UserError, match=r"^cannot read from MLflow at postgresql.*ktg:\*\*\*@"
    ) as raised:
        find_experiment("space", postgres.uri("wr0ng"))
    assert "wr0ng" not in str(raised.value)
