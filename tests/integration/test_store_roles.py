"""The roles of `deploy/clickhouse/roles.sql`: what each may and may not, by the engine's own checks."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
import pytest

from detector.store.client import Store
from detector.store.migrate import load, packaged, statements
from tests.support import roles

pytestmark = pytest.mark.chdb

ROOT: Final = Path(__file__).parents[2]
MIGRATE: Final = "import sys; from detector.store.client import connect; from detector.store.migrate import migrate; "
ACCESS_DENIED: Final = 497

CONTENTS: Final = (
    "SELECT raw FROM events_data",
    "SELECT attributes FROM events_data",
    "SELECT raw FROM events",
    "SELECT * FROM events",
    "SELECT raw FROM rejects_data",
)
READING: Final = (
    "SELECT * FROM events_without_contents",
    "SELECT actor_id, count() FROM events_without_contents WHERE time > '2026-01-01' GROUP BY actor_id",
    "SELECT * EXCEPT (attributes, raw) FROM events_data",
    "SELECT * FROM findings",
    "SELECT * FROM alerts",
    "SELECT * FROM alerts_current",
    "SELECT * FROM exposures",
    "SELECT * FROM exposure_versions",
    "SELECT * FROM exposure_reads",
    "SELECT * FROM principal_minutes",
    "SELECT * FROM operator_actions",
    "SELECT * FROM holds",
    "SELECT * FROM config_versions",
    "SELECT * FROM integrity",
    "SELECT * FROM anchors",
    "SELECT reason FROM rejects_data",
)
ADDING: Final = (
    "INSERT INTO events_data (id, principal, time) VALUES ('e1', 'bot', now64())",
    "INSERT INTO integrity_data (chain, sequence) VALUES ('c', 1)",
    "INSERT INTO operator_actions_data (id) VALUES ('h-1')",
)
HOLDING: Final = ("ALTER TABLE events_data UPDATE held = true WHERE id = 'e1'",)
CHANGING: Final = (
    "ALTER TABLE events_data UPDATE raw = '' WHERE id = 'e1'",
    "ALTER TABLE integrity_data UPDATE link = '' WHERE 1",
    "ALTER TABLE events_data DELETE WHERE id = 'e1'",
    "DELETE FROM events_data WHERE id = 'e1'",
    "ALTER TABLE events_data MODIFY TTL toDate(time) + INTERVAL 1 DAY",
    "ALTER TABLE events_data DROP PARTITION 202603",
    "TRUNCATE TABLE events_data",
    "CREATE TABLE mine (a UInt8) ENGINE = Memory",
    "CREATE OR REPLACE VIEW events AS SELECT 1",
    "DROP TABLE events_data",
)
ELSEWHERE: Final = (
    "SELECT * FROM file('/etc/hostname', 'LineAsString')",
    "SELECT * FROM url('http://127.0.0.1:9/', 'LineAsString')",
    "INSERT INTO FUNCTION file('told.csv') SELECT 1",
    "CREATE USER me IDENTIFIED WITH no_password",
    "CREATE ROLE mine",
)


def path(tmp_path: Path) -> Path:
    """A migrated store that no process has open."""
    store = tmp_path / "store"
    code = f"{MIGRATE}store = connect(sys.argv[1]); migrate(store); store.close()"
    subprocess.run([sys.executable, "-c", code, f"chdb://{store}"], check=True, cwd=ROOT, timeout=120)
    return store


def run(store: Path, role: str, wanted: Sequence[str]) -> dict[str, int | None]:
    """What becomes of statements under a role: None, or the engine's error code."""
    command = [sys.executable, "-m", "tests.support.roles", str(store), role]
    sent = msgspec.json.encode(list(wanted))
    done = subprocess.run(command, input=sent, stdout=subprocess.PIPE, check=True, cwd=ROOT, timeout=120)
    return dict(zip(wanted, msgspec.json.decode(done.stdout, type=list[int | None]), strict=True))


def allowed(answers: dict[str, int | None]) -> list[str]:
    return [statement for statement, code in answers.items() if code is None]


@pytest.mark.parametrize(
    ("role", "may"),
    [
        ("detector_writer", (*READING, *CONTENTS, *ADDING, *HOLDING)),
        ("auditor", (*READING, *CONTENTS)),
        ("analyst", READING),
    ],
)
def test_a_role_may_do_what_it_is_for_and_nothing_else(tmp_path: Path, role: str, may: Sequence[str]) -> None:
    answers = run(path(tmp_path), role, (*READING, *CONTENTS, *ADDING, *HOLDING, *CHANGING, *ELSEWHERE))
    assert allowed(answers) == list(may)
    assert {code for code in answers.values() if code is not None} == {ACCESS_DENIED}


def test_the_account_that_makes_the_tables_needs_no_more_than_its_role(tmp_path: Path) -> None:
    made = [statement for migration in load(packaged()) for statement in statements(migration.sql)]
    answers = run(tmp_path / "new", "detector_admin", ("CREATE DATABASE IF NOT EXISTS detector", *made))
    assert {statement: code for statement, code in answers.items() if code is not None} == {}
    assert not allowed(run(tmp_path / "new", "detector_admin", ELSEWHERE))


def test_every_statement_of_the_file_can_be_parsed(embedded_store: Store) -> None:
    """CREATE ROLE and what else the embedded engine does not run."""
    ask = "SELECT formatQuerySingleLine({s:String})"
    for statement in roles.statements():
        assert embedded_store.client.query(ask, parameters={"s": statement}).result_rows
    with pytest.raises(Exception, match="Syntax error"):
        embedded_store.client.query(ask, parameters={"s": "CREATE ROLE IF NOT EXIST analyst"})


def test_each_table_is_known_to_the_roles(embedded_store: Store) -> None:
    """A table that comes with a migration is not forgotten: what is written can be, what may be read can be."""
    engines = embedded_store.client.query(
        "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine != 'MaterializedView'"
    )
    text = roles.ROLES.read_text("utf-8")
    names = {row[0] for row in engines.result_rows}
    assert names - {name for name in names if f"detector.{name} TO analyst" in text} == {"events", "rejects"}
    written = {name for name in names if f"GRANT INSERT ON detector.{name} TO detector_writer" in text}
    assert written == {name for name in names if name.endswith("_data")} - {"principal_minutes_data"}
