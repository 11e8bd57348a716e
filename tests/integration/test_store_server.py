"""The store over HTTP, with the client's own retries, and a server that fails in the worst moment."""

from pathlib import Path

import pytest

from detector.sinks.base import Batch, SinkUnavailable
from detector.sinks.clickhouse import ClickHouseSink
from detector.store.client import Store, connect
from detector.store.errors import StoreError
from detector.store.migrate import migrate
from detector.store.queries import stored_positions
from tests.support.clickhouse_front import ClickHouseFront
from tests.support.nouns import a_finding, a_rejected, an_alert, an_envelope

pytestmark = pytest.mark.chdb

INSERT = "INSERT INTO"


def sink_for(store: Store) -> ClickHouseSink:
    return ClickHouseSink(store.client, database=store.database)


def some(count: int = 50) -> Batch:
    return Batch(
        [(an_envelope(number), "scored") for number in range(count)], [a_finding()], [an_alert()], [a_rejected()]
    )


def count(store: Store, table: str) -> int:
    (found,) = store.client.query("SELECT count() FROM {t:Identifier}", parameters={"t": table}).result_rows
    return int(found[0])


def counts(store: Store) -> list[int]:
    """How many rows lie in the tables (not: are shown by the views)."""
    tables = ("events_data", "findings_data", "alerts_data", "rejects_data")
    return [count(store, table) for table in tables]


def test_a_batch_goes_through_a_server_as_through_the_embedded_engine(server_store: Store) -> None:
    assert migrate(server_store) == []
    assert sink_for(server_store).write(some()) == []
    assert counts(server_store) == [50, 1, 1, 1]
    shown = server_store.client.query("SELECT raw FROM events ORDER BY time LIMIT 1", column_formats={"raw": "bytes"})
    assert shown.result_rows == [(an_envelope(0).raw,)]
    assert stored_positions(server_store.client, "agent-events", 0, 49) == {(49, 0): "e49"}


def test_the_clients_own_resend_stores_nothing_twice(server_store: Store, clickhouse_front: ClickHouseFront) -> None:
    clickhouse_front.faults.commit_then_drop(INSERT, times=1)
    assert sink_for(server_store).write_events(some().events) == []
    assert clickhouse_front.faults.seen(INSERT) == 2, "the client sent the insert again by itself"
    assert counts(server_store)[0] == 50


def test_a_retry_after_lost_answers_stores_nothing_twice(
    server_store: Store, clickhouse_front: ClickHouseFront
) -> None:
    clickhouse_front.faults.commit_then_drop(INSERT, times=2)
    sink = sink_for(server_store)
    with pytest.raises(SinkUnavailable):
        sink.write(some())
    assert sink.write(some()) == []
    assert counts(server_store) == [50, 1, 1, 1]


def test_the_token_is_what_keeps_a_resend_from_being_stored(
    server_store: Store, clickhouse_front: ClickHouseFront
) -> None:
    """The counterpart of the two tests above: without a window, a lost answer doubles the rows."""
    server_store.client.command("ALTER TABLE events_data MODIFY SETTING non_replicated_deduplication_window = 0")
    server_store.client.command("SYSTEM STOP MERGES")
    try:
        clickhouse_front.faults.commit_then_drop(INSERT, times=1)
        sink_for(server_store).write_events(some().events)
        assert counts(server_store)[0] == 100
        assert count(server_store, "events") == 50
    finally:
        server_store.client.command("SYSTEM START MERGES")


@pytest.mark.parametrize("fault", ["error", "unavailable", "refuse"])
def test_a_server_in_trouble_is_unavailable_and_then_takes_the_batch(
    server_store: Store, clickhouse_front: ClickHouseFront, fault: str
) -> None:
    getattr(clickhouse_front.faults, fault)(INSERT, times=2)
    sink = sink_for(server_store)
    for _ in range(2 if fault != "refuse" else 1):
        with pytest.raises(SinkUnavailable):
            sink.write(some())
    assert sink.write(some()) == []
    assert counts(server_store) == [50, 1, 1, 1]


def test_an_answer_that_is_long_in_coming_is_unavailable(
    server_store: Store, clickhouse_front: ClickHouseFront
) -> None:
    url = clickhouse_front.url(server_store.database)
    with connect(url, read_timeout=1.0) as impatient:
        clickhouse_front.faults.slow(INSERT, 2.0)
        with pytest.raises(SinkUnavailable):
            sink_for(impatient).write_events(some().events)
    assert sink_for(server_store).write_events(some().events) == []
    assert count(server_store, "events") == 50


def test_a_server_killed_and_started_again_has_what_it_acknowledged(tmp_path: Path) -> None:
    front = ClickHouseFront(tmp_path / "data").start()
    try:
        with connect(front.url("audit")) as store:
            migrate(store)
            sink = sink_for(store)
            assert sink.write(some()) == []
            front.kill()
            with pytest.raises(SinkUnavailable):
                sink.write(some())
            front.start()
            assert sink.write(some(60)) == []
            assert stored_positions(store.client, "agent-events", 0, 48).keys() == {(n, 0) for n in range(48, 60)}
            assert count(store, "events") == 60
    finally:
        front.kill()


def test_a_wrong_password_says_so_and_does_not_show_it(tmp_path: Path) -> None:
    right, wrong = "s3cret-right", "s3cret-wrong"
    with ClickHouseFront(tmp_path / "data", user="writer", password=right) as front:
        with connect(front.url("audit"), password=right) as store:
            assert store.url == front.url("audit")
        with pytest.raises(StoreError, match="refused the user or the password") as error:
            connect(front.url("audit"), password=wrong)
    assert "s3cret" not in str(error.value)
