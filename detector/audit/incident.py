"""One incident, gathered: its alert's versions, findings, events, people, data, and when harm was first done."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from detector.audit.answer import Answer, AuditError, Span, records
from detector.audit.timeline import found_between, timeline, told
from detector.events import OUTSIDE, SENSITIVE
from detector.store.client import Store

AROUND: Final = timedelta(hours=1)
"""How long before its first finding and after its last one an incident is looked for in the log."""

EVENTS_MOST: Final = 5000

_VERSIONS: Final = "SELECT * FROM alerts WHERE id = {incident:String} ORDER BY version"
_FINDINGS: Final = """
SELECT *
FROM findings
WHERE id IN (SELECT arrayJoin(finding_ids) FROM alerts_data WHERE id = {incident:String})
ORDER BY time, id
"""
_ALIKE: Final = """
SELECT id, severity, title, detected_at
FROM alerts_current
ORDER BY detected_at DESC
LIMIT 5
"""
# By the people and agents of the incident: what shares something with it, orders to them, and what they did alone.
_OF_PRINCIPALS: Final = """
SELECT time, id, principal, actor_id, actor_kind, actor_role, actor_on_behalf_of, kind, action, outcome, verdict,
    target_uri, target_type, target_sensitivity,
    coalesce(nullIf(destination_host, ''), nullIf(destination_account, ''), destination_recipient) AS destination,
    destination_zone, bytes_in, bytes_out, records, session, thread,
    permission_change, permission_grantee, permission_audience, permission_audience_count, permission_privilege
FROM events
WHERE principal IN {principals:Array(String)}
    AND time >= {since:DateTime64(6, 'UTC')} AND time < {until:DateTime64(6, 'UTC')}
    AND (id IN {events:Array(String)} OR target_uri IN {resources:Array(String)} OR kind = 'control'
        OR (session != '' AND session IN {sessions:Array(String)}))
ORDER BY time, topic, partition, offset, index
LIMIT {most:UInt64}
"""
# By anybody: what was said in its threads.
_OF_THREADS: Final = """
SELECT time, id, principal, actor_id, actor_kind, actor_role, actor_on_behalf_of, kind, action, outcome, verdict,
    target_uri, target_type, target_sensitivity,
    coalesce(nullIf(destination_host, ''), nullIf(destination_account, ''), destination_recipient) AS destination,
    destination_zone, bytes_in, bytes_out, records, session, thread,
    permission_change, permission_grantee, permission_audience, permission_audience_count, permission_privilege
FROM events
WHERE thread IN {threads:Array(String)}
    AND time >= {since:DateTime64(6, 'UTC')} AND time < {until:DateTime64(6, 'UTC')}
ORDER BY time, topic, partition, offset, index
LIMIT {most:UInt64}
"""


class Incident(msgspec.Struct):
    """What the store holds of one incident. Rows are by column name, in order of time; `alert` is the last version."""

    alert: dict[str, Any]
    versions: list[dict[str, Any]]
    findings: list[dict[str, Any]]
    events: list[dict[str, Any]]
    span: Span
    cut: bool = False
    """Whether there were more events than are kept."""

    @property
    def first_harm(self) -> dict[str, Any] | None:
        """The first event of it that did harm; None if none of them did."""
        return next((event for event in self.events if did_harm(event)), None)

    @property
    def seconds_to_alert(self) -> float | None:
        """From the first harm to the alert, in event time; negative if the alert came first, None without harm."""
        harm = self.first_harm
        return None if harm is None else (self.alert["detected_at"] - harm["time"]).total_seconds()

    def entities(self, kind: str) -> list[str]:
        """What its findings are joined by, of one kind ("resource", "session", "thread"), sorted."""
        names = {name for finding in self.findings for name in finding["entities"]}
        return sorted(name.removeprefix(f"{kind}:") for name in names if name.startswith(f"{kind}:"))


def did_harm(event: Mapping[str, Any]) -> bool:
    """Whether an event of an incident did harm by itself: data left, was deleted, or can be reached by more people.

    An attempt that failed did none; nor does what only prepared it (a read, a post, a request).
    """
    if event["outcome"] != "success":
        return False
    if event["kind"] == "permission":
        return event["permission_change"] in {"grant", "widen", "inherit", "disable"}
    sent = event["bytes_out"] > 0 and bool(event["destination"]) and event["destination_zone"] in OUTSIDE
    return sent or event["kind"] == "delete"


def gather(store: Store, incident: str) -> Incident:
    """What belongs to an incident, by its id (that of its alert).

    Its events are those that its findings name, and around them: what its people and agents did in its sessions or
    to its resources, orders to them, and what anybody said in its threads.

    Raises:
        AuditError: There is no alert of that id; the message names the latest ones.
    """
    bound = {"incident": incident}
    versions = records(store.client.query(_VERSIONS, parameters=bound))
    if not versions:
        raise AuditError(_unknown(store, incident))
    findings = records(store.client.query(_FINDINGS, parameters=bound))
    times = [finding["time"] for finding in findings] or [versions[0]["opened_at"]]
    span = Span(min(times) - AROUND, max(times) + AROUND)
    found = Incident(versions[-1], versions, findings, [], span)
    principals = {*versions[-1]["principals"], *(finding["principal"] for finding in findings)}
    asked = {
        **span.bound,
        "principals": sorted(principals),
        "events": sorted({finding["event_id"] for finding in findings}),
        "resources": found.entities("resource"),
        "sessions": found.entities("session"),
        "threads": found.entities("thread"),
        "most": EVENTS_MOST,
    }
    events = records(store.client.query(_OF_PRINCIPALS, parameters=asked))
    if asked["threads"]:
        known = {(event["id"], event["time"]) for event in events}
        said = records(store.client.query(_OF_THREADS, parameters=asked))
        events += [event for event in said if (event["id"], event["time"]) not in known]
        events.sort(key=lambda event: event["time"])
    found.events, found.cut = events[:EVENTS_MOST], len(events) >= EVENTS_MOST
    return found


def _unknown(store: Store, incident: str) -> str:
    latest = records(store.client.query(_ALIKE))
    if not latest:
        return f"no incident {incident!r}: the store holds no alert at all"
    names = "; ".join(f"{row['id']} ({row['severity']}, {row['title']})" for row in latest)
    return f"no incident {incident!r} in the store; the latest are {names}"


def in_order(store: Store, incident: Incident) -> Answer:
    """The incident's timeline: its events, and what was found, opened, raised and done between them."""
    identity = incident.alert["id"]
    entries = told(incident.events) + found_between(
        store,
        Span(incident.span.since, max(incident.span.until, incident.alert["updated_at"] + timedelta(seconds=1))),
        incident=identity,
        findings=[finding["id"] for finding in incident.findings],
        events=[event["id"] for event in incident.events],
    )
    answer = timeline(f"{identity}: {incident.alert['title']}", entries)
    if incident.cut:
        answer.note = f"Only the first {EVENTS_MOST:,} events of the incident are told."
    return Answer([answer])


