"""Retention: how long rows are kept. The engine removes them, by the TTL that each table is given here.

A month's rows go together, when it has been over for as many days as the operator says: so an insert, which is of one
month, and the link that covers it expire as a whole. Rows that a legal hold keeps are spared (see `held_rows`).
"""

from collections.abc import Mapping
from typing import Final

import msgspec
import structlog
from clickhouse_connect.driver.exceptions import ClickHouseError, Error

from detector.store import held_rows
from detector.store.client import Store
from detector.store.cluster import on_cluster
from detector.store.errors import StoreError, failure
from detector.store.expiry import OURS, ttls
from detector.store.seals import Recorder

log = structlog.get_logger(__name__)


class Kept(msgspec.Struct, frozen=True):
    """A table whose rows may expire, by the month that `time` is in. `holdable`: a legal hold spares them."""

    table: str
    time: str
    holdable: bool = True


TABLES: Final[Mapping[str, Kept]] = {
    "events": Kept("events_data", "time"),
    "findings": Kept("findings_data", "time"),
    "alerts": Kept("alerts_data", "opened_at"),
    "exposures": Kept("exposures_data", "opened_at"),
    "rejects": Kept("rejects_data", "received_at"),
    "principal_minutes": Kept("principal_minutes_data", "minute", holdable=False),
}
"""By the names that they are read and configured by. What proves the rest (configurations, operators' actions, the
chains) never expires."""

_NOT_ALLOWED: Final = 497


class Change(msgspec.Struct, frozen=True):
    """Rows of a table (named as configured) are now kept for so many days after their month; None: for ever."""

    name: str
    days: int | None


def apply(
    store: Store, retention: Mapping[str, int | None], *, cluster: str | None = None, recorder: Recorder | None = None
) -> list[Change]:
    """Make the tables keep their rows for as long as the operator says; safe to run again.

    What is held is brought up to date first, whenever anything may expire: so a row under a legal hold is spared.

    Args:
        store: its schema up to date.
        retention: days by table, named as in `TABLES`; None, or no entry: for ever.
        cluster: the cluster that the tables are on; None: one server.
        recorder: where the seals of held rows are recorded; None: they have none.

    Returns:
        What was changed, in the order of `TABLES`.

    Raises:
        StoreError: a table has a TTL that somebody else gave it, or this account may not change it.
    """
    try:
        current = ttls(store, [kept.table for kept in TABLES.values()])
        changes = [
            Change(name, retention.get(name))
            for name in TABLES
            if not _stands(name, retention.get(name), current.get(TABLES[name].table, ""))
        ]
        if any(retention.values()):
            held_rows.apply(store, cluster=cluster, recorder=recorder)
        for change in changes:
            store.client.command(on_cluster(_statement(TABLES[change.name], change.days), cluster))
            log.info("retention_changed", table=change.name, days=change.days)
    except ClickHouseError as error:
        if isinstance(error, Error) and error.code == _NOT_ALLOWED:
            raise StoreError(
                f"store.retention differs from the tables' TTL, and this account may not change it: run `detector "
                f"store migrate` with one that may ({error})"
            ) from error
        raise failure(f"can't set the retention of {store.url}: {error}", error) from error
    return changes


def days_by_table(retention: Mapping[str, int | None]) -> dict[str, int]:
    """Days by the name of the table that holds the rows; none for what is kept for ever."""
    return {TABLES[name].table: days for name, days in retention.items() if days is not None}


def _stands(name: str, days: int | None, ttl: str) -> bool:
    ours = OURS.fullmatch(ttl)
    if ttl and ours is None:
        if days is None:
            return True
        raise StoreError(
            f"{TABLES[name].table} has a TTL that is not the detector's ({ttl}): take it off with ALTER TABLE "
            f"{TABLES[name].table} REMOVE TTL, or leave `store.retention.{name}` out"
        )
    return (int(ours["days"]) if ours is not None else None) == days


def _statement(kept: Kept, days: int | None) -> str:
    if days is None:
        return f"ALTER TABLE {kept.table} REMOVE TTL"
    # Date32, because the last day that a Date holds is in 2149: past it, a sum begins at 1970 again.
    end = f"toDate32(toStartOfMonth({kept.time})) + toIntervalMonth(1) + toIntervalDay({days:d})"
    return f"ALTER TABLE {kept.table} MODIFY TTL {end} DELETE{' WHERE NOT held' if kept.holdable else ''}"
