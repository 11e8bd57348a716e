"""Where a principal's data went: volumes by destination, the new ones marked."""

from datetime import datetime, timedelta
from typing import Any, Final

from detector.audit.answer import EARLIEST, EVER, Answer, Span, iso, records, table
from detector.store.client import Store
from detector.wording import size

LEARNING: Final = timedelta(days=1)
"""Without a span to ask about, what a principal first sent to after so long is new."""

COLUMNS: Final = (
    *("destination", "zone", "new", "first_in_fleet", "others", "acts", "failed", "bytes_out", "records", "sessions"),
    *("sensitive_acts", "first", "last", "finding", "finding_severity"),
)
SHOWN: Final = ("destination", "zone", "new", "others", "acts", "bytes_out", "records", "first", "finding_severity")

_DESTINATIONS: Final = """
SELECT
    coalesce(nullIf(destination_host, ''), nullIf(destination_account, ''), destination_recipient) AS destination,
    argMax(destination_zone, time) AS zone,
    min(time) AS first_ever,
    countIf(asked) AS acts,
    countIf(asked AND outcome != 'success') AS failed,
    sumIf(e.bytes_out, asked AND outcome = 'success') AS bytes_out,
    sumIf(e.records, asked AND outcome = 'success') AS records,
    uniqExactIf(session, asked AND session != '') AS sessions,
    countIf(asked AND target_sensitivity IN ('confidential', 'restricted')) AS sensitive_acts,
    minIf(time, asked) AS first,
    maxIf(time, asked) AS last,
    groupArrayIf(id, asked) AS ids
FROM
(
    SELECT *, time >= {since:DateTime64(6, 'UTC')} AS asked
    FROM events
    WHERE principal = {principal:String} AND time < {until:DateTime64(6, 'UTC')} AND verdict != 'duplicate'
        AND (destination_host != '' OR destination_account != '' OR destination_recipient != '')
) AS e
GROUP BY destination
HAVING acts > 0
ORDER BY bytes_out DESC, destination
"""
_KNOWN_SINCE: Final = (
    "SELECT min(time) AS since, count() AS events FROM events_data WHERE principal = {principal:String}"
)
# Repeated rows change neither how many there are nor which was first.
_FLEET: Final = """
SELECT
    coalesce(nullIf(destination_host, ''), nullIf(destination_account, ''), destination_recipient) AS destination,
    uniqExactIf(principal, principal != {principal:String}) AS others,
    argMin(principal, time) = {principal:String} AS first_in_fleet
FROM events_data
WHERE destination_host IN {names:Array(String)} OR destination_account IN {names:Array(String)}
    OR destination_recipient IN {names:Array(String)}
GROUP BY destination
"""
_FINDINGS: Final = """
SELECT event_id, id, severity
FROM findings
WHERE principal = {principal:String} AND detector IN ('new_endpoint', 'exfiltration', 'transfer_rate')
ORDER BY severity, time, id
"""


def answer(store: Store, principal: str, span: Span = EVER) -> Answer:
    """Volumes by destination of one principal.

    New is a destination that it first sent to within the span, having been known before it; without a beginning of
    the span, one that it first sent to later than `LEARNING` after its first event.
    """
    since, events = store.client.query(_KNOWN_SINCE, parameters={"principal": principal}).result_rows[0]
    if not events:
        empty = table("egress", f"Where the data of {principal} went", [], COLUMNS, SHOWN)
        return Answer([empty], advice=f"No event of {principal!r} at all: is the name exact?")
    bound = {"principal": principal, **span.bound}
    found = records(store.client.query(_DESTINATIONS, parameters=bound))
    names = {"principal": principal, "names": [row["destination"] for row in found]}
    fleet = {row["destination"]: row for row in records(store.client.query(_FLEET, parameters=names))} if found else {}
    findings: dict[str, dict[str, Any]] = {}
    for row in records(store.client.query(_FINDINGS, parameters=bound)):
        findings.setdefault(row["event_id"], row)
    known_from = _baseline_end(since, span)
    for row in found:
        told = [findings[event] for event in row["ids"] if event in findings]
        gravest = min(told, key=lambda finding: finding["severity"], default={"id": "", "severity": ""})
        row |= {"finding": gravest["id"], "finding_severity": gravest["severity"]}
        row |= {"new": row["first_ever"] >= known_from, "others": fleet[row["destination"]]["others"]}
        row["first_in_fleet"] = bool(fleet[row["destination"]]["first_in_fleet"])
    told_table = table("egress", f"Where the data of {principal} went{span.words}", found, COLUMNS, SHOWN)
    total, new = sum(row["bytes_out"] for row in found), sum(row["new"] for row in found)
    told_table.note = f"{size(total)} in all; new: first sent to from {iso(known_from)} on ({new} of {len(found)})."
    told_table.note += f" {principal} is known since {iso(since)}."
    return Answer([told_table], advice=f"{principal!r} sent nothing anywhere{span.words}.")


def _baseline_end(first_event: datetime, span: Span) -> datetime:
    return max(span.since, first_event) if span.since > EARLIEST else first_event + LEARNING