def data_touched(events: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What was read, sent, changed or deleted, by sensitivity and resource, the most sensitive first."""
    order = ("restricted", "confidential", "internal", "unknown", "public")
    sums: dict[tuple[str, str], dict[str, Any]] = {}
    for event in events:
        if not event["target_uri"] or event["kind"] in {"control", "auth"} or event["outcome"] != "success":
            continue
        key = event["target_sensitivity"], event["target_uri"]
        row = sums.setdefault(key, {"sensitivity": key[0], "resource": key[1], **_NOTHING, "principals": set()})
        row["acts"] += 1
        row["deletions"] += event["kind"] == "delete"
        for column in ("records", "bytes_in", "bytes_out"):
            row[column] += event[column]
        row["principals"].add(event["principal"])
    rows = [{**row, "principals": sorted(row["principals"])} for row in sums.values()]
    return sorted(rows, key=lambda row: (order.index(row["sensitivity"]), row["resource"]))


_NOTHING: Final = {"acts": 0, "deletions": 0, "records": 0, "bytes_in": 0, "bytes_out": 0}


def by_sensitivity(touched: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The sums of `data_touched` for each sensitivity, with the number of resources."""
    sums: dict[str, dict[str, Any]] = {}
    for row in touched:
        total = sums.setdefault(row["sensitivity"], {"sensitivity": row["sensitivity"], "resources": 0, **_NOTHING})
        total["resources"] += 1
        for column in _NOTHING:
            total[column] += row[column]
    return list(sums.values())


def people(
    incident: Incident, windows: Iterable[Mapping[str, Any]], reads: Iterable[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Who is in it and as what: acted, was acted for, was let in, came to read, gave orders, or closed it."""
    parts: dict[str, list[str]] = {}

    def note(who: str, part: str) -> None:
        if who and part not in parts.setdefault(who, []):
            parts[who].append(part)

    kinds = {event["actor_id"]: event["actor_kind"] for event in incident.events}
    named = {event_id for finding in incident.findings for event_id in (finding["event_id"],)}
    for event in incident.events:
        if event["kind"] == "control":
            note(event["actor_id"], f"gave the order {event['action']}")
        elif event["id"] in named:
            note(event["actor_id"], _part(event))
        if event["id"] in named:
            note(event["actor_on_behalf_of"], f"{event['actor_id']} acted for them")
    for window in windows:
        note(window["closed_by"], f"closed {window['resource']}")
    for read in reads:
        if read["newly_admitted"]:
            note(read["principal"], f"was let in to {read['resource']}, and read it")
    return [{"who": who, "kind": kinds.get(who, "human"), "part": "; ".join(told)} for who, told in parts.items()]


def _part(event: Mapping[str, Any]) -> str:
    if event["kind"] == "permission":
        return f"changed who can reach {event['target_uri']}"
    words = {"delete": "deleted from", "publish": "published to", "transfer": "sent from", "access": "read"}
    sensitive = "sensitive " if event["target_sensitivity"] in SENSITIVE else ""
    word = words.get(event["kind"], "called")
    return f"{word} {sensitive}{event['target_uri']}" if event["target_uri"] else f"{word} {event['destination']}"


def span_of(times: Iterable[datetime]) -> float:
    """Seconds between the first and the last of some times."""
    known = list(times)
    return (max(known) - min(known)).total_seconds()
