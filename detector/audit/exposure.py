"""Windows in which sensitive data stood open to more people than before, and who came to read meanwhile."""

from typing import Any, Final

from detector.audit.answer import EVER, Answer, Span, Table, records, table
from detector.store.client import Store
from detector.wording import plural

WINDOW: Final = (
    *("id", "resource", "sensitivity", "status", "opened_at", "opened_by", "opened_by_kind", "opening_change"),
    *("privilege", "grantee", "audience_before", "audience_before_count", "audience_after", "audience_after_count"),
    *("closed_at", "closed_by", "closing_change", "resolution", "open_seconds", "limit_seconds", "newly_admitted"),
    *("reads", "records", "bytes_in", "bytes_out", "opening_event", "closing_event", "thread", "incident", "config"),
)
_WINDOW_SHOWN: Final = (
    *("resource", "sensitivity", "opened_at", "opened_by", "audience_before", "audience_after", "audience_after_count"),
    *("closed_at", "closed_by", "resolution", "open_seconds", "newly_admitted", "reads", "records", "bytes_in"),
    *("bytes_out", "incident"),
)
READ: Final = (
    *("exposure", "resource", "principal", "principal_kind", "role", "newly_admitted", "reads", "records", "bytes_in"),
    *("bytes_out", "first_read", "last_read"),
)
_READ_SHOWN: Final = (
    *("principal", "role", "newly_admitted", "reads", "records", "bytes_in", "bytes_out", "first_read", "last_read"),
)

# Of a window that is open still, time runs to the latest event that the store holds.
_WINDOWS: Final = """
SELECT *, dateDiff('microsecond', opened_at, coalesce(closed_at, {now:DateTime64(6, 'UTC')})) / 1e6 AS open_seconds
FROM exposures
WHERE ({resource:String} = '' OR resource = {resource:String})
    AND ({incident:String} = '' OR incident = {incident:String} OR opening_event IN {events:Array(String)})
    AND (NOT {open:Bool} OR status = 'open')
    AND opened_at < {until:DateTime64(6, 'UTC')} AND (closed_at IS NULL OR closed_at >= {since:DateTime64(6, 'UTC')})
ORDER BY opened_at, id
"""
# Whoever reached the resource before it was opened, as far as the store goes back, was no news to it. An attempt that
# failed read nothing, and a repeat that scoring knew is the same read.
_READS: Final = """
WITH
    x.opened_at <= e.time AND (x.closed_at IS NULL OR e.time < x.closed_at) AS meanwhile
SELECT
    x.id AS exposure,
    x.resource AS resource,
    e.principal AS principal,
    any(e.actor_kind) AS principal_kind,
    any(e.actor_role) AS role,
    min(e.time) >= any(x.opened_at) AS newly_admitted,
    countIf(meanwhile) AS reads,
    sumIf(e.records, meanwhile) AS records,
    sumIf(e.bytes_in, meanwhile) AS bytes_in,
    sumIf(e.bytes_out, meanwhile) AS bytes_out,
    minIf(e.time, meanwhile) AS first_read,
    maxIf(e.time, meanwhile) AS last_read
FROM (SELECT id, resource, opened_at, opened_by, closed_at FROM exposures WHERE id IN {exposures:Array(String)}) AS x
INNER JOIN
(
    SELECT principal, actor_kind, actor_role, target_uri, time, records, bytes_in, bytes_out
    FROM events
    WHERE target_uri IN {resources:Array(String)}
        AND kind IN ('access', 'transfer', 'call') AND outcome = 'success' AND verdict != 'duplicate'
) AS e ON e.target_uri = x.resource
WHERE e.principal != x.opened_by
GROUP BY x.id, x.resource, e.principal
HAVING reads > 0
ORDER BY exposure, newly_admitted DESC, first_read, principal
"""
_NOW: Final = "SELECT max(time) AS now FROM events_data"


def windows(
    store: Store,
    *,
    resource: str = "",
    incident: str = "",
    events: tuple[str, ...] = (),
    only_open: bool = False,
    span: Span = EVER,
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Windows with the sums of what the newly admitted read in them, and the readers of each, admitted or not.

    Args:
        store: The event store.
        resource: That of the windows, exactly; "" for any.
        incident: Of which they are a part; "" for any.
        events: With an incident: its events, for windows that these opened.
        only_open: Whether to leave out those that were closed.
        span: Windows that were open at any time in it.
    """
    now = store.client.query(_NOW).result_rows[0][0]
    bound = {"resource": resource, "incident": incident, "events": list(events), "open": only_open, "now": now}
    found = records(store.client.query(_WINDOWS, parameters={**bound, **span.bound}))
    named = {"exposures": [row["id"] for row in found], "resources": sorted({row["resource"] for row in found})}
    reads = records(store.client.query(_READS, parameters=named)) if found else []
    for row in reads:
        row["newly_admitted"] = bool(row["newly_admitted"])
    for window in found:
        let_in = [read for read in reads if read["exposure"] == window["id"] and read["newly_admitted"]]
        window["newly_admitted"] = len(let_in)
        for column in ("reads", "records", "bytes_in", "bytes_out"):
            window[column] = sum(read[column] for read in let_in)
    return found, reads


def answer(store: Store, *, resource: str = "", only_open: bool = False, span: Span = EVER) -> Answer:
    """Windows of a resource, or those that are open, with the reads in them; as `windows`."""
    found, reads = windows(store, resource=resource, only_open=only_open, span=span)
    let_in = sum(window["newly_admitted"] for window in found)
    told = table("windows", _title(resource, only_open=only_open), found, WINDOW, _WINDOW_SHOWN)
    told.note = f"{plural(len(found), 'window')}, {plural(let_in, 'newly admitted reader')}." if found else ""
    readers = table("reads", "Who read meanwhile", reads, READ, _READ_SHOWN)
    readers.note = "Newly admitted: never reached it before the window opened, as far as the store goes back."
    if resource:
        advice = (
            f"No window of {resource!r}{span.words}. Who changed its permissions: detector audit access --resource …"
        )
    else:
        advice = f"No window{' stands open' if only_open else ''}{span.words}."
    return Answer([told, readers], advice=advice)


def _title(resource: str, *, only_open: bool) -> str:
    what = f"Exposure of {resource}" if resource else "Exposures"
    return f"{what} that stand open" if only_open else what


def as_tables(found: list[dict[str, Any]], reads: list[dict[str, Any]]) -> tuple[Table, Table]:
    """Windows and reads as tables, for a report."""
    return (
        table("windows", "Exposure windows", found, WINDOW, _WINDOW_SHOWN),
        table("reads", "Who read meanwhile", reads, READ, _READ_SHOWN),
    )
