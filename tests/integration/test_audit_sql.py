"""`audit sql` reads the store and nothing else, within its limits; and every way out of it that we could think of."""

from pathlib import Path

import pytest

from detector.audit.answer import AuditError
from detector.audit.beside import through
from detector.audit.door import Door
from detector.audit.readonly import Forbidden, classify
from detector.audit.sql import Limits, answer
from detector.store.client import Store
from tests.support.audited import small, small_server

__all__ = ["small", "small_server"]
pytestmark = pytest.mark.chdb

READS = [
    "SELECT count() FROM events",
    "SELECT count() FROM events;",
    "from events select count()",
    "SELECT count() FROM events -- and nothing else",
    "/* INSERT */ SELECT ';', 'DROP TABLE events', 'Function file' FROM events",
    "WITH some AS (SELECT principal FROM events) SELECT count() FROM some",
    "(SELECT 1 AS n) UNION ALL (SELECT 2)",
    "SELECT e.id, f.id FROM events AS e LEFT JOIN findings AS f ON f.event_id = e.id",
    "SELECT arrayMap(x -> x + 1, [1, 2]), format('{}', 'a')",
    "SELECT number FROM numbers(3)",
    "SELECT name, comment FROM system.columns WHERE table = 'events_data' LIMIT 3",
    "SELECT JSONExtractString(attributes, 'reason') FROM events",
    "EXPLAIN SELECT 1",
    "DESCRIBE TABLE events",
    "SHOW TABLES",
]
WRITES = [
    "DROP TABLE events_data",
    "TRUNCATE TABLE events_data",
    "ALTER TABLE events_data DELETE WHERE 1",
    "INSERT INTO events_data (principal) VALUES ('x')",
    "INSERT INTO events_data (principal) SELECT 'x'",
    "CREATE TABLE x (a Int8) ENGINE = Memory",
    "CREATE VIEW x AS SELECT 1",
    "CREATE FUNCTION f AS x -> x",
    "CREATE OR REPLACE TABLE events_data (a Int8) ENGINE = Memory",
    "ATTACH TABLE x",
    "DETACH TABLE events_data",
    "RENAME TABLE events_data TO x",
    "EXCHANGE TABLES events_data AND findings_data",
    "OPTIMIZE TABLE events_data FINAL",
    "SYSTEM FLUSH LOGS",
    "SYSTEM STOP MERGES",
    "KILL QUERY WHERE 1",
    "SET readonly = 0",
    "USE default",
    "GRANT SELECT ON *.* TO x",
    "BACKUP DATABASE default TO File('x')",
    "BEGIN TRANSACTION",
    "UNDROP TABLE x",
    "DELETE FROM events_data WHERE 1",
    "UPDATE events_data SET principal = 'x' WHERE 1",
]
WAYS_OUT = [
    "SELECT 1; DROP TABLE events_data",
    "SELECT 1;\n\nSELECT file('{secret}')",
    "SELECT 1 INTO OUTFILE '{out}'",
    "SELECT 1 /**/ INTO /**/ OUTFILE '{out}' TRUNCATE FORMAT CSV",
    "EXPLAIN SELECT 1 INTO OUTFILE '{out}'",
    "SELECT * FROM file('{secret}', 'LineAsString')",
    "SELECT file('{secret}')",
    "SELECT `file`('{secret}')",
    "SELECT \"file\"('{secret}')",
    "SELECT FILE('{secret}')",
    "SELECT arrayMap(file, ['{secret}'])",
    "WITH file AS f SELECT arrayMap(f, ['{secret}'])",
    "SELECT * APPLY(file) FROM (SELECT '{secret}')",
    "SELECT * APPLY(x -> file(x)) FROM (SELECT '{secret}')",
    "SELECT COLUMNS('a') APPLY file FROM (SELECT '{secret}' AS a)",
    "SELECT * REPLACE(file(a) AS a) FROM (SELECT '{secret}' AS a)",
    "SELECT 1 WHERE '{secret}' IN file('{secret}', 'LineAsString')",
    "SELECT (SELECT file('{secret}'))",
    "SELECT id FROM events ORDER BY file('{secret}')",
    "SELECT id FROM events QUALIFY file('{secret}') = ''",
    "SELECT `a\n   SelectWithUnionQuery`, file('{secret}')",
    "EXPLAIN SELECT * FROM file('{secret}')",
    "DESCRIBE TABLE file('{secret}')",
    "SELECT * FROM default.`{secret}`",
    "SELECT * FROM DEFAULT.`{secret}`",
    "SELECT * FROM `default`.`{secret}`",
    "SELECT 1 IN default.`{secret}`",
    "DESCRIBE TABLE default.`{secret}`",
    "SELECT * FROM merge('default', '.*')",
    "SELECT * FROM view(SELECT 1)",
    "SELECT * FROM url('http://127.0.0.1:1/', 'CSV', 'a String')",
    "SELECT * FROM s3('http://127.0.0.1:1/x', 'CSV', 'a String')",
    "SELECT * FROM remote('127.0.0.1:1', system.one)",
    "SELECT * FROM cluster('default', system.one)",
    "SELECT * FROM mysql('127.0.0.1:1', 'a', 'b', 'c', 'd')",
    "SELECT * FROM sqlite('{secret}', 't')",
    "SELECT * FROM executable('id', 'TSV', 'a String')",
    "SELECT * FROM python('x')",
    "SELECT * FROM filesystem('/')",
    "SELECT * FROM fileCluster('default', '{secret}')",
    "SELECT * FROM loop(events)",
    "SELECT dictGet('x', 'a', 1)",
    "SELECT joinGet('default.x', 'a', 1)",
    "SELECT hasColumnInTable('default', '{secret}', 'c1')",
    "SELECT getServerSetting('max_connections')",
    "SELECT sleep(3)",
    "SELECT * FROM system.processes",
    "SELECT * FROM system.query_log",
    "SELECT 1 IN system.processes",
    "SHOW PROCESSLIST",
    "SHOW GRANTS",
    "SHOW TABLES FROM default",
    "SELECT * FROM INFORMATION_SCHEMA.tables",
    "SELECT 1 SETTINGS readonly = 0",
    "SELECT 1 UNION ALL SELECT 2 SETTINGS max_execution_time = 0",
    "SELECT * FROM (SELECT 1 SETTINGS max_memory_usage = 0)",
    "SELECT 1 FORMAT CSV",
    "CHECK TABLE events_data",
    "EXPLAIN TABLE OVERRIDE mysql('a', 'b', 'c', 'd', 'e')",
    "",
    "nonsense",
    ";",
]


