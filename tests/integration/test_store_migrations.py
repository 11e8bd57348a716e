"""Migrations and the lock of the embedded store, on the real engine."""

import multiprocessing
import stat
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from detector.sinks.clickhouse import ClickHouseSink
from detector.sinks.clickhouse_columns import (
    Columns,
    action_columns,
    alert_columns,
    config_columns,
    event_columns,
    exposure_columns,
    finding_columns,
    reject_columns,
)
from detector.store.client import Store, connect
from detector.store.cluster import on_cluster
from detector.store.errors import StoreError, StoreUnavailable
from detector.store.migrate import load, migrate, packaged, statements
from tests.support.nouns import T0, a_finding, a_rejected, an_envelope

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
            *("0006_rejects_index", "0007_provenance", "0008_records", "0009_exposures", "0010_principal_minutes"),
            "0011_verdicts",
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
        del old["suppressed"], old["config"]
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
    assert {name for name, _ in tables.result_rows} >= {
        *("events", "findings", "alerts", "alerts_current", "rejects", "exposures", "exposure_versions"),
        *("exposure_reads", "operator_actions", "holds", "config_versions", "integrity", "anchors"),
        *("principal_minutes", "events_without_contents"),
    }
    assert not [name for name, _ in tables.result_rows if "anew" in name], "what a migration made on the way is gone"
    assert [name for name, comment in tables.result_rows if not comment] == []
    columns = ask(
        "SELECT table, name FROM system.columns WHERE database = {d:String} AND comment = '' "
        "AND table IN (SELECT name FROM system.tables WHERE database = {d:String} AND engine NOT LIKE '%View')",
        parameters=given,
    )
    assert columns.result_rows == []


LINKED = ["written_by", "written_in"]
HELD = ["held"]


@pytest.mark.parametrize(
    ("name", "columns", "besides"),
    [
        ("events_data", event_columns([]), LINKED + HELD),
        ("findings_data", finding_columns([]), LINKED + HELD),
        ("alerts_data", alert_columns([]), LINKED + HELD),
        ("exposures_data", exposure_columns([]), LINKED + HELD),
        ("rejects_data", reject_columns([]), HELD),
        ("config_versions_data", config_columns([]), LINKED),
        ("operator_actions_data", action_columns([]), LINKED),
    ],
)
def test_the_sink_writes_the_columns_of_the_table(
    embedded_store: Store, name: str, columns: Columns, besides: list[str]
) -> None:
    """All but the tag that its links put on them, and the mark of legal holds."""
    assert [*columns, *besides] == columns_of(embedded_store, name)


def columns_of(store: Store, table: str) -> list[str]:
    found = store.client.query(
        "SELECT name FROM system.columns WHERE database = {d:String} AND table = {t:String} ORDER BY position",
        parameters={"d": store.database, "t": table},
    )
    return [row[0] for row in found.result_rows]


def test_analysts_have_a_view_of_all_but_the_contents(embedded_store: Store) -> None:
    every = columns_of(embedded_store, "events_data")
    assert columns_of(embedded_store, "events") == every
    without = [name for name in every if name not in {"attributes", "raw"}]
    assert columns_of(embedded_store, "events_without_contents") == without


def test_events_of_an_older_store_are_all_there_after_they_were_stored_anew(embedded_url: str, tmp_path: Path) -> None:
    every = load(packaged())
    months = [an_envelope(n, time=T0 - timedelta(days=40 * n)) for n in range(104)]
    with connect(embedded_url) as store:
        migrate(store, folder=folder_with(tmp_path, **{f"_{m.label}": m.sql for m in every if m.version < 7}))
        store.client.command("SYSTEM STOP MERGES")
        try:
            sink = ClickHouseSink(store.client, database=store.database)
            sink.write_events([(envelope, "scored") for envelope in months])
            sink.write_events([(envelope, "scored") for envelope in months[:3]])
            before = rows_of(store)
            migrate(store, folder=folder_with(tmp_path, **{f"_{m.label}": m.sql for m in every}))
        finally:
            store.client.command("SYSTEM START MERGES")
        assert len(before) == 104, "of more months than the engine takes in one insert"
        assert rows_of(store) == before
        for migration in every[6:]:  # as after one that was cut short
            for statement in statements(migration.sql):
                store.client.command(statement)
        assert rows_of(store) == before
        summed = store.client.query("SELECT sum(events) FROM principal_minutes").result_rows
        assert summed == [(104,)], "what was there is summed up, once"


def rows_of(store: Store) -> list[Any]:
    """Rows, but for columns that came later."""
    found = store.client.query("SELECT * FROM events ORDER BY `offset`").result_rows
    return [row[: len(event_columns([]))] for row in found]


def test_an_hour_is_found_without_reading_its_month(embedded_store: Store) -> None:
    """The engine's own word for it; how long it takes is measured elsewhere."""
    rows = [(an_envelope(n, time=T0 + timedelta(seconds=100 * n)), "scored") for n in range(24_000)]  # 28 days
    ClickHouseSink(embedded_store.client, database=embedded_store.database).write_events(rows)
    plan = embedded_store.client.query(
        "EXPLAIN indexes = 1 SELECT count() FROM events_data "
        "WHERE time >= '2026-03-02 12:00:00' AND time < '2026-03-02 13:00:00'"
    )
    granules = [row[0].split()[-1] for row in plan.result_rows if "Granules" in row[0]]
    assert granules[-1] == "1/12", "the last index leaves one granule of twelve"


def test_an_account_that_may_only_write_can_start_on_a_store_that_is_up_to_date(
    embedded_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    run: list[str] = []
    command = embedded_store.client.command

    def noted(cmd: str, *args: Any, **kwargs: Any) -> Any:
        run.append(cmd.split(maxsplit=1)[0])
        return command(cmd, *args, **kwargs)

    monkeypatch.setattr(embedded_store.client, "command", noted)
    assert migrate(embedded_store) == []
    assert set(run) == {"SELECT"}


def test_one_process_at_a_time_changes_the_schema_of_a_server(server_store: Store, tmp_path: Path) -> None:
    for migration in load(packaged()):
        folder_with(tmp_path, **{f"_{migration.label}": ""})
        (tmp_path / f"{migration.label}.sql").write_bytes((packaged() / f"{migration.label}.sql").read_bytes())
    folder_with(tmp_path, _0099_more=table("more"))
    (tmp_path / "0099_more.sql").rename(tmp_path / f"{len(load(packaged())) + 1:04}_more.sql")
    server_store.client.command("CREATE TABLE schema_migrating (a UInt8) ENGINE = MergeTree ORDER BY a")
    with pytest.raises(StoreUnavailable, match="another process is changing the schema"):
        migrate(server_store, folder=tmp_path)
    assert server_store.client.command("EXISTS TABLE more") == 0
    server_store.client.command("DROP TABLE schema_migrating")
    assert len(migrate(server_store, folder=tmp_path)) == 1
    assert server_store.client.command("EXISTS TABLE schema_migrating") == 0, "and the next one finds it free"


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


def test_the_engine_understands_the_schema_of_a_cluster(embedded_store: Store) -> None:
    """It has no cluster to run it on, but it can parse it."""
    for migration in load(packaged()):
        for statement in statements(migration.sql):
            told = embedded_store.client.query(
                "SELECT formatQuerySingleLine({s:String})", parameters={"s": on_cluster(statement, "main")}
            )
            assert ("ON CLUSTER main" in told.result_rows[0][0]) == (not statement.startswith("INSERT"))
