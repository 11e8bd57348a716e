"""Rows under legal holds are marked: their `held` is what the tables' TTL looks at.

Marks are made to agree with the holds in force, all of them, whenever one is placed or released; and again and again
by the service, because what a hold covers goes on to be written.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
import structlog
from clickhouse_connect.driver.exceptions import ClickHouseError

from detector.store.client import Store
from detector.store.cluster import on_cluster
from detector.store.errors import failure
from detector.store.expiry import OURS, Horizons, ttls
from detector.store.holds import Hold, every
from detector.store.seals import Recorder, Sealer

log = structlog.get_logger(__name__)

AROUND: Final = timedelta(days=1)
"""An incident began before it was seen, and has an aftermath: what its principals did then is held too."""

_FIRST: Final = datetime(1900, 1, 1, tzinfo=UTC)
_LAST: Final = datetime(2300, 1, 1, tzinfo=UTC)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

_SPANS: Final = "{who:Array(String)}, {since:Array(Int64)}, {until:Array(Int64)}"


def _within(time: str, whose: str) -> str:
    moment = f"toUnixTimestamp64Micro({time})"
    return f"arrayExists((p, s, u) -> (p = '' OR {whose}) AND {moment} >= s AND {moment} < u, {_SPANS})"


# Whether holds cover a row: a principal ("" is anybody) in a span, or an alert by its id. Of an alert or a window, all
# versions are held or none.
_COVERED: Final[Mapping[str, str]] = {
    "events_data": _within("time", "p = principal OR p = actor_id"),
    "findings_data": _within("time", "p = principal"),
    "alerts_data": "has({alerts:Array(String)}, id)",
    "exposures_data": f"(has({{alerts:Array(String)}}, incident) OR {_within('opened_at', 'p = opened_by')})",
    "rejects_data": _within("received_at", "false"),
}
_MERGED: Final = """
SELECT DISTINCT id, substring(resolution, length('merged into ') + 1)
FROM alerts_data WHERE startsWith(resolution, 'merged into ')
"""
_INCIDENTS: Final = """
SELECT groupUniqArrayArray(principals), min(opened_at), max(updated_at), argMax(status, version) = 'resolved'
FROM alerts_data WHERE id IN {incidents:Array(String)}
GROUP BY id
"""
_READERS: Final = """
SELECT DISTINCT principal FROM exposure_reads
WHERE newly_admitted AND exposure IN (SELECT id FROM exposures_data WHERE incident IN {incidents:Array(String)})
"""
_ALERTS: Final = """
SELECT DISTINCT id FROM alerts_data
WHERE id IN {incidents:Array(String)} OR arrayExists(
    (p, s, u) -> (p = '' OR has(principals, p))
        AND toUnixTimestamp64Micro(opened_at) < u AND toUnixTimestamp64Micro(updated_at) >= s,
    {who:Array(String)}, {since:Array(Int64)}, {until:Array(Int64)})
ORDER BY id
"""


class _Span(msgspec.Struct, frozen=True, order=True):
    """What a principal does, "" for anybody, from `since` to before `until`."""

    principal: str
    since: datetime
    until: datetime


def apply(store: Store, *, cluster: str | None = None, recorder: Recorder | None = None) -> dict[str, int]:
    """Mark the rows that the holds in force cover, and no others; safe to run again.

    They are sealed first: so a mark without a seal is one of rows that nothing proved.

    Args:
        store: its schema up to date.
        cluster: the cluster that the tables are on; None: one server.
        recorder: where seals are recorded; None: rows that outlive the others of their link have no proof.

    Returns:
        How many rows had another mark, by table; without tables in which none had.

    Raises:
        StoreError: the store can't be asked, or this account may not change rows.
    """
    placed = every(store)
    if not placed:
        return {}
    holds = [hold for hold in placed if hold.released_at is None]
    try:
        bound = _bound(store, holds)
        sealer = None if recorder is None else Sealer(store, _expired(store, recorder.now()), recorder)
        changed = {}
        for table, covered in _COVERED.items():
            count = f"SELECT count() FROM {table} WHERE held != {covered}"  # noqa: S608 - both are of this module
            rows = int(store.client.query(count, parameters=bound).result_rows[0][0])
            if rows:
                if sealer is not None:
                    sealer.seal(table, covered, bound)
                update = on_cluster(f"ALTER TABLE {table} UPDATE held = {covered} WHERE held != {covered}", cluster)
                # `raw_query` sends parameters in the body when they are many, and `command` does not.
                store.client.raw_query(update, parameters=bound, settings={"mutations_sync": 1})
                changed[table] = rows
                log.info("rows_marked_for_holds", table=table, rows=rows, holds=len(holds))
    except ClickHouseError as error:
        raise failure(f"can't mark what is held in {store.url}: {error}", error) from error
    return changed


def _expired(store: Store, now: datetime) -> Callable[[str, int], bool]:
    """Whether the engine may remove a row at any moment, by the TTL that its table has now."""
    ours = {table: OURS.fullmatch(ttl) for table, ttl in ttls(store, _COVERED).items()}
    days = {table: int(match["days"]) for table, match in ours.items() if match is not None}
    return Horizons(days, (now - _EPOCH) // _MICROSECOND).has_passed


def _bound(store: Store, holds: Iterable[Hold]) -> dict[str, Any]:
    """What the holds cover, as the parameters of the questions above."""
    scopes = [hold.scope for hold in holds]
    incidents = _family(store, {scope.incident for scope in scopes if scope.incident})
    spans = [_Span(s.principal, s.since or _FIRST, s.until or _LAST) for s in scopes if not s.incident]
    spans = sorted({*spans, *_around(store, incidents)})
    bound: dict[str, Any] = {
        "incidents": incidents,
        "who": [span.principal for span in spans],
        "since": [(span.since - _EPOCH) // _MICROSECOND for span in spans],
        "until": [(span.until - _EPOCH) // _MICROSECOND for span in spans],
    }
    alerts = store.client.query(_ALERTS, parameters=bound).result_rows if scopes else []
    return {**bound, "alerts": [str(row[0]) for row in alerts]}


def _family(store: Store, incidents: set[str]) -> list[str]:
    """The incidents, and all that were merged with them, at whatever remove: their stories are one."""
    if not incidents:
        return []
    near: defaultdict[str, set[str]] = defaultdict(set)
    for one, other in store.client.query(_MERGED).result_rows:
        near[one].add(other)
        near[other].add(one)
    found, todo = set(incidents), list(incidents)
    while todo:
        fresh = near[todo.pop()] - found
        found |= fresh
        todo += fresh
    return sorted(found)


def _around(store: Store, incidents: list[str]) -> Iterator[_Span]:
    """What the principals of incidents did about that time; those too who were let in to what stood open."""
    if not incidents:
        return
    given = {"incidents": incidents}
    readers = {str(row[0]) for row in store.client.query(_READERS, parameters=given).result_rows}
    for principals, opened_at, updated_at, ended in store.client.query(_INCIDENTS, parameters=given).result_rows:
        for principal in readers.union(principals):
            yield _Span(principal, opened_at - AROUND, updated_at + AROUND if ended else _LAST)
