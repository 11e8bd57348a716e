"""What `connect` and the migrations' loader say no to, before any store is opened."""

import re
import socket
import sys
from pathlib import Path

import pytest

from detector.store.client import connect
from detector.store.errors import StoreError
from detector.store.migrate import load, packaged, statements

HIDDEN = "hunter2"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("clickhouse://host/db", "not the URL of a store"),
        ("detector.db", "not the URL of a store"),
        ("http:///db", "not the URL of a store"),
        ("chdb://", "an embedded store is a path"),
        ("chdb:///tmp/x?pool=3", "an embedded store is a path"),
        ("chdb:///tmp/x?database=a-b", "not a name for a database"),
        ("http://user@host/db;drop", "not a name for a database"),
        ("https://user@host/db?verify=false", "takes no options"),
        ("http://user:hunter2@host/db", "holds a password"),
    ],
)
def test_a_wrong_url_is_refused_with_the_remedy(url: str, said: str) -> None:
    with pytest.raises(StoreError, match=said):
        connect(url)


@pytest.mark.parametrize(
    "url",
    ["http://user:hunter2@host/db", "ftp://user:hunter2@host/db", "http://user:hunter2@/db", "chdb:hunter2?x=1"],
)
def test_an_error_never_shows_the_password(url: str) -> None:
    with pytest.raises(StoreError) as error:
        connect(url)
    assert "hunter2" not in str(error.value)


def test_a_server_that_is_not_there_is_named() -> None:
    with socket.socket() as bound:  # but not listening: nobody else can answer on its port
        bound.bind(("127.0.0.1", 0))
        url = f"http://me@127.0.0.1:{bound.getsockname()[1]}"
        with pytest.raises(StoreError, match=f"can't use the store at {url}/detector: is it running") as error:
            connect(url, password=HIDDEN, connect_timeout=2)
    assert HIDDEN not in str(error.value)


def test_a_wrong_port_is_refused() -> None:
    with pytest.raises(StoreError, match="is the URL right"):
        connect("http://host:eighty/db")


def test_a_missing_engine_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "chdb", None)
    for name in ("_chdbclient", "_backend.chdb_backend"):
        monkeypatch.delitem(sys.modules, f"clickhouse_connect.driver.{name}", raising=False)
    with pytest.raises(StoreError, match=r"pip install 'rogue-agent-detector\[embedded\]'"):
        connect(f"chdb://{tmp_path}")


def write(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).write_text("SELECT 1;\n")
    return folder


def test_migrations_are_loaded_by_number(tmp_path: Path) -> None:
    found = load(write(tmp_path, "0002_b.sql", "0001_a.sql", "notes.txt"))
    assert [(migration.version, migration.label) for migration in found] == [(1, "0001_a"), (2, "0002_b")]


@pytest.mark.parametrize(
    "names",
    [("0002_b.sql",), ("0001_a.sql", "0003_c.sql"), ("0001_a.sql", "0001_b.sql"), ("1_a.sql",), ("0001-a.sql",)],
)
def test_gaps_repeats_and_odd_names_are_refused(tmp_path: Path, names: tuple[str, ...]) -> None:
    with pytest.raises(StoreError):
        load(write(tmp_path, *names))


def test_comments_and_semicolons_within_lines_do_not_split() -> None:
    sql = "-- a comment; with one;\nSELECT ';' AS a, -- and another\n  2;\n  -- between\n\nSELECT 3;"
    assert statements(sql) == ["SELECT ';' AS a, -- and another\n  2", "SELECT 3"]


@pytest.mark.parametrize("sql", ["SELECT 1", "SELECT 1;\nSELECT 2\n", "SELECT 'a;\nb';\n"])
def test_what_can_not_be_split_safely_is_refused(sql: str) -> None:
    with pytest.raises(StoreError):
        statements(sql)


# Statements that say nothing of what stands already, and why the migration can run again all the same.
AGAIN = {
    "CREATE TABLE events_data_anew": "it was dropped just before, if it stood",
    "INSERT INTO events_data_anew": "into a table that is new",
    "EXCHANGE TABLES events_data AND events_data_anew": "either is whole: it is copied anew before each exchange",
    "INSERT INTO events_data": "a row that is there already is merged into one",
    "DROP TABLE events_data_anew": "it was made in the same run",
    "INSERT INTO principal_minutes_data": "emptied just before",
}


def test_every_packaged_statement_can_run_again() -> None:
    """A migration that was cut short is applied again from its start; the integration tests do that, too."""
    bare = set()
    for migration in load(packaged()):
        for statement in statements(migration.sql):
            parts = re.split(r",\n(?=    ADD COLUMN )", statement) if "ADD COLUMN" in statement else [statement]
            if not all(re.search("IF (NOT )?EXISTS|OR REPLACE", part) for part in parts):
                bare.add(statement.partition("\n")[0])
    assert bare == set(AGAIN)
