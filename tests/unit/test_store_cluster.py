"""The schema for a cluster: every statement is rendered, and means what it should. It can't be run here."""

import re

import pytest

from detector.store.cluster import check_name, on_cluster
from detector.store.errors import StoreError
from detector.store.migrate import load, packaged, statements

MIGRATIONS = [(m.label, statement) for m in load(packaged()) for statement in statements(m.sql)]


@pytest.mark.parametrize(
    ("plain", "replicated"),
    [
        ("CREATE DATABASE IF NOT EXISTS d", "CREATE DATABASE IF NOT EXISTS d ON CLUSTER `c`"),
        ("CREATE VIEW IF NOT EXISTS v AS SELECT 1", "CREATE VIEW IF NOT EXISTS v ON CLUSTER `c` AS SELECT 1"),
        ("CREATE OR REPLACE VIEW v AS SELECT 1", "CREATE OR REPLACE VIEW v ON CLUSTER `c` AS SELECT 1"),
        (
            "CREATE MATERIALIZED VIEW IF NOT EXISTS v TO t AS SELECT 1",
            "CREATE MATERIALIZED VIEW IF NOT EXISTS v ON CLUSTER `c` TO t AS SELECT 1",
        ),
        ("ALTER TABLE t\n    ADD COLUMN a UInt8", "ALTER TABLE t ON CLUSTER `c`\n    ADD COLUMN a UInt8"),
        ("DROP TABLE t", "DROP TABLE t ON CLUSTER `c`"),
        ("DROP VIEW IF EXISTS v", "DROP VIEW IF EXISTS v ON CLUSTER `c`"),
        ("TRUNCATE TABLE IF EXISTS t", "TRUNCATE TABLE IF EXISTS t ON CLUSTER `c`"),
        ("EXCHANGE TABLES a AND b", "EXCHANGE TABLES a AND b ON CLUSTER `c`"),
        ("INSERT INTO t SELECT 1", "INSERT INTO t SELECT 1"),
        (
            "CREATE TABLE t (a UInt8) ENGINE = ReplacingMergeTree ORDER BY a",
            "CREATE TABLE t ON CLUSTER `c` (a UInt8) ENGINE = ReplicatedReplacingMergeTree ORDER BY a",
        ),
        (
            "CREATE TABLE t (a UInt8) ENGINE = MergeTree SETTINGS non_replicated_deduplication_window = 9",
            "CREATE TABLE t ON CLUSTER `c` (a UInt8) ENGINE = ReplicatedMergeTree SETTINGS replicated_deduplication_window = 9",  # noqa: E501
        ),
    ],
)
def test_statements_for_a_cluster(plain: str, replicated: str) -> None:
    assert on_cluster(plain, "c") == replicated
    assert on_cluster(plain, None) == plain


def test_a_kind_of_statement_that_is_not_known_is_refused() -> None:
    with pytest.raises(StoreError, match="can't run this on a cluster: 'RENAME TABLE"):
        on_cluster("RENAME TABLE a TO b", "c")


@pytest.mark.parametrize("name", ["", "a b", "x`; DROP TABLE t", "1st", "a" * 200])
def test_what_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="not a name for a cluster"):
        check_name(name)


@pytest.mark.parametrize(("label", "statement"), MIGRATIONS)
def test_each_migration_can_be_run_on_a_cluster(label: str, statement: str) -> None:
    rendered = on_cluster(statement, "main")
    del label
    if statement.startswith("INSERT"):
        assert rendered == statement
        return
    assert rendered.count("ON CLUSTER `main`") == 1
    engines = re.findall(r"ENGINE = (\w+)", rendered)
    assert all(engine.startswith("Replicated") for engine in engines)
    assert bool(engines) == statement.startswith("CREATE TABLE")
    assert "non_replicated" not in rendered
