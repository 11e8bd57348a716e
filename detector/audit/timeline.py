"""What happened, in order: the acts of a principal, a session or an incident, with what was found between them."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import msgspec

from detector.audit.answer import EVER, Answer, Span, Table, iso, records
from detector.audit.parts import act
from detector.store.client import Store

MOST: Final = 1000

COLUMNS: Final = (
    *("time", "entry", "severity", "principal", "what", "suppressed", "target_uri", "target_sensitivity"),
    *("destination", "destination_zone", "bytes_in", "bytes_out", "records", "session", "thread", "event_id", "id"),
)
SHOWN: Final = ("time", "entry", "severity", "principal", "what")

_OF_PRINCIPAL: Final = """
SELECT time, id, principal, actor_id, kind, action, outcome, verdict, target_uri, target_sensitivity,
    coalesce(nullIf(destination_host, ''), nullIf(destination_account, ''), destination_recipient) AS destination,
    destination_zone, bytes_in, bytes_out, records, session, thread,
    permission_change, permission_grantee, permission_audience, permission_audience_count, permission_privilege
FROM events
WHERE principal = {principal:String} AND time >= {since:DateTime64(6, 'UTC')} AND time < {until:DateTime64(6, 'UTC')}
ORDER BY time, topic, partition, offset, index
LIMIT {most:UInt64}
"""
_OF_SESSION: Final = """
SELECT time, id, principal, actor_id, kind, action, outcome, verdict, target_uri, target_sensitivity,
    coalesce(nullIf(destination_host, ''), nullIf(destination_account, ''), destination_recipient) AS destination,
    destination_zone, bytes_in, bytes_out, records, session, thread,
    permission_change, permission_grantee, permission_audience, permission_audience_count, permission_privilege
FROM events
WHERE session = {session:String} AND time >= {since:DateTime64(6, 'UTC')} AND time < {until:DateTime64(6, 'UTC')}
    AND principal IN (SELECT principal FROM events_data WHERE session = {session:String})
ORDER BY time, topic, partition, offset, index
LIMIT {most:UInt64}
"""
_FINDINGS: Final = """
SELECT time, id, event_id, principal, severity, detector, rule, score, reason, suppressed, session
FROM findings
WHERE (principal = {principal:String} OR ({session:String} != '' AND session = {session:String})
        OR id IN {ids:Array(String)} OR event_id IN {events:Array(String)})
    AND time >= {since:DateTime64(6, 'UTC')} AND time < {until:DateTime64(6, 'UTC')}
ORDER BY time, id
LIMIT {most:UInt64}
"""
_ALERTS: Final = """
SELECT id, version, status, severity, title, resolution, principals, opened_at, detected_at, updated_at,
    lagInFrame(severity) OVER (PARTITION BY id ORDER BY version) AS severity_before
FROM alerts
WHERE id IN
(
    SELECT id FROM alerts_data
    WHERE has(principals, {principal:String}) OR id = {incident:String} OR hasAny(finding_ids, {ids:Array(String)})
)
ORDER BY id, version
"""
_EXPOSURES: Final = """
SELECT id, resource, sensitivity, opened_at, opened_by, opening_event, audience_after, audience_after_count,
    closed_at, closed_by, closing_event, resolution
FROM exposures
WHERE opened_by = {principal:String} OR closed_by = {principal:String} OR incident = {incident:String}
    OR opening_event IN {events:Array(String)}
ORDER BY opened_at, id
"""
_ACTIONS: Final = """
SELECT time, id, operator, action, subject, reason
FROM operator_actions
WHERE subject IN {subjects:Array(String)}
    AND time >= {since:DateTime64(6, 'UTC')} AND time < {until:DateTime64(6, 'UTC')}
ORDER BY time, id
"""

_ALIKE: Final = """
SELECT DISTINCT principal
FROM principal_minutes_data
WHERE positionCaseInsensitive(principal, {part:String}) > 0
LIMIT 5
"""
_TICK: Final = timedelta(microseconds=1)


def of_principal(store: Store, principal: str, span: Span = EVER, most: int = MOST) -> Answer:
    """What a principal did and what was found about it.

    Args:
        store: The event store.
        principal: Its id.
        span: When.
        most: How many events are told; the earliest ones.
    """
    bound = {"principal": principal, **span.bound, "most": most + 1}
    events = records(store.client.query(_OF_PRINCIPAL, parameters=bound))
    known = store.client.query(_ALIKE, parameters={"part": principal}).result_rows if not events else []
    near = ", ".join(row[0] for row in known)
    advice = f"No event of {principal!r}{span.words}." + (f" Known are {near}." if near else " Is the name exact?")
    asked = _Asked(f"What {principal} did", span, most, advice)
    return _told(store, asked, events, principal=principal)


def of_session(store: Store, session: str, span: Span = EVER, most: int = MOST) -> Answer:
    """What was done in one session, by whomever; as `of_principal`."""
    bound = {"session": session, **span.bound, "most": most + 1}
    events = records(store.client.query(_OF_SESSION, parameters=bound))
    advice = f"No event of the session {session!r}{span.words}: is it exact? An event's session stands in its timeline."
    asked = _Asked(f"What was done in session {session}", span, most, advice)
    return _told(store, asked, events, session=session)


def told(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Entries of events, in order."""
    return [{**row, "entry": "event", "severity": "", "what": act(row), "event_id": row["id"]} for row in events]


