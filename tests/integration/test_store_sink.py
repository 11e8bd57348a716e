"""The sink on the real engine: every field comes back, and nothing shows twice."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from detector.events import Actor, Approval, Destination, Envelope, Event, Permission, Reject, Rejected, Target
from detector.sinks.base import Batch
from detector.sinks.clickhouse import ClickHouseSink
from detector.store.client import Store
from detector.store.queries import stored_positions
from tests.support.nouns import T0, a_finding, a_rejected, an_alert, an_envelope

pytestmark = pytest.mark.chdb

NOT_UTF8 = b'\xff\xfe\x00{"a":\n\n;INSERT'


def sink_for(store: Store) -> ClickHouseSink:
    return ClickHouseSink(store.client, database=store.database)


def read(store: Store, sql: str) -> list[Mapping[str, Any]]:
    """Rows by column name; `raw` as the bytes it is, whether or not they are text."""
    return list(store.client.query(sql, column_formats={"raw": "bytes"}).named_results())


def count(store: Store, table: str) -> int:
    (found,) = store.client.query("SELECT count() FROM {t:Identifier}", parameters={"t": table}).result_rows
    return int(found[0])


def rows(numbers: Sequence[int]) -> list[tuple[Envelope, str]]:
    return [(an_envelope(number), "scored") for number in numbers]


def event_of(row: Mapping[str, Any]) -> Event:
    """The event as an auditor would rebuild it: "" stands for what was not given."""
    said: dict[str, Any] = {name: None if value == "" else value for name, value in row.items()}
    destination = Destination(
        said["destination_host"], said["destination_account"], said["destination_recipient"], said["destination_zone"]
    )
    approval = Approval(said["approval_required"], said["approval_id"], said["approval_by"])
    return Event(
        id=row["id"],
        time=row["time"],
        actor=Actor(row["actor_id"], row["actor_kind"], row["actor_role"], said["actor_on_behalf_of"], said["session"]),
        kind=row["kind"],
        action=row["action"],
        target=said["target_uri"]
        and Target(row["target_uri"], row["target_type"], row["target_sensitivity"], row["target_container_size"]),
        destination=None if destination == Destination() else destination,
        bytes_out=row["bytes_out"],
        bytes_in=row["bytes_in"],
        records=row["records"],
        permission=said["permission_change"]
        and Permission(
            row["permission_change"],
            said["permission_grantee"],
            row["permission_audience"],
            row["permission_audience_count"],
            row["permission_privilege"],
            said["permission_requested"],
            row["permission_temporary"],
            row["permission_expires_at"],
            said["permission_inherited_from"],
        ),
        approval=None if approval == Approval() else approval,
        thread=said["thread"],
        trace_id=said["trace_id"],
        parent_id=said["parent_id"],
        in_reply_to=said["in_reply_to"],
        outcome=row["outcome"],
        attributes=msgspec.json.decode(row["attributes"]),
    )


texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
given_or_not = st.none() | texts
counts = st.integers(0, 2**63 - 1)
zones = st.sampled_from([UTC, timezone(timedelta(hours=13)), timezone(-timedelta(hours=9, minutes=30))])
times = st.datetimes(datetime(1900, 1, 2), datetime(2299, 12, 30), timezones=zones)  # noqa: DTZ001 - as it wants
events = st.builds(
    Event,
    id=texts,
    time=times,
    actor=st.builds(
        Actor, texts, st.sampled_from(["agent", "human", "service"]), texts, given_or_not, session=given_or_not
    ),
    kind=st.sampled_from(["access", "control", "permission"]),
    action=texts,
    target=st.none() | st.builds(Target, texts, texts, st.sampled_from(["public", "unknown"]), st.none() | counts),
    destination=st.none()
    | st.builds(Destination, texts, given_or_not, given_or_not, st.sampled_from(["external", "unknown"])),
    bytes_out=counts,
    bytes_in=counts,
    records=counts,
    permission=st.none()
    | st.builds(
        Permission,
        st.sampled_from(["grant", "revoke"]),
        given_or_not,
        st.sampled_from(["public", "unknown"]),
        st.none() | counts,
        texts,
        given_or_not,
        st.booleans(),
        st.none() | times,
        given_or_not,
    ),
    approval=st.none() | st.builds(Approval, st.just(True), given_or_not, given_or_not),
    thread=given_or_not,
    trace_id=given_or_not,
    parent_id=given_or_not,
    in_reply_to=given_or_not,
    outcome=st.sampled_from(["success", "failure", "denied"]),
    attributes=st.dictionaries(texts, texts | counts | st.none() | st.lists(st.booleans())),
)


@settings(
    max_examples=25,
    deadline=None,
    database=None,
    phases=[Phase.generate],  # shrinking takes minutes, since each try is an insert
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(drawn=st.lists(events, min_size=1, max_size=8), raw=st.binary(max_size=40))
def test_every_field_comes_back(embedded_store: Store, drawn: list[Event], raw: bytes) -> None:
    embedded_store.client.command("TRUNCATE TABLE events_data")
    envelopes = [
        Envelope(event, "t", 3, 2**40 + number, 1_760_000_000.123456, raw, number % 3, "native")
        for number, event in enumerate(drawn)
    ]
    assert sink_for(embedded_store).write_events([(envelope, "late") for envelope in envelopes]) == []
    found = read(embedded_store, "SELECT * FROM events ORDER BY `offset`")
    assert [event_of(row) for row in found] == drawn
    for row, envelope in zip(found, envelopes, strict=True):
        place = Envelope(
            envelope.event,
            row["topic"],
            row["partition"],
            row["offset"],
            row["received_at"].timestamp(),
            row["raw"],
            row["index"],
            row["format"],
        )
        assert place == envelope
        assert row["principal"] == envelope.event.principal
        assert row["verdict"] == "late"


def test_bytes_that_are_no_text_come_back_as_they_were(embedded_store: Store) -> None:
    sink = sink_for(embedded_store)
    envelope = msgspec.structs.replace(an_envelope(1), raw=NOT_UTF8)
    sink.write_events([(envelope, "scored"), *rows([2])])
    sink.write_rejects([a_rejected(3, NOT_UTF8), a_rejected(4, b"")])
    found = read(embedded_store, "SELECT raw FROM events ORDER BY `offset`")
    assert [row["raw"] for row in found] == [NOT_UTF8, an_envelope(2).raw]
    assert [row["raw"] for row in read(embedded_store, "SELECT raw FROM rejects ORDER BY `offset`")] == [NOT_UTF8, b""]


def test_an_expiry_that_means_never_is_the_last_day_the_store_holds(embedded_store: Store) -> None:
    west = timezone(timedelta(hours=-5))
    never = Permission("grant", expires_at=datetime(9999, 12, 31, 23, 59, tzinfo=west))
    assert not sink_for(embedded_store).write_events([(an_envelope(1, permission=never), "scored")])
    (row,) = read(embedded_store, "SELECT permission_expires_at AS at, toYear(at) AS year FROM events")
    assert (row["at"], row["year"]) == (datetime(2299, 12, 31, tzinfo=UTC), 2299)


def test_findings_come_back(embedded_store: Store) -> None:
    findings = [
        a_finding(1, session="s-1", tags=("ASI02:2026", "T1567"), evidence={"bytes": 5, "hosts": ["a", "b"]}),
        a_finding(2, p_value=None, entities=(), suppressed="approved:.partner.example"),
    ]
    sink_for(embedded_store).write_findings(findings)
    found = []
    for row in read(embedded_store, "SELECT * FROM findings ORDER BY id"):
        values = {**row, "session": row["session"] or None, "evidence": msgspec.json.decode(row["evidence"])}
        values["suppressed"] = row["suppressed"] or None
        found.append(msgspec.convert(values, type(findings[0]), strict=False))
    assert found == findings


def test_alerts_come_back_with_their_life(embedded_store: Store) -> None:
    life = [an_alert(1), an_alert(1, 2, "updated"), an_alert(1, 3, "resolved", resolution="quiet for 1 h")]
    other = [an_alert(2, opened_at=T0 - timedelta(days=40))]
    sink_for(embedded_store).write_alerts(life + other)
    found = []
    for row in read(embedded_store, "SELECT * FROM alerts ORDER BY id, version"):
        values = {**row, "resolution": row["resolution"] or None, "story": msgspec.json.decode(row["story"])}
        found.append(msgspec.convert(values, type(life[0]), strict=False))
    assert found == life + other
    current = read(embedded_store, "SELECT id, version, status FROM alerts_current ORDER BY id")
    assert [tuple(row.values()) for row in current] == [("a-1", 3, "resolved"), ("a-2", 1, "open")]


def test_what_is_written_again_shows_once(embedded_store: Store) -> None:
    embedded_store.client.command("SYSTEM STOP MERGES")
    try:
        sink = sink_for(embedded_store)
        batch = Batch(
            rows(range(100)),
            [a_finding(number) for number in range(10)],
            [an_alert(number) for number in range(10)],
            [a_rejected(number) for number in range(10)],
        )
        sink.write(batch)
        sink.write(batch)
        assert count(embedded_store, "events_data") == 100, "the engine dropped the second insert by its token"
        first, second = batch.halves()
        for part in (second, first):
            sink.write(part)
        assert count(embedded_store, "events_data") == 200, "other batches are stored, until they are merged"
        shown = [count(embedded_store, view) for view in ("events", "findings", "alerts", "alerts_current", "rejects")]
        assert shown == [100, 10, 10, 10, 10]
    finally:
        embedded_store.client.command("SYSTEM START MERGES")


def test_a_token_counts_for_an_insert_of_many_blocks(embedded_store: Store) -> None:
    """The client cuts what it sends into blocks of about 2 MB; they are one insert all the same."""
    given = [
        (msgspec.structs.replace(envelope, raw=bytes([envelope.offset % 251]) * 4000), verdict)
        for envelope, verdict in rows(range(2000))
    ]
    for _ in range(2):
        sink_for(embedded_store).write_events(given)
    assert count(embedded_store, "events_data") == 2000
    parts = read(
        embedded_store,
        "SELECT count() AS n FROM system.parts WHERE active AND table = 'events_data' AND database = currentDatabase()",
    )
    assert parts[0]["n"] == 1, "all or nothing: one part"


def test_a_reject_shows_once_even_when_its_arrival_moved_to_another_month(embedded_store: Store) -> None:
    sink = sink_for(embedded_store)
    first = a_rejected(7)
    sink.write_rejects([first])
    sink.write_rejects([msgspec.structs.replace(first, received_at=first.received_at + 40 * 86400)])
    assert count(embedded_store, "rejects_data") == 2
    assert count(embedded_store, "rejects") == 1


def test_an_alert_version_shows_once_even_when_it_was_opened_in_another_month(embedded_store: Store) -> None:
    sink = sink_for(embedded_store)
    sink.write_alerts([an_alert(1)])
    sink.write_alerts([an_alert(1, opened_at=T0 - timedelta(days=40))])
    assert count(embedded_store, "alerts") == count(embedded_store, "alerts_current") == 1


def test_the_engine_and_the_client_each_refuse_a_row_and_the_rest_is_stored(embedded_store: Store) -> None:
    embedded_store.client.command("ALTER TABLE events_data ADD CONSTRAINT no_nines CHECK NOT endsWith(id, '9')")
    given = [*rows(range(20)), (an_envelope(20, bytes_out=-1), "scored")]
    refused = sink_for(embedded_store).write_events(given)
    assert [one.item for one in refused] == [given[9], given[19], given[20]]
    assert "VIOLATED_CONSTRAINT" in refused[0].reason
    assert count(embedded_store, "events") == 18


def test_stored_positions_name_the_event_at_each_place(embedded_store: Store) -> None:
    sink = sink_for(embedded_store)
    sink.write_events(rows([3, 4, 5, 6]))
    sink.write_events([(msgspec.structs.replace(an_envelope(6, id="e6b"), index=1), "scored")])
    elsewhere = (
        msgspec.structs.replace(an_envelope(8), partition=1),
        msgspec.structs.replace(an_envelope(8), topic="other"),
    )
    sink.write_events([(envelope, "scored") for envelope in elsewhere])
    sink.write_rejects([a_rejected(7), a_rejected(2)])
    sink.write_rejects([Rejected(Reject("not_json", "a part of it", b"x"), "agent-events", 0, 5, T0.timestamp())])
    sink.write_rejects([msgspec.structs.replace(a_rejected(7), index=2)])
    found = stored_positions(embedded_store.client, "agent-events", 0, 4)
    assert found == {(4, 0): "e4", (5, 0): "e5", (6, 0): "e6", (6, 1): "e6b", (7, 0): "", (7, 2): ""}
