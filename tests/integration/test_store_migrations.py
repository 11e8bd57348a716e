"""Migrations and the lock of the embedded store, on the real engine."""

import multiprocessing
import stat
from pathlib import Path

import msgspec
import pytest

from detector.sinks.clickhouse_columns import (
    Columns,
    alert_columns,
    event_columns,
    finding_columns,
    reject_columns,
)
from detector.store.client import Store, connect
from detector.store.errors import StoreError
from detector.store.migrate import load, migrate, packaged, statements
from tests.support.nouns import a_finding, a_rejected

pytestmark = pytest.mark.chdb


def folder_with(folder: Path, **files: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name, sql in files.items():
        (folder / f"{name[1:]}.sql").write_text(sql)
    return folder


def table(name: str) -> str:
    return f"CREATE TABLE IF NOT EXISTS {name} (a UInt8) ENGINE = MergeTree ORDER BY a;\n"


def test_the_second_time_there_is_nothing_to_do(embedded_url: str) -> None:
    with connect(embedded_url) as store:
        first = [migration.label for migration in migrate(store, clock=lambda: 1_760_000_000.5)]
        assert first == [
            *("0001_events", "0002_findings", "0003_alerts", "0004_rejects", "0005_findings_suppressed"),
            "0006_rejects_index",
        ]
        assert migrate(store) == []
        recorded = store.client.query(
            "SELECT version, name, length(sha256), toUnixTimestamp64Milli(applied_at) FROM schema_migrations "
            "ORDER BY version"
        ).result_rows
        assert [f"{version:04}_{name}" for version, name, _, _ in recorded] == first
        assert {row[2:] for row in recorded} == {(64, 1_760_000_000_500)}


def test_findings_from_before_suppressions_were_kept_are_suppressed_by_nothing(
    embedded_url: str, tmp_path: Path
) -> None:
    before = {f"_{m.label}": m.sql for m in load(packaged()) if m.version < 5}
    with connect(embedded_url) as store:
        migrate(store, folder=folder_with(tmp_path, **before))
        old = finding_columns([a_finding(1)])
        del old["suppressed"]
        store.client.insert("findings_data", list(old.values()), column_names=list(old), column_oriented=True)
        migrate(store, folder=folder_with(tmp_path, **{f"_{m.label}": m.sql for m in load(packaged())}))
        assert store.client.query("SELECT id, suppressed FROM findings").result_rows == [("f-1", "")]


def test_rejects_from_before_they_had_a_place_in_their_message_were_refused_whole(
    embedded_url: str, tmp_path: Path
) -> None:
    every = load(packaged())
    with connect(embedded_url) as store:
        migrate(store, folder=folder_with(tmp_path, **{f"_{m.label}": m.sql for m in every if m.version < 6}))
        old = reject_columns([a_rejected(1)])
        del old["index"]
        store.client.insert("rejects_data", list(old.values()), column_names=list(old), column_oriented=True)
        migrate(store, folder=folder_with(tmp_path, **{f"_{m.label}": m.sql for m in every}))
        new = reject_columns([a_rejected(1), msgspec.structs.replace(a_rejected(1), index=2)])
        store.client.insert("rejects_data", list(new.values()), column_names=list(new), column_oriented=True)
        rows = store.client.query("SELECT `offset`, `index` FROM rejects ORDER BY ALL").result_rows
        assert rows == [(1, 0), (1, 2)]
        for statement in statements(every[5].sql):  # as after a migration that was cut short
            store.client.command(statement)
        assert store.client.query("SELECT `offset`, `index` FROM rejects ORDER BY ALL").result_rows == rows


def test_every_table_and_column_says_what_it_is(embedded_store: Store) -> None:
    ask = embedded_store.client.query
    given = {"d": embedded_store.database}
    tables = ask("SELECT name, comment FROM system.tables WHERE database = {d:String}", parameters=given)
    assert len(tables.result_rows) == 10
    assert [name for name, comment in tables.result_rows if not comment] == []
    columns = ask(
        "SELECT table, name FROM system.columns WHERE database = {d:String} AND comment = '' "
        "AND table IN (SELECT name FROM system.tables WHERE database = {d:String} AND engine != 'View')",
        parameters=given,
    )
    assert columns.result_rows == []


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("events_data", event_columns([])),
        ("findings_data", finding_columns([])),
        ("alerts_data", alert_columns([])),
        ("rejects_data", reject_columns([])),
    ],
)
def test_the_sink_writes_just_the_columns_of_the_table(embedded_store: Store, name: str, columns: Columns) -> None:
    found = embedded_store.client.query(
        "SELECT name FROM system.columns WHERE database = {d:String} AND table = {t:String} ORDER BY position",
        parameters={"d": embedded_store.database, "t": name},
    )
    assert list(columns) == [row[0] for row in found.result_rows]


