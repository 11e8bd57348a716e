"""The views of exposure windows: the last version, who could reach it before, who read meanwhile."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from detector.events import Actor, Envelope, Permission, Target
from detector.exposure_versions import ExposureVersion
from detector.sinks.clickhouse import ClickHouseSink
from detector.store.client import Store
from tests.support.nouns import T0, an_envelope

pytestmark = pytest.mark.chdb

RESOURCE = "db://users"
OPENED = T0 + timedelta(hours=1)
CLOSED = T0 + timedelta(hours=3)
WINDOW = ExposureVersion(
    id="w-1",
    version=1,
    status="open",
    updated_at=OPENED,
    resource=RESOURCE,
    sensitivity="restricted",
    opened_at=OPENED,
    opened_by="leila",
    opened_by_kind="human",
    opened_by_role="engineer",
    opening_event="e100",
    opening_change="widen",
    privilege="read",
    grantee=None,
    audience="org",
    audience_count=4100,
    readers=0,
    overdue=False,
    incident="a-1",
)
SHUT = msgspec.structs.replace(
    WINDOW, version=3, status="closed", closed_at=CLOSED, closed_by="ann", closed_by_kind="human", readers=2
)


def a_change(number: int, minutes: float, change: Any, audience: Any, count: int | None, **more: Any) -> Envelope:
    permission = Permission(change, audience=audience, audience_count=count)
    return an_envelope(
        number, kind="permission", permission=permission, target=Target(RESOURCE), time=T0 + timedelta(minutes=minutes),
        **more,
    )  # fmt: skip


def a_read(number: int, who: str, minutes: float, **changes: Any) -> Envelope:
    time, target = T0 + timedelta(minutes=minutes), Target(RESOURCE, sensitivity="restricted")
    told = {"actor": Actor(who, "human"), "time": time, "target": target, "records": 10, "bytes_in": 1000}
    return an_envelope(number, **(told | changes))


def fill(store: Store, *envelopes: Envelope, versions: tuple[ExposureVersion, ...] = (WINDOW,)) -> None:
    sink = ClickHouseSink(store.client, database=store.database)
    assert not sink.write_events([(envelope, "scored") for envelope in envelopes])
    assert not sink.write_exposures(versions)


def ask(store: Store, question: str) -> list[dict[str, Any]]:
    return list(store.client.query(question).named_results())


def test_the_last_version_shows_and_all_are_kept(embedded_store: Store) -> None:
    late = msgspec.structs.replace(WINDOW, version=2, overdue=True, limit_seconds=300.0, config="c0ffee")
    fill(embedded_store, versions=(WINDOW, late, SHUT))
    (shown,) = ask(embedded_store, "SELECT id, version, status, closed_by, closed_at, readers FROM exposures")
    assert list(shown.values()) == ["w-1", 3, "closed", "ann", CLOSED, 2]
    kept = ask(embedded_store, "SELECT version, overdue, limit_seconds, config FROM exposure_versions ORDER BY version")
    assert [tuple(row.values()) for row in kept] == [(1, False, 0, ""), (2, True, 300, "c0ffee"), (3, False, 0, "")]


def test_the_audience_before_is_that_of_the_last_change_before(embedded_store: Store) -> None:
    fill(
        embedded_store,
        a_change(1, 10, "grant", "group", 12),
        a_change(2, 20, "narrow", "user", 3),
        a_change(3, 30, "widen", "public", None, outcome="denied"),
        a_change(4, 40, "revoke", "org", 9),
        a_change(5, 60, "widen", "org", 4100),
        a_change(6, 90, "widen", "public", None),
    )
    (shown,) = ask(embedded_store, "SELECT audience_before, audience_before_count, audience_after FROM exposures")
    assert list(shown.values()) == ["user", 3, "org"]


def test_an_audience_that_nobody_told_is_unknown(embedded_store: Store) -> None:
    fill(embedded_store, a_change(5, 60, "widen", "org", 4100))
    (shown,) = ask(embedded_store, "SELECT audience_before, audience_before_count FROM exposures")
    assert list(shown.values()) == ["unknown", None]
    fill(embedded_store, a_change(6, 50, "grant", "group", None))
    (shown,) = ask(embedded_store, "SELECT audience_before, audience_before_count FROM exposures")
    assert list(shown.values()) == ["group", None], "nor is a count that was not told that of an older change"


def test_who_read_meanwhile_and_who_of_them_was_let_in(embedded_store: Store) -> None:
    fill(
        embedded_store,
        a_read(1, "old hand", 30),
        a_read(2, "old hand", 70),
        a_read(3, "stranger", 80),
        a_read(4, "stranger", 90, bytes_in=1, records=1),
        a_read(5, "leila", 95),
        a_read(6, "tried", 100, outcome="denied"),
        a_read(7, "too late", 180),
        a_read(8, "elsewhere", 100, target=Target("db://other")),
        a_read(9, "deleter", 100, kind="delete"),
        versions=(WINDOW, SHUT),
    )
    found = ask(
        embedded_store,
        "SELECT principal, newly_admitted, reads, records, bytes_in, first_read FROM exposure_reads ORDER BY principal",
    )
    assert [tuple(row.values()) for row in found] == [
        ("old hand", 0, 1, 10, 1000, T0 + timedelta(minutes=70)),
        ("stranger", 1, 2, 11, 1001, T0 + timedelta(minutes=80)),
    ]


def test_of_a_window_that_is_open_all_reads_count(embedded_store: Store) -> None:
    fill(embedded_store, a_read(7, "too late", 180))
    (found,) = ask(embedded_store, "SELECT exposure, principal, newly_admitted FROM exposure_reads")
    assert list(found.values()) == ["w-1", "too late", 1]
