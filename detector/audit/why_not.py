"""Why an event raised no alert: its story is played again, and each detector's score told against its limit.

What the store holds of the event (how it was taken, findings, what suppressed them, the alerts that they are in) is the
truth. Scores below their limits are stored nowhere: for these the principal's history is read from the original bytes
and goes through the same two stages, under the configuration that was in force, up to the event. How far that can be
believed is measured: the findings of the principal that the store holds are compared with those that are made again.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from pydantic import ValidationError

from detector.audit.answer import Answer, AuditError, Table, iso, records, table
from detector.audit.parts import act
from detector.audit.played import Played, play
from detector.audit.why import findings_table
from detector.audit.witness import Judged
from detector.config import Config
from detector.config_digests import revived
from detector.findings import Finding
from detector.severity import at_least
from detector.store.client import Store
from detector.wording import duration, number, plural

MOST: Final = 200_000
"""Events that are played again at most: about a minute."""

JUDGED: Final = ("detector", "asked", "channel", "score", "limit", "near", "result", "tests_per_day")
_SHOWN: Final = ("detector", "asked", "channel", "score", "limit", "near", "result")

_EVENT: Final = """
SELECT *, coalesce(nullIf(destination_host, ''), nullIf(destination_account, ''), destination_recipient) AS destination
FROM events
WHERE id = {id:String}
ORDER BY time, topic, partition, offset, index
LIMIT 10
"""
_FINDINGS: Final = "SELECT * FROM findings WHERE event_id = {id:String} ORDER BY time, id"
_FINDINGS_OF: Final = """
SELECT id, score, suppressed
FROM findings
WHERE principal = {principal:String} AND time >= {since:DateTime64(6, 'UTC')} AND time <= {until:DateTime64(6, 'UTC')}
"""
_ALERTS: Final = """
SELECT id, severity, title
FROM alerts
WHERE hasAny(finding_ids, {findings:Array(String)}) OR has(event_ids, {id:String})
ORDER BY id, version DESC
LIMIT 1 BY id
"""
_CONFIG: Final = """
SELECT config, body, first_seen
FROM config_versions
ORDER BY first_seen <= {at:DateTime64(6, 'UTC')} DESC, abs(dateDiff('second', first_seen, {at:DateTime64(6, 'UTC')}))
LIMIT 1
"""
_CONFIG_NAMED: Final = "SELECT config, body, first_seen FROM config_versions WHERE config = {config:String} LIMIT 1"


def answer(store: Store, event_id: str, config: Config | None = None, most: int = MOST) -> Answer:
    """Why an event raised no alert.

    Args:
        store: The event store.
        event_id: The event's id.
        config: What to judge by; that which was in force if not given.
        most: Events to play again at most: where the fleet's are more, those of the principal's role are played, or
            of the principal alone.

    Raises:
        AuditError: There is no such event.
    """
    rows = records(store.client.query(_EVENT, parameters={"id": event_id}, column_formats={"raw": "bytes"}))
    if not rows:
        raise AuditError(f"no event {event_id!r} in the store: ids stand in a timeline (--format csv), in `id`")
    event = rows[0]
    found = records(store.client.query(_FINDINGS, parameters={"id": event_id}))
    named = {"id": event_id, "findings": [finding["id"] for finding in found]}
    alerts = records(store.client.query(_ALERTS, parameters=named))
    judged_by, where = (config, "the one given") if config is not None else _in_force(store, event, found)
    played = play(store, event, judged_by, most)
    facts = {
        "event": f"{iso(event['time'])} {event['principal']}: {act(event)}",
        "taken as": event["verdict"] + _TAKEN.get(event["verdict"], ""),
        "alert": ", ".join(f"{alert['id']} ({alert['severity']}, {alert['title']})" for alert in alerts)
        or _why_none(event, found, judged_by),
        "configuration": where,
        "played again": _played(played),
        **_facts(played, event["time"]),
    }
    made = played.step.findings if played.step is not None else []
    told = Answer([_judged_table(played.judged, made), findings_table(found)], facts)
    told.notes = [_exactness(store, event, played)]
    if len(rows) > 1:
        told.notes.append(f"The store has {len(rows)} events of this id; the first is told.")
    return told


_TAKEN: Final = {
    "late": ": it came too late after others of its partition to be scored (scoring.allowed_lateness)",
    "future": ": its time lay too far ahead of its arrival to be scored (scoring.allowed_skew)",
    "duplicate": ": it had been seen before, and was scored then",
    "error": ": it made a detector fail, and was passed over",
}


def _why_none(event: dict[str, Any], found: list[dict[str, Any]], config: Config) -> str:
    if event["verdict"] != "scored":
        return f"none: it was not scored ({event['verdict']})"
    if not found:
        return "none: no detector found anything in it"
    loud = [finding for finding in found if not finding["suppressed"]]
    if not loud:
        return "none: every finding is suppressed, by " + ", ".join(sorted({row["suppressed"] for row in found}))
    gravest = min(finding["severity"] for finding in loud)
    if not at_least(gravest, config.correlation.alert_from):
        return f"none: its findings are {gravest} at most, and alerts begin at {config.correlation.alert_from}"
    return (
        "none: with what it was joined to, it was not grave enough (correlation.risk), or the alert is not stored yet"
    )


def _in_force(store: Store, event: dict[str, Any], found: list[dict[str, Any]]) -> tuple[Config, str]:
    """The configuration by which the event was judged, and where it comes from; the defaults if none is stored."""
    named = next((finding["config"] for finding in found if finding["config"]), None)
    if named is not None:
        rows = records(store.client.query(_CONFIG_NAMED, parameters={"config": named}))
    else:
        rows = records(store.client.query(_CONFIG, parameters={"at": event["received_at"]}))
    if not rows:
        return Config(), "the defaults: the store holds none (give --config)"
    row = rows[0]
    how = "named by its findings" if named else "in force when it was read"
    if named is None and row["first_seen"] > event["received_at"]:
        how = "the first that the store holds, later than the event"
    try:
        config, replaced = revived(row["body"])
        since = f"{row['config']} ({how}, since {iso(row['first_seen'])})"
        return config, f"{since}; of {', '.join(replaced)} the file is another by now" if replaced else since
    except ValidationError as error:
        first = error.errors()[0]
        why = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
        return Config(), f"the defaults: {row['config']} is not one that this program takes ({why}; give --config)"


def _judged_table(judged: Iterable[Judged], made: Iterable[Finding]) -> Table:
    found = {finding.detector: finding for finding in made}
    rows = []
    for each in judged:
        near = None if not each.limit or each.score is None else round(each.score / each.limit, 3)
        rows.append({**msgspec.structs.asdict(each), "near": near, "result": _result(each, found.get(each.detector))})
    rows.sort(key=lambda row: row["asked"] != "yes")
    told = table("detectors", "What each detector made of it", rows, JUDGED, _SHOWN)
    told.note = "Score and limit: -log10 of a p-value. Near: the score's share of its limit; from 1 on it is a finding."
    return told


def _result(judged: Judged, finding: Finding | None) -> str:
    if judged.asked != "yes":
        return ""
    told = "" if finding is None else f"found {finding.rule} ({finding.severity})"
    told += f", suppressed by {finding.suppressed}" if finding is not None and finding.suppressed else ""
    if judged.score is None:
        return told or "nothing found"
    if judged.limit is None:
        return "too little to judge"
    if not judged.beyond:
        return "below its limit"
    return f"beyond its limit: {told or 'told before, or of too little weight'}"


def _played(played: Played) -> str:
    of = {"fleet": "of all principals", "role": "of its role only", "principal": "of its own only"}[played.scope]
    unread = f", and {plural(played.unread, 'event')} could not be decoded again" if played.unread else ""
    return f"{plural(played.events, 'event')} {of}{unread}"


def _facts(played: Played, time: datetime) -> dict[str, Any]:
    """What the detectors knew of the principal."""
    facts = dict(played.facts)
    if "known since" in facts:
        since = datetime.fromtimestamp(facts["known since"], UTC)
        facts["known since"] = f"{iso(since)} ({duration((time - since).total_seconds())})"
    return facts


def _exactness(store: Store, event: dict[str, Any], played: Played) -> str:
    """How far the scores can be believed: what was found again of what the store holds."""
    span = {"principal": event["principal"], "since": played.since or event["time"], "until": event["time"]}
    stored = {row["id"]: row for row in records(store.client.query(_FINDINGS_OF, parameters=span))}
    made = {key: finding for key, finding in played.findings.items() if finding.time <= event["time"]}
    alike = {key for key in stored.keys() & made.keys() if stored[key]["score"] == made[key].score}
    if alike == stored.keys() == made.keys() and played.scope == "fleet" and not played.unread:
        return (
            f"Exact as far as can be told: of {event['principal']} all {plural(len(stored), 'finding')} in the store "
            "up to then came out again, with the same scores, and no other."
        )
    reason = {
        "fleet": "the store's history may begin later than the detector's, or another configuration was in force",
        "role": "other roles were left out, so what is rare in the fleet, and limits, may differ",
        "principal": "peers were left out, so what is usual among them, and limits, may differ",
    }[played.scope]
    return (
        f"Approximate: of {plural(len(stored), 'finding')} of {event['principal']} in the store up to then "
        f"{number(len(alike))} came out again with the same score, {number(len(stored.keys() - alike))} did not, and "
        f"{number(len(made.keys() - stored.keys()))} came out that the store does not hold; {reason}."
    )