def test_a_new_migration_is_applied_after_the_old_ones(embedded_url: str, tmp_path: Path) -> None:
    with connect(embedded_url) as store:
        migrate(store, folder=folder_with(tmp_path, _0001_one=table("one")))
        folder_with(tmp_path, _0002_two=table("two") + table("three"))
        assert [migration.label for migration in migrate(store, folder=tmp_path)] == ["0002_two"]
        assert store.client.command("SELECT count() FROM three") == 0


def test_a_changed_file_is_refused(embedded_url: str, tmp_path: Path) -> None:
    with connect(embedded_url) as store:
        migrate(store, folder=folder_with(tmp_path, _0001_one=table("one")))
        folder_with(tmp_path, _0001_one=table("one") + "-- an afterthought\n", _0002_two=table("two"))
        with pytest.raises(StoreError, match=r"0001_one was applied .* changed since .* put the file back"):
            migrate(store, folder=tmp_path)
        assert store.client.command("EXISTS TABLE two") == 0


def test_a_store_newer_than_the_program_is_refused(embedded_url: str, tmp_path: Path) -> None:
    with connect(embedded_url) as store:
        migrate(store, folder=folder_with(tmp_path, _0001_one=table("one"), _0002_two=table("two")))
        (tmp_path / "0002_two.sql").unlink()
        with pytest.raises(StoreError, match="0002_two, which this program doesn't know: upgrade"):
            migrate(store, folder=tmp_path)


def test_a_migration_that_failed_is_not_recorded_and_runs_again(embedded_url: str, tmp_path: Path) -> None:
    with connect(embedded_url) as store:
        broken = folder_with(tmp_path, _0001_one=table("one") + "CREATE TABLE two (a Nonsense);\n")
        with pytest.raises(StoreError, match="0001_one failed"):
            migrate(store, folder=broken)
        folder_with(tmp_path, _0001_one=table("one") + table("two"))
        assert [migration.label for migration in migrate(store, folder=tmp_path)] == ["0001_one"]


def test_the_directory_is_private(embedded_store: Store, embedded_path: Path) -> None:
    del embedded_store
    assert stat.S_IMODE(embedded_path.stat().st_mode) == 0o700
    assert stat.S_IMODE((embedded_path / "detector.lock").stat().st_mode) == 0o600


def test_one_process_may_open_a_store_many_times(embedded_store: Store, embedded_path: Path) -> None:
    url = f"chdb://{embedded_path}?database={embedded_store.database}"
    with connect(url) as second, connect(url) as third:
        second.close()
        second.close()
        assert third.client.command("SELECT count() FROM events") == 0
    assert embedded_store.client.command("SELECT count() FROM events") == 0


def test_one_process_has_one_path(embedded_store: Store, tmp_path: Path) -> None:
    del embedded_store
    with pytest.raises(StoreError, match="open at another path"):
        connect(f"chdb://{tmp_path / 'other'}")


def _try_to_open(url: str, said: "multiprocessing.SimpleQueue[str]") -> None:
    try:
        connect(url).close()
        said.put("opened")
    except StoreError as error:
        said.put(str(error))


def _in_another_process(url: str) -> str:
    spawn = multiprocessing.get_context("spawn")
    said = spawn.SimpleQueue()
    child = spawn.Process(target=_try_to_open, args=(url, said))
    child.start()
    child.join(60)
    assert child.exitcode == 0
    try:
        return str(said.get())
    finally:
        said.close()


def test_a_second_process_is_told_who_has_the_store(embedded_store: Store, embedded_path: Path) -> None:
    del embedded_store
    said = _in_another_process(f"chdb://{embedded_path}")
    assert "is open in another process (pid " in said
    assert "stop it, or" in said


def test_a_closed_store_is_free_for_the_next_process(embedded_path: Path) -> None:
    connect(f"chdb://{embedded_path}").close()
    assert _in_another_process(f"chdb://{embedded_path}") == "opened"
