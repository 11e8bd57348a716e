"""Answers that are read off the tables are exact where rows are there twice, or a message held several events."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from detector.audit import access, coverage
from detector.audit.answer import Answer, Span
from detector.events import Actor, Envelope, Permission, Target
from detector.sinks.clickhouse import ClickHouseSink
from detector.store.client import Store
from tests.support.nouns import T0, an_envelope

pytestmark = pytest.mark.chdb

OPEN = "s3://open"


def read(offset: int, who: str, *, index: int = 0, records: int = 1, outcome: str = "success") -> Envelope:
    envelope = an_envelope(
        offset,
        id=f"e{offset}-{index}",
        time=T0 + timedelta(minutes=offset),
        actor=Actor(who),
        kind="access",
        target=Target(uri=OPEN, sensitivity="internal"),
        records=records,
        outcome=outcome,
    )
    return msgspec.structs.replace(envelope, offset=offset, index=index)


def granted(offset: int, to: str) -> Envelope:
    envelope = read(offset, "owner")
    change = Permission(change="grant", grantee=to, audience="user", privilege="read")
    return msgspec.structs.replace(
        envelope, event=msgspec.structs.replace(envelope.event, kind="permission", permission=change)
    )


def stored(store: Store, *batches: list[Envelope]) -> None:
    """Each batch as a part that is never merged with another."""
    store.client.command("SYSTEM STOP MERGES events_data")
    sink = ClickHouseSink(store.client, database=store.database)
    for batch in batches:
        assert not sink.write_events([(envelope, "scored") for envelope in batch])


def rows(answer: Answer, table: str) -> list[dict[str, Any]]:
    return next(each for each in answer.tables if each.name == table).dicts()


def asked_of(store: Store, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tables that statements are asked of from now on, where that is a parameter."""
    sources: list[str] = []
    query = store.client.query

    def noted(*args: Any, **named: Any) -> Any:
        sources.extend(filter(None, [(named.get("parameters") or {}).get("source")]))
        return query(*args, **named)

    monkeypatch.setattr(store.client, "query", noted)
    return sources


def test_access_is_counted_once_where_rows_are_there_twice(
    embedded_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    acts = [read(0, "ann"), granted(1, "bob"), read(2, "bob", records=5), read(3, "ann", outcome="denied")]
    stored(embedded_store, acts, acts[1:], acts[:3])
    assert embedded_store.client.query("SELECT count() FROM events_data").result_rows == [(10,)]
    asked = asked_of(embedded_store, monkeypatch)
    answer = access.answer(embedded_store, OPEN)
    assert asked == ["events_data", "events"] * 2, "the view was needed for both"
    told = {row["principal"]: row for row in rows(answer, "access")}
    assert {who: (row["acts"], row["reads"], row["denied"], row["records"]) for who, row in told.items()} == {
        "ann": (2, 1, 1, 2),
        "owner": (1, 0, 0, 1),
        "bob": (1, 1, 0, 5),
    }
    assert [row["id"] for row in rows(answer, "changes")] == ["e1-0"]
    assert (told["bob"]["permission"], told["bob"]["grant_event"]) == ("grant of read to itself", "e1-0")


def test_access_needs_no_view_where_each_row_is_there_once(
    embedded_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored(embedded_store, [read(0, "ann"), granted(1, "bob")], [read(2, "bob")])
    asked = asked_of(embedded_store, monkeypatch)
    told = {row["principal"]: row["acts"] for row in rows(access.answer(embedded_store, OPEN), "access")}
    assert told == {"ann": 1, "owner": 1, "bob": 1}
    assert asked == ["events_data"] * 2


def test_several_events_of_one_message_are_no_repeats(embedded_store: Store) -> None:
    stored(embedded_store, [read(0, "ann", index=number) for number in range(3)], [read(0, "ann", index=1)])
    (row,) = rows(access.answer(embedded_store, OPEN), "access")
    assert (row["acts"], row["records"]) == (3, 3)
    answer = coverage.answer(embedded_store)
    assert answer.facts["events"].startswith("3 ")
    (partition,) = rows(answer, "partitions")
    assert (partition["read"], partition["missing"]) == (1, 0)


def test_who_had_access_before_the_span_is_known_by_it(embedded_store: Store) -> None:
    """What was done before the span decides by which permission somebody acts in it, and is not counted."""
    failed = read(0, "eve", outcome="failure")
    stored(embedded_store, [failed, read(1, "ann"), granted(2, "x"), read(3, "ann"), read(4, "eve")])
    late = Span(since=T0 + timedelta(minutes=3))
    told = {row["principal"]: row for row in rows(access.answer(embedded_store, OPEN, late), "access")}
    assert {who: (row["acts"], row["known_since"]) for who, row in told.items()} == {
        "ann": (1, T0 + timedelta(minutes=1)),
        "eve": (1, T0 + timedelta(minutes=4)),
    }


def test_coverage_counts_what_is_there_twice_once(embedded_store: Store) -> None:
    acts = [read(number, "ann") for number in range(30) if number != 20]
    stored(embedded_store, acts, acts[5:], acts[:-1])
    answer = coverage.answer(embedded_store, now=T0 + timedelta(days=2))
    assert answer.facts["events"].startswith("29 ")
    (partition,) = rows(answer, "partitions")
    assert (partition["read"], partition["missing"], partition["first_offset"], partition["last_offset"]) == (
        29,
        1,
        0,
        29,
    )
    silent = {row["of"]: row for row in rows(answer, "silent")}
    assert {of: row["active_minutes"] for of, row in silent.items()} == {"source": 29, "principal": 29}
    assert {row["longest_before_seconds"] for row in silent.values()} == {120.0}


def test_a_silent_agent_has_the_role_of_most_of_its_events(embedded_store: Store) -> None:
    """Orders to an agent are told of it too, with the role of who gave them."""
    acts = [read(number, "bot") for number in range(30)]
    for number, role in ((3, "zookeeper"), (4, "admin")):
        actor = Actor("bot", role=role)
        acts[number] = msgspec.structs.replace(
            acts[number], event=msgspec.structs.replace(acts[number].event, actor=actor)
        )
    stored(embedded_store, acts)
    answer = coverage.answer(embedded_store, now=T0 + timedelta(days=2))
    assert [row["kind"] for row in rows(answer, "silent") if row["of"] == "principal"] == [Actor("bot").role]


def test_a_full_block_of_offsets_is_full(embedded_store: Store) -> None:
    """A bitmap of a whole block holds one more than 16 bits can count."""
    embedded_store.client.command(
        "INSERT INTO events_data (principal, time, topic, partition, offset, format, verdict) "
        "SELECT 'ann', toDateTime64('2026-03-02', 6, 'UTC') + number, 't', 0, number, 'native', 'scored' "
        "FROM numbers(70000)"
    )
    (partition,) = rows(coverage.answer(embedded_store), "partitions")
    assert (partition["read"], partition["missing"]) == (70_000, 0)
