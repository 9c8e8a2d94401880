import sqlite3
import subprocess
import sys
from contextlib import closing
from unittest.mock import MagicMock

import pytest

from ktg.errors import UserError, show
from ktg.tracking import MlflowTracker
from ktg.tracking.store import (
    _create_sqlite,
    check_experiment_name,
    check_schema,
    check_uri,
    explain,
    name_places,
    name_store,
    redact,
    sqlite_file,
)


def test_a_relative_path_is_fixed_to_the_folder_of_the_moment(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert check_uri("sqlite:///mlflow.db") == f"sqlite:///{tmp_path}/mlflow.db"
    assert check_uri("sqlite:///a.db?timeout=1") == f"sqlite:///{tmp_path}/a.db?timeout=1"
    assert sqlite_file("sqlite:////data/a.db").as_posix() == "/data/a.db"
    assert sqlite_file("https://mlflow.example.org") is None
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("./mlruns", "no longer keeps runs in plain folders"),
        ("file:///tmp/mlruns", "no longer keeps runs in plain folders"),
        ("sqlit:///mlflow.db", "Did you mean 'sqlite'"),
        ("sqlite://", "needs a file"),
        ("sqlite:///:memory:", "needs a file"),
        ("sqlite:////nonexistent/mlflow.db", "there is no folder /nonexistent"),
    ],
)
def test_what_cannot_be_a_store_is_said_at_once(uri, says):
    with pytest.raises(UserError, match=says):
        check_uri(uri)


def test_a_command_names_a_store_that_it_would_not_come_to_by_itself(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    server, other = "https://me:s3cret@host", ["--tracking-uri", "sqlite:///mlflow.db"]
    assert name_store(None) == name_store("sqlite:///mlflow.db") == []
    assert name_store(server) == ["--tracking-uri", "https://me:***@host"]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    assert name_store(None) == name_store(server) == []
    assert name_store("sqlite:///mlflow.db") == other
    # A page that names it is read elsewhere, too.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "https://host")
    assert name_store("https://host") == ["--tracking-uri", "https://host"]
    assert name_places("sqlite:///mlflow.db", out="birds") == ["--out", "birds", *other]


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("https://me:s3cret@host:5000/x", "https://me:***@host:5000/x"),
        ("postgresql+psycopg://me:s3c@ret@db/mlflow", "postgresql+psycopg://me:***@db/mlflow"),
        ("https://host:5000", "https://host:5000"),
        ("https://t0ken@host", "https://***@host"),
        ("sqlite:///mlflow.db", "sqlite:///mlflow.db"),
    ],
)
def test_a_password_is_never_shown(uri, shown):
    assert redact(uri) == shown


def test_an_error_is_shown_without_the_password():
    uri = "https://me:s3%40cret@host"
    shown = explain(OSError(f"no route to {uri} for me / s3@cret / s3%40cret\nTraceback ..."), uri)
    assert shown == "no route to https://me:***@host for me / *** / ***"


def test_an_error_is_shown_without_the_login_of_the_environment(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "s3cret")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "t0ken")
    assert explain(OSError("Basic s3cret, Bearer t0ken"), "https://host") == "Basic ***, Bearer ***"


def test_an_error_is_shown_by_the_line_that_says_something():
    said = "(sqlite3.OperationalError) disk is full"
    text = f"(raised as a result of Query-invoked autoflush; ...)\n{said}\n[SQL"
    assert (
        explain(OSError(text), "sqlite:///mlflow.db") == "(sqlite3.OperationalError) disk is full"
    )
    assert explain(OSError(), "sqlite:///mlflow.db") == "OSError"


def test_a_store_is_made_whole_or_not_at_all(tmp_path):
    file = tmp_path / "mlflow.db"

    def client(uri: str) -> MagicMock:
        sqlite_file(uri).write_text("new")
        return MagicMock(search_experiments=search)

    search = MagicMock(side_effect=OSError("disk full"))
    with pytest.raises(OSError, match="disk full"):
        _create_sqlite(client, file)
    assert not list(tmp_path.iterdir())
    file.write_text("of another process, which was faster")
    search = MagicMock()
    _create_sqlite(client, file)
    assert [(path, path.read_text()) for path in tmp_path.iterdir()] == [
        (file, "of another process, which was faster")
    ]
    file.unlink()
    _create_sqlite(client, file)
    assert [(path, path.read_text()) for path in tmp_path.iterdir()] == [(file, "new")]


def test_importing_the_package_loads_no_mlflow():
    code = (
        "import sys, ktg.tracking; sys.exit('mlflow' in sys.modules or 'sqlalchemy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("x" * 256, "it has 256 bytes, and 255 are allowed"),
        ("é" * 128, "it has 256 bytes"),
        ("a\nb", "control characters"),
        ("\x1b[31m", "control characters"),
        ("a\x00", "control characters"),
        ("\udce9", "not UTF-8"),
        ("..", "must not have . or .."),
        ("a/../b", "must not have . or .."),
        (".", "must not have . or .."),
        ("/a", "nor a slash at an end"),
        ("a/", "nor a slash at an end"),
        (" ", "must not be empty"),
    ],
)
def test_a_name_that_cannot_be_that_of_an_experiment(name, rule):
    with pytest.raises(UserError) as raised:
        check_experiment_name(name)
    assert str(raised.value).startswith(f"{show(name)} cannot name an experiment; it ")
    assert rule in str(raised.value)


def test_names_that_experiments_may_have():
    for name in ("x" * 255, "é" * 127, "my birds", "..a", "team/birds", "鳥"):
        check_experiment_name(name)
    check_experiment_name("/Users/me/birds", "databricks")


@pytest.mark.slow
def test_a_database_of_another_version_of_mlflow_is_told_of_at_once_with_the_remedy(tmp_path):
    file = tmp_path / "mlflow.db"
    uri = f"sqlite:///{file}"
    with MlflowTracker("space", uri) as tracker:
        tracker.start("search")
    check_schema(uri)
    with closing(sqlite3.connect(file)) as database:
        database.execute("UPDATE alembic_version SET version_num = 'fedcba987654'")
        database.commit()
    with pytest.raises(UserError) as raised:
        MlflowTracker("space", uri)
    said = str(raised.value)
    assert said.startswith(
        f"MLflow at {uri} cannot be used: its tables have the schema fedcba987654"
    )
    assert said.endswith(f"run `mlflow db upgrade {uri}`, else install the MLflow that made them")
    theirs = (
        "Detected out-of-date database schema (found version a1, but expected b2). Take a backup"
    )
    assert explain(RuntimeError(theirs), uri).startswith(
        "its tables have the schema a1, and MLflow "
    )


def test_a_database_that_is_not_there_is_none_of_another_version(tmp_path):
    check_schema(f"sqlite:///{tmp_path}/mlflow.db")
    (tmp_path / "no.db").write_text("no database")
    check_schema(f"sqlite:///{tmp_path}/no.db")
    assert [path.name for path in tmp_path.iterdir()] == ["no.db"]


def test_a_long_reason_is_cut_between_words():
    assert explain(OSError("word " * 60), "sqlite:///a.db") == "word " * 40 + "..."
    assert explain(OSError("x" * 300), "sqlite:///a.db") == "x" * 200