def beside(small: Store) -> Store:
    """The store as another process sees it, through the door that its owner keeps."""
    return through(Path(str(getattr(small.client, "path"))), small.database)  # noqa: B009 - not every client has one


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret.csv"
    path.write_text("swordfish\n")
    return path


def count(small: Store) -> int:
    return int(small.client.query("SELECT count() FROM events").result_rows[0][0])


@pytest.mark.parametrize("statement", READS)
def test_what_reads_is_answered(small: Store, statement: str) -> None:
    assert answer(small, statement).tables[0].rows


@pytest.mark.parametrize("statement", [*WRITES, *WAYS_OUT])
def test_everything_else_is_refused(small: Store, secret: Path, tmp_path: Path, statement: str) -> None:
    out = tmp_path / "out"
    with pytest.raises(AuditError) as refused:
        answer(small, statement.format(secret=secret, out=out))
    assert "swordfish" not in str(refused.value)
    assert not out.exists()
    assert count(small) == 5


def test_the_engine_alone_would_have_let_some_of_it_through(small: Store, secret: Path) -> None:
    """The reason for the guard: were the engine to close these holes, it could be simpler."""
    found = small.client.query(f"SELECT file('{secret}')", settings={"readonly": 1}).result_rows
    assert found == [("swordfish\n",)]
    found = small.client.query(f"SELECT arrayMap(file, ['{secret}'])", settings={"readonly": 1}).result_rows
    assert found == [(["swordfish\n"],)]


def test_several_statements_are_told_from_one(small: Store) -> None:
    import chdb  # noqa: PLC0415

    handle = chdb.connect(getattr(small.client, "path"))  # type: ignore[no-untyped-call]  # noqa: B009
    try:
        with pytest.raises(Forbidden, match="one statement"):
            classify(handle, "SELECT 1; SELECT 2")
    finally:
        handle.close()


@pytest.mark.parametrize(
    ("statement", "limits", "why"),
    [
        ("SELECT count() FROM numbers(1000000000000)", Limits(seconds=0.5), "--seconds"),
        ("SELECT groupArray(number) FROM numbers(1000000000)", Limits(memory=50_000_000), "--memory"),
        ("SELECT number FROM numbers(1000)", Limits(rows=100), "--rows"),
        ("SELECT nothing FROM events", Limits(), "DESCRIBE TABLE"),
        ("SELECT 1 FROM nothing", Limits(), "SHOW TABLES"),
    ],
)
@pytest.mark.parametrize("through_the_door", [False, True])
def test_what_goes_beyond_a_limit_is_told_with_the_remedy(
    small: Store, statement: str, limits: Limits, why: str, through_the_door: bool
) -> None:
    with Door(small):
        if not through_the_door:
            with pytest.raises(AuditError, match=why):
                answer(small, statement, limits)
            return
        with beside(small) as asked, pytest.raises(AuditError, match=why):
            answer(asked, statement, limits)


def test_columns_of_one_name_are_told_apart(small: Store) -> None:
    assert answer(small, "SELECT 1, 1").tables[0].columns == ("1", "1_2")
    assert len(set(answer(small, "SELECT f.id, e.id FROM events e, events f LIMIT 1").tables[0].columns)) == 2


@pytest.mark.parametrize("statement", READS)
def test_a_server_answers_what_reads(small_server: Store, statement: str) -> None:
    assert answer(small_server, statement).tables[0].rows


@pytest.mark.parametrize(
    "statement", [text for text in [*WRITES, *WAYS_OUT] if ";" not in text and "OUTFILE" not in text and text]
)
def test_a_server_is_asked_nothing_else(small_server: Store, secret: Path, statement: str) -> None:
    """A real one takes no two statements and writes no file over HTTP; that much the test's server does not refuse."""
    with pytest.raises(AuditError) as refused:
        answer(small_server, statement.format(secret=secret))
    assert "swordfish" not in str(refused.value)