class _Asked(msgspec.Struct, frozen=True):
    title: str
    span: Span
    most: int
    advice: str


def _told(
    store: Store, asked: _Asked, events: list[dict[str, Any]], *, principal: str = "", session: str = ""
) -> Answer:
    cut, events = len(events) > asked.most, events[: asked.most]
    span = Span(asked.span.since, events[-1]["time"] + _TICK) if cut else asked.span
    named = [row["id"] for row in events] if session else []
    entries = told(events) + found_between(store, span, principal=principal, session=session, events=named)
    table = timeline(asked.title, entries)
    if cut:
        table.note = f"Only the first {asked.most:,} events are told, up to {iso(events[-1]['time'])}: "
        table.note += "ask on with --since, or for more with --limit."
    return Answer([table], advice=asked.advice)


def timeline(title: str, entries: list[dict[str, Any]]) -> Table:
    """A table of entries, put in order: at one instant an event comes before what was found in it."""
    order = {"event": 0, "finding": 1, "exposure": 2, "alert": 3, "action": 4}
    entries.sort(key=lambda entry: (entry["time"], order[entry["entry"]]))
    rows = [tuple(entry.get(column, _BLANK.get(column, "")) for column in COLUMNS) for entry in entries]
    return Table("timeline", title, COLUMNS, rows, SHOWN)


_BLANK: Final[Mapping[str, Any]] = {"bytes_in": None, "bytes_out": None, "records": None}


def found_between(
    store: Store,
    span: Span,
    *,
    principal: str = "",
    session: str = "",
    incident: str = "",
    findings: list[str] | None = None,
    events: list[str] | None = None,
) -> list[dict[str, Any]]:
    """Entries of findings, alerts, exposures and operators' actions that concern any of what is given."""
    names = {"principal": principal, "session": session, "incident": incident, "events": events or []}
    bound = {**names, "ids": findings or [], **span.bound, "most": 100_000}
    found = records(store.client.query(_FINDINGS, parameters=bound))
    alerts = records(
        store.client.query(_ALERTS, parameters={**bound, "ids": [row["id"] for row in found] if session else []})
    )
    windows = records(store.client.query(_EXPOSURES, parameters=bound))
    subjects = [f"principal:{principal}", f"incident:{incident}", f"session:{session}"]
    subjects += [f"{what}:{alert['id']}" for alert in alerts for what in ("incident", "alert")]
    subjects += [alert["id"] for alert in alerts]
    actions = records(store.client.query(_ACTIONS, parameters={**bound, "subjects": subjects}))
    entries = [_of_finding(row) for row in found]
    entries += [entry for row in alerts for entry in _of_alert(row)]
    entries += [entry for row in windows for entry in _of_exposure(row)]
    entries += [_of_action(row) for row in actions]
    return [entry for entry in entries if span.since <= entry["time"] < span.until]


def _of_finding(row: Mapping[str, Any]) -> dict[str, Any]:
    silenced = f" [{row['suppressed']}]" if row["suppressed"] else ""
    return {**row, "entry": "finding", "what": f"{row['detector']}/{row['rule']}: {row['reason']}{silenced}"}


def _of_alert(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A version of an alert, if it says something new: raised, grown in severity, ended."""
    entry = {"entry": "alert", "id": row["id"], "severity": row["severity"], "principal": ", ".join(row["principals"])}
    if row["version"] == 1:
        return [{**entry, "time": row["detected_at"], "what": f"raised {row['id']}: {row['title']}"}]
    if row["status"] == "resolved":
        return [{**entry, "time": row["updated_at"], "what": f"ended {row['id']}: {row['resolution']}"}]
    if row["severity"] != row["severity_before"]:
        what = f"{row['id']} became {row['severity']}: {row['title']}"
        return [{**entry, "time": row["updated_at"], "what": what}]
    return []


def _of_exposure(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    entry = {"entry": "exposure", "severity": "", "id": row["id"], "target_uri": row["resource"]}
    people = "" if row["audience_after_count"] is None else f" ({row['audience_after_count']:,} people)"
    what = f"{row['sensitivity']} {row['resource']} stands open to {row['audience_after']}{people}"
    by, at = row["opened_by"], row["opened_at"]
    entries = [{**entry, "time": at, "principal": by, "what": what, "event_id": row["opening_event"]}]
    if row["closed_at"] is not None:
        what = f"{row['resource']} stands open no longer: {row['resolution']}"
        by, event = row["closed_by"], row["closing_event"]
        entries.append({**entry, "time": row["closed_at"], "principal": by, "what": what, "event_id": event})
    return entries


def _of_action(row: Mapping[str, Any]) -> dict[str, Any]:
    what = f"{row['action']} {row['subject']}: {row['reason']}"
    return {**row, "entry": "action", "severity": "", "principal": row["operator"], "what": what}
