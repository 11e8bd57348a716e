"""Sums by principal and minute: right, and not doubled by an insert that comes again."""

from datetime import timedelta
from typing import Any

import pytest

from detector.events import Actor, Destination, Envelope, Target
from detector.sinks.base import SinkUnavailable
from detector.sinks.clickhouse import ClickHouseSink
from detector.store.client import Store
from tests.support.clickhouse_front import ClickHouseFront
from tests.support.nouns import T0, an_envelope

pytestmark = pytest.mark.chdb

SUMS = "SELECT * EXCEPT (principal, minute) FROM principal_minutes WHERE principal = {p:String} ORDER BY minute"


def sink_for(store: Store) -> ClickHouseSink:
    return ClickHouseSink(store.client, database=store.database)


def sums(store: Store, principal: str = "agent-1") -> list[dict[str, Any]]:
    """Sums of each minute that are not 0."""
    found = store.client.query(SUMS, parameters={"p": principal}).named_results()
    return [{name: value for name, value in row.items() if value} for row in found]


def some(count: int) -> list[tuple[Envelope, str]]:
    return [(an_envelope(number), "scored") for number in range(count)]


def test_what_a_principal_did_is_summed_up_by_the_minute(embedded_store: Store) -> None:
    files, actor = Target(uri="s3://files", sensitivity="restricted"), Actor("agent-1", role="moderator")
    events = [
        an_envelope(1, kind="transfer", bytes_out=5, destination=Destination(host="h", zone="external"), actor=actor),
        an_envelope(2, kind="transfer", bytes_out=7, destination=Destination(host="h", zone="internal"), actor=actor),
        an_envelope(3, kind="transfer", bytes_out=9, actor=actor),
        an_envelope(4, target=files, bytes_in=100, records=3, actor=actor),
        an_envelope(5, kind="delete", outcome="denied", target=files, actor=actor),
        an_envelope(6, kind="permission", outcome="failure", actor=actor),
        an_envelope(7, time=T0 + timedelta(minutes=2), actor=actor),
        an_envelope(8, actor=Actor("agent-2")),
    ]
    sink_for(embedded_store).write_events([(event, "scored") for event in events])
    sink_for(embedded_store).write_events([(an_envelope(9, actor=actor), "duplicate")])
    assert sums(embedded_store) == [
        {
            "role": "moderator",
            "events": 6,
            "denied": 1,
            "failed": 1,
            "sensitive": 2,
            "deletions": 1,
            "permissions": 1,
            "records": 3,
            "bytes_in": 100,
            "bytes_external": 5,
            "bytes_internal": 7,
            "bytes_unknown": 9,
        },
        {"role": "moderator", "events": 1},
    ]
    assert sums(embedded_store, "agent-2") == [{"events": 1}]


def test_sums_grow_with_each_insert(embedded_store: Store) -> None:
    for begin in (0, 20, 40):
        sink_for(embedded_store).write_events(some(60)[begin : begin + 20])
    assert sums(embedded_store) == [{"events": 60}]


def test_an_insert_that_comes_again_is_not_added_again(embedded_store: Store) -> None:
    embedded_store.client.command("SYSTEM STOP MERGES")
    try:
        for _ in range(3):
            sink_for(embedded_store).write_events(some(50))
        assert sums(embedded_store) == [{"events": 50}]
    finally:
        embedded_store.client.command("SYSTEM START MERGES")


def test_it_is_the_token_that_keeps_it_from_being_added(embedded_store: Store) -> None:
    """The counterpart of the test above: where nothing is dropped, it is."""
    for table in ("events_data", "principal_minutes_data"):
        window = "ALTER TABLE {t:Identifier} MODIFY SETTING non_replicated_deduplication_window = 0"
        embedded_store.client.command(window, parameters={"t": table})
    for _ in range(2):
        sink_for(embedded_store).write_events(some(50))
    assert sums(embedded_store) == [{"events": 100}]


def test_answers_that_were_lost_double_nothing(server_store: Store, clickhouse_front: ClickHouseFront) -> None:
    clickhouse_front.faults.commit_then_drop("INSERT INTO", times=2)
    with pytest.raises(SinkUnavailable):
        sink_for(server_store).write_events(some(50))
    assert sink_for(server_store).write_events(some(50)) == []
    assert sums(server_store) == [{"events": 50}]
