"""Retention and legal holds on the real engine: what is past its time goes, and what is held stays until released."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from detector.events import Actor, Target
from detector.exposure_versions import ExposureVersion
from detector.records import OperatorAction
from detector.sinks.base import Batch
from detector.sinks.clickhouse import ClickHouseSink
from detector.store import held_rows, holds, retention
from detector.store.client import Store
from detector.store.errors import StoreError
from detector.store.holds import Scope
from detector.store.retention import Change
from tests.support.nouns import a_finding, a_rejected, an_alert, an_envelope

pytestmark = pytest.mark.chdb

LONG_AGO = datetime(2020, 5, 20, 12, 0, tzinfo=UTC)
NOW = datetime(2026, 3, 2, tzinfo=UTC)
TABLES = ("events", "findings", "alerts", "exposures", "rejects", "principal_minutes")
SHORT = dict.fromkeys(TABLES, 30)


def sink_for(store: Store) -> ClickHouseSink:
    return ClickHouseSink(store.client, database=store.database)


def a_window(number: int, opener: str, at: datetime) -> ExposureVersion:
    return ExposureVersion(
        id=f"w-{number}",
        version=1,
        status="open",
        updated_at=at,
        resource=f"db://{number}",
        sensitivity="restricted",
        opened_at=at,
        opened_by=opener,
        opened_by_kind="human",
        opened_by_role="engineer",
        opening_event=f"e{number}",
        opening_change="widen",
        privilege="read",
        grantee=None,
        audience="org",
        audience_count=4100,
        readers=0,
        overdue=False,
        incident=f"a-{number}",
    )


def of(principal: str, number: int, at: datetime) -> Batch:
    """One row of each kind about a principal."""
    return Batch(
        events=[(an_envelope(number, time=at, actor=Actor(principal)), "scored")],
        findings=[a_finding(number, time=at, principal=principal)],
        alerts=[
            an_alert(number, version, opened_at=at, detected_at=at, updated_at=at, principals=(principal,))
            for version in (1, 2)
        ],
        exposures=[a_window(number, principal, at)],
        rejects=[msgspec.structs.replace(a_rejected(number), received_at=at.timestamp())],
    )


def record(store: Store, *actions: OperatorAction) -> dict[str, int]:
    assert not sink_for(store).write_operator_actions(actions)
    return held_rows.apply(store)


def placed(scope: Scope) -> OperatorAction:
    return holds.hold(scope, operator="ann", reason="case 7", now=NOW)


def expire(store: Store, **days: int | None) -> None:
    """Apply retention, and let the engine do at once what it would do when it merges."""
    retention.apply(store, SHORT | days)
    for kept in retention.TABLES.values():
        store.client.command(f"OPTIMIZE TABLE {kept.table} FINAL")


def left(store: Store, tables: Iterable[str] = TABLES) -> list[int]:
    ask = "SELECT count() FROM {t:Identifier}"
    return [store.client.query(ask, parameters={"t": table}).result_rows[0][0] for table in tables]


def test_a_month_goes_whole_when_it_has_been_over_for_as_many_days(embedded_store: Store) -> None:
    today = datetime.now(UTC)
    month_ago = (today.replace(day=1) - timedelta(days=1)).replace(day=1)
    rows = [(an_envelope(1, time=LONG_AGO), "scored"), (an_envelope(2, time=month_ago), "scored")]
    sink_for(embedded_store).write_events(rows)
    expire(embedded_store, events=40)
    ids = embedded_store.client.query("SELECT id FROM events").result_rows
    assert ids == [("e2",)], "last month has not been over for 40 days, though its first event is older"


def test_times_that_a_day_counter_can_not_hold_are_no_reason_to_remove_a_row(embedded_store: Store) -> None:
    late = [datetime(2149, 6, 7, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC), datetime(2299, 12, 31, tzinfo=UTC)]
    sink_for(embedded_store).write_events([(an_envelope(n, time=at), "future") for n, at in enumerate(late)])
    sink_for(embedded_store).write_events([(an_envelope(9, time=datetime(1901, 1, 1, tzinfo=UTC)), "late")])
    expire(embedded_store)
    assert embedded_store.client.query("SELECT id FROM events ORDER BY id").result_rows == [("e0",), ("e1",), ("e2",)]


def test_retention_is_applied_once_changed_and_taken_back(embedded_store: Store) -> None:
    assert retention.apply(embedded_store, {}) == []
    assert retention.apply(embedded_store, {"events": 90, "alerts": None}) == [Change("events", 90)]
    assert retention.apply(embedded_store, {"events": 90}) == []
    assert retention.apply(embedded_store, {"events": 91, "principal_minutes": 5}) == [
        Change("events", 91),
        Change("principal_minutes", 5),
    ]
    assert retention.apply(embedded_store, {}) == [Change("events", None), Change("principal_minutes", None)]
    assert retention.apply(embedded_store, {}) == []
    sink_for(embedded_store).write(of("bot", 1, LONG_AGO))
    for kept in retention.TABLES.values():
        embedded_store.client.command(f"OPTIMIZE TABLE {kept.table} FINAL")
    assert left(embedded_store) == [1, 1, 2, 1, 1, 1], "what is kept for ever is"


def test_a_ttl_that_somebody_else_made_is_not_overridden(embedded_store: Store) -> None:
    embedded_store.client.command("ALTER TABLE events_data MODIFY TTL toDate(time) + INTERVAL 999 DAY")
    assert retention.apply(embedded_store, {"findings": 3}) == [Change("findings", 3)]
    with pytest.raises(StoreError, match=r"events_data has a TTL that is not the detector's .*REMOVE TTL, or leave"):
        retention.apply(embedded_store, {"events": 3})


def test_days_are_told_by_the_tables_that_hold_the_rows() -> None:
    told = retention.days_by_table({"events": 30, "alerts": None, "principal_minutes": 2})
    assert told == {"events_data": 30, "principal_minutes_data": 2}


@pytest.mark.parametrize(
    ("scope", "kept"),
    [
        (Scope(principal="held"), [1, 1, 2, 1, 0, 0]),
        (Scope(incident="a-1"), [1, 1, 2, 1, 0, 0]),
        (Scope(since=LONG_AGO - timedelta(hours=1), until=LONG_AGO + timedelta(hours=1)), [1, 1, 2, 1, 1, 0]),
        (Scope(principal="held", since=LONG_AGO + timedelta(microseconds=1)), [0, 0, 0, 0, 0, 0]),
        (Scope(principal="held", until=LONG_AGO), [0, 0, 0, 0, 0, 0]),
        (Scope(principal="nobody"), [0, 0, 0, 0, 0, 0]),
    ],
    ids=["principal", "incident", "span", "after it", "before it", "somebody else"],
)
def test_what_is_held_outlives_its_time_and_the_rest_does_not(
    embedded_store: Store, scope: Scope, kept: list[int]
) -> None:
    sink_for(embedded_store).write(of("held", 1, LONG_AGO))
    sink_for(embedded_store).write(of("other", 2, LONG_AGO - timedelta(days=400)))
    record(embedded_store, placed(scope))
    expire(embedded_store)
    assert left(embedded_store) == kept


def test_a_hold_counts_from_the_first_time_that_a_retention_is_set(embedded_store: Store) -> None:
    """Rows that came after the hold was placed are marked before the table learns to forget them."""
    record(embedded_store, placed(Scope(principal="held")))
    sink_for(embedded_store).write(of("held", 1, LONG_AGO))
    expire(embedded_store)
    assert left(embedded_store) == [1, 1, 2, 1, 0, 0]


def test_rows_written_again_are_held_again(embedded_store: Store) -> None:
    sink = sink_for(embedded_store)
    sink.write_events([(an_envelope(1), "scored")])
    assert record(embedded_store, placed(Scope(principal="agent-1"))) == {"events_data": 1}
    sink.write_events([(an_envelope(1), "scored"), (an_envelope(2), "scored")])  # by who does not know of the first
    assert embedded_store.client.query("SELECT countIf(held) FROM events").result_rows[0][0] < 2
    assert set(held_rows.apply(embedded_store)) == {"events_data"}
    assert embedded_store.client.query("SELECT id, held FROM events ORDER BY id").result_rows == [
        ("e1", True),
        ("e2", True),
    ]
    assert held_rows.apply(embedded_store) == {}


def test_what_is_released_goes_unless_another_hold_has_it(embedded_store: Store) -> None:
    sink = sink_for(embedded_store)
    sink.write(of("one", 1, LONG_AGO))
    sink.write(of("two", 2, LONG_AGO))
    both, one = placed(Scope(until=LONG_AGO + timedelta(days=1))), placed(Scope(principal="one"))
    record(embedded_store, both, one)
    expire(embedded_store)
    assert left(embedded_store) == [2, 2, 4, 2, 2, 0]
    lifted = holds.release(both.id, operator="bo", reason="settled", now=NOW + timedelta(days=1))
    freed = {"events_data": 1, "findings_data": 1, "alerts_data": 2, "exposures_data": 1, "rejects_data": 2}
    assert record(embedded_store, lifted) == freed
    expire(embedded_store)
    assert left(embedded_store) == [1, 1, 2, 1, 0, 0]
    told = {
        hold.id: (hold.held_by, hold.reason, hold.released_by, hold.release_reason) for hold in every(embedded_store)
    }
    assert told == {both.id: ("ann", "case 7", "bo", "settled"), one.id: ("ann", "case 7", "", "")}


def every(store: Store) -> list[holds.Hold]:
    found = holds.every(store)
    assert [hold.released_at is None for hold in found] == [not hold.released_by for hold in found]
    return found


def test_an_incident_is_held_with_what_it_was_merged_with_and_who_was_let_in(embedded_store: Store) -> None:
    """a-1 was merged into a-2, and a-3 into a-1; a stranger read what the change of a-2 had opened."""
    sink, later = sink_for(embedded_store), LONG_AGO + timedelta(days=30)
    for number, principal in enumerate(("first", "second", "third", "bystander"), 1):
        sink.write(of(principal, number, LONG_AGO if number != 2 else later))
    for number, into in ((1, 2), (3, 1)):
        told = an_alert(number, 3, "resolved", principals=(), opened_at=LONG_AGO, updated_at=LONG_AGO)
        sink.write_alerts([msgspec.structs.replace(told, resolution=f"merged into a-{into}")])
    target, stranger = Target(uri="db://2", sensitivity="restricted"), Actor("stranger", "human")
    read = an_envelope(50, time=later + timedelta(minutes=5), target=target, actor=stranger)
    sink.write_events([(read, "scored")])
    record(embedded_store, placed(Scope(incident="a-1")))
    held = embedded_store.client.query("SELECT DISTINCT principal FROM events WHERE held ORDER BY 1").result_rows
    assert [row[0] for row in held] == ["first", "second", "stranger", "third"]
    alerts = embedded_store.client.query(
        "SELECT id, countIf(held), count() FROM alerts GROUP BY id ORDER BY id"
    ).result_rows
    assert alerts == [("a-1", 3, 3), ("a-2", 2, 2), ("a-3", 3, 3), ("a-4", 0, 2)]


@pytest.mark.parametrize(
    ("scope", "why"),
    [
        (Scope(), "say what to hold"),
        (Scope(incident="a-1", principal="bot"), "give it alone"),
        (Scope(since=NOW, until=NOW), "the span is empty"),
    ],
)
def test_a_hold_that_makes_no_sense_is_refused(scope: Scope, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        placed(scope)


def test_a_hold_on_an_incident_that_is_not_there_is_refused(embedded_store: Store) -> None:
    sink_for(embedded_store).write_alerts([an_alert(1)])
    holds.check_incident(embedded_store, "a-1")
    with pytest.raises(StoreError, match="no alert 'a-9'"):
        holds.check_incident(embedded_store, "a-9")
