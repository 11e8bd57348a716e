"""The charts of an incident's report: what they show, taken out of the store."""

from collections.abc import Mapping
from datetime import UTC, timedelta
from statistics import median, quantiles
from typing import Any, Final

import msgspec

from detector.audit import charts
from detector.audit.answer import iso, records
from detector.audit.incident import Incident
from detector.store.client import Store
from detector.wording import duration, number, plural, size

BASELINE: Final = timedelta(days=14)
"""How far back a principal's usual hours are looked for."""

_HOURS: Final = """
SELECT toStartOfHour(minute) AS hour,
    sum(bytes_internal + bytes_approved + bytes_external + bytes_public + bytes_unknown) AS bytes_out,
    sum(m.bytes_in) AS bytes_in
FROM principal_minutes AS m
WHERE principal = {principal:String}
    AND minute >= {since:DateTime64(6, 'UTC')} AND minute < {until:DateTime64(6, 'UTC')}
GROUP BY hour
ORDER BY hour
"""
_READS: Final = """
SELECT time, principal, records
FROM events
WHERE target_uri = {resource:String} AND principal IN {principals:Array(String)}
    AND time >= {since:DateTime64(6, 'UTC')} AND time < {until:DateTime64(6, 'UTC')}
    AND kind IN ('access', 'transfer', 'call') AND outcome = 'success' AND verdict != 'duplicate'
ORDER BY time, principal
"""


class Chart(msgspec.Struct, frozen=True):
    """A chart with what it shows, in words; `name` is a file's name without ending."""

    name: str
    title: str
    words: str
    svg: bytes


def of_incident(
    store: Store, incident: Incident, windows: list[dict[str, Any]], reads: list[dict[str, Any]]
) -> list[Chart]:
    """The charts of an incident: its timeline, what was moved against what is usual, each window.

    Args:
        store: The event store.
        incident: Which.
        windows: Its exposure windows.
        reads: The reads in them.
    """
    alert, harm = incident.alert, incident.first_harm
    drawn = [
        Chart(
            "timeline",
            "Timeline",
            "Each event a stroke, each finding a diamond; what stood open is shaded. Times are UTC.",
            charts.timeline(
                [event for event in incident.events if event["principal"]],
                incident.findings,
                windows,
                None if harm is None else harm["time"],
                alert["detected_at"],
            ),
        )
    ]
    drawn += _transfer(store, incident)
    for window in windows:
        readers = [r["principal"] for r in reads if r["exposure"] == window["id"] and r["newly_admitted"]]
        until = window["closed_at"] or alert["updated_at"]
        bound = {"resource": window["resource"], "principals": readers, "since": window["opened_at"], "until": until}
        each = records(store.client.query(_READS, parameters=bound))
        words = window_words(window)
        title = f"Exposure of {window['resource']}"
        drawn.append(Chart(f"exposure-{len(drawn)}", title, words, charts.exposure(window, each, until)))
    return drawn


def _transfer(store: Store, incident: Incident) -> list[Chart]:
    """What the one who moved most moved in each hour, against its hours before; none if nobody moved anything."""
    moved: dict[str, int] = {}
    for event in incident.events:
        moved[event["principal"]] = moved.get(event["principal"], 0) + event["bytes_out"] + event["bytes_in"]
    if not any(moved.values()):
        return []
    principal = max(sorted(moved), key=lambda name: moved[name])
    times = [event["time"] for event in incident.events if event["principal"] == principal]
    span = (min(times), max(times) + timedelta(hours=1))
    bound = {"principal": principal, "since": span[0] - BASELINE, "until": span[1]}
    hours = records(store.client.query(_HOURS, parameters=bound))
    way = "bytes_out" if any(e["bytes_out"] for e in incident.events if e["principal"] == principal) else "bytes_in"
    for row in hours:
        row["hour"] = row["hour"].replace(tzinfo=UTC) if row["hour"].tzinfo is None else row["hour"]
        row["bytes"] = row[way]
    begin = incident.alert["opened_at"]
    before = [row["bytes"] for row in hours if row["bytes"] and row["hour"] + timedelta(hours=1) <= begin]
    usual = _usual(before)
    peak = max((row["bytes"] for row in hours if row["hour"] + timedelta(hours=1) > begin), default=0)
    verb = "sent" if way == "bytes_out" else "read"
    words = f"{principal} {verb} {size(peak)} in its busiest hour of the incident; over "
    words += f"{plural(len(before), 'active hour')} before, it usually {verb} {size(usual[0])} an hour, and "
    words += f"{size(usual[1])} in one of twenty. The red bars "
    words += "are the incident's hours."
    return [Chart("transfer", "Transfer against baseline", words, charts.transfer(hours, usual, span))] if hours else []


def _usual(values: list[int]) -> tuple[float, float]:
    """Median and 95th percentile; zeros if there are none."""
    if not values:
        return 0.0, 0.0
    return float(median(values)), quantiles(values, n=20)[-1] if len(values) > 1 else float(values[0])


def window_words(window: Mapping[str, Any]) -> str:
    """A window in a sentence, with who and how much."""
    count = window["audience_after_count"]
    whom = f"{window['audience_after']}" + (f" ({plural(count, 'person', 'people')})" if count is not None else "")
    end = f"closed {iso(window['closed_at'])} by {window['closed_by']}" if window["closed_at"] else "still open"
    read = plural(window["newly_admitted"], "newly admitted person", "newly admitted people")
    return (
        f"{window['sensitivity']} {window['resource']} stood open to {whom} for {duration(window['open_seconds'])}, "
        f"from {iso(window['opened_at'])} (by {window['opened_by']}), {end}; {read} read "
        f"{number(window['records'])} records, {window['bytes_in']:,} bytes, in {plural(window['reads'], 'read')}"
    )
