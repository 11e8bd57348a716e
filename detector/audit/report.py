"""An incident as a report that a person can file: the facts of it, as Markdown or as a page that stands by itself."""

import base64
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import jinja2
import msgspec
from markupsafe import Markup

from detector import VERSION
from detector.audit import exposure, pictures
from detector.audit.answer import Table, iso, records, table
from detector.audit.incident import Incident, by_sensitivity, data_touched, did_harm, gather, in_order, people
from detector.audit.parts import act
from detector.audit.proof import Integrity, Trusted, integrity
from detector.audit.show import brief, markdown_table, markdown_text, places
from detector.audit.why import configurations, findings_table, settings
from detector.store.client import Store
from detector.wording import plural, printable, size

_ACTIONS: Final = """
SELECT time, operator, action, subject, reason
FROM operator_actions
WHERE subject IN {subjects:Array(String)}
ORDER BY time, id
"""


class Report(msgspec.Struct):
    """All that a report says, ready to be laid out."""

    incident: Incident
    facts: list[tuple[str, str]]
    tables: dict[str, Table]
    charts: list[pictures.Chart]
    integrity: Integrity
    notes: list[str]

    @property
    def title(self) -> str:
        """The alert's headline."""
        return str(self.incident.alert["title"])


def report(store: Store, identity: str, trusted: Trusted | None = None) -> Report:
    """Gather a report of an incident.

    Args:
        store: The event store.
        identity: The id of the incident's alert.
        trusted: What its rows are verified against, besides the store itself.

    Raises:
        AuditError: There is no such incident.
    """
    incident = gather(store, identity)
    windows, reads = exposure.windows(store, incident=identity, events=tuple(e["id"] for e in incident.events))
    configs = configurations(store, (*incident.findings, *incident.versions))
    touched = data_touched(incident.events)
    parts = people(incident, windows, reads)
    actions = _actions(store, incident, windows)
    proof = integrity(store, incident, trusted)
    tables = {
        "people": table("people", "Who", parts, ("who", "kind", "part")),
        "sensitivity": table("sensitivity", "Data touched, by sensitivity", by_sensitivity(touched), _SENSITIVITY),
        "touched": table("touched", "Data touched, by resource", touched, _TOUCHED, _TOUCHED[:-1]),
        "windows": exposure.as_tables(windows, reads)[0],
        "reads": exposure.as_tables(windows, reads)[1],
        "findings": findings_table(incident.findings),
        "actions": table("actions", "What was done about it", actions, ("time", "who", "what")),
        "configurations": table("configurations", "Configuration in force", configs, _CONFIG),
        "settings": settings(configs, {finding["detector"] for finding in incident.findings}),
        "timeline": in_order(store, incident).tables[0],
    }
    notes = [] if configs else ["Findings and alert do not tell the configuration that they were made under."]
    facts = _facts(incident, windows, reads, touched)
    return Report(incident, facts, tables, pictures.of_incident(store, incident, windows, reads), proof, notes)


_SENSITIVITY: Final = ("sensitivity", "resources", "acts", "deletions", "records", "bytes_in", "bytes_out")
_TOUCHED: Final = ("sensitivity", "resource", "acts", "deletions", "records", "bytes_in", "bytes_out", "principals")
_CONFIG: Final = ("config", "hash", "first_seen", "version", "source")


def _facts(
    incident: Incident,
    windows: list[dict[str, Any]],
    reads: list[dict[str, Any]],
    touched: list[dict[str, Any]],
) -> list[tuple[str, str]]:
    alert, harm = incident.alert, incident.first_harm
    left = sum(e["bytes_out"] for e in incident.events if e["bytes_out"] and did_harm(e))
    sensitive = [row for row in touched if row["sensitivity"] in {"confidential", "restricted"}]
    facts = [
        ("Incident", str(alert["id"])),
        ("Severity", f"{alert['severity']} (risk {alert['risk']:.2f})"),
        ("Status", alert["status"] + (f": {alert['resolution']}" if alert["resolution"] else "")),
        ("What", str(alert["reason"])),
        ("How it was found", f"{plural(alert['finding_count'], 'finding')} by {', '.join(alert['detectors'])}"),
        ("First finding", iso(alert["opened_at"])),
        (
            "First harm",
            "none is on record" if harm is None else f"{iso(harm['time'])} {harm['principal']}: {act(harm)}",
        ),
        ("Alert raised", f"{iso(alert['detected_at'])} {_delay(incident.seconds_to_alert)}".strip()),
        *_gravest(incident),
        ("Last change", iso(alert["updated_at"])),
    ]
    if left:
        facts.append(("Data that left", f"{size(left)} ({left:,} bytes)"))
    if sensitive:
        kept = sum(row["records"] for row in sensitive)
        facts.append(("Sensitive data", f"{plural(len(sensitive), 'resource')}, {plural(kept, 'record')} touched"))
    facts += [("Exposure", pictures.window_words(window)) for window in windows]
    admitted = {read["principal"] for read in reads if read["newly_admitted"]}
    if admitted:
        facts.append(("People who read without authorisation", f"{len(admitted)}: {', '.join(sorted(admitted))}"))
    facts.append(("First step", str(alert["runbook"])))
    return facts


def _gravest(incident: Incident) -> list[tuple[str, str]]:
    """When the alert came to be as grave as it is, if it was not at once."""
    severity, harm = incident.alert["severity"], incident.first_harm
    first = next(version for version in incident.versions if version["severity"] == severity)
    if first["version"] == 1:
        return []
    after = None if harm is None else (first["updated_at"] - harm["time"]).total_seconds()
    return [(f"Became {severity}", f"{iso(first['updated_at'])} {_delay(after)}".strip())]


def _delay(seconds: float | None) -> str:
    if seconds is None:
        return ""
    when = "before" if seconds < 0 else "after"
    return f"({abs(seconds):,.3f} s {when} the first harm)"


def _actions(store: Store, incident: Incident, windows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What people did about it: orders to agents, what was closed or taken back, and what operators noted."""
    after = incident.alert["opened_at"]
    told = [
        {"time": event["time"], "who": event["actor_id"], "what": f"{event['action']} {event['principal']}"}
        for event in incident.events
        if event["kind"] == "control" and event["time"] >= after
    ]
    told += [
        {"time": event["time"], "who": event["actor_id"], "what": act(event)}
        for event in incident.events
        if event["permission_change"] in {"narrow", "revoke", "expire"} and event["time"] >= after
    ]
    known = {row["time"] for row in told}
    told += [
        {
            "time": window["closed_at"],
            "who": window["closed_by"],
            "what": f"{window['resource']}: {window['resolution']}",
        }
        for window in windows
        if window["closed_at"] is not None and window["closed_at"] not in known
    ]
    identity = incident.alert["id"]
    bound = {"subjects": [identity, f"incident:{identity}", f"alert:{identity}"]}
    for row in records(store.client.query(_ACTIONS, parameters=bound)):
        told.append({"time": row["time"], "who": row["operator"], "what": f"{row['action']}: {row['reason']}"})
    return sorted(told, key=lambda row: row["time"])


def _environment(*, html: bool) -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.PackageLoader("detector.audit"),
        autoescape=html,  # noqa: S701 - in Markdown each value passes the filter `md`
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(printable=printable, md=markdown_text, mdtable=markdown_table, cell=_cell, columns=_columns)
    return made


class _Column(msgspec.Struct, frozen=True):
    place: int
    name: str
    title: str
    numeric: bool
    time: bool
    short: bool


def _columns(found: Table) -> list[_Column]:
    told = []
    for place in places(found):
        values = [row[place] for row in found.rows]
        numeric = all(isinstance(value, int | float | None) and not isinstance(value, bool) for value in values)
        time = all(isinstance(value, datetime | None) for value in values)
        name = found.columns[place]
        told.append(_Column(place, name, name.replace("_", " "), numeric and not time, time, _is_short(values)))
    return told


def _is_short(values: Sequence[Any]) -> bool:
    return all(isinstance(value, str) and len(value) <= 12 for value in values)


def _cell(value: Any, column: str) -> str:
    return printable(brief(column, value))


def to_html(found: Report, *, now: datetime) -> bytes:
    """The report as one page that needs nothing else: no script, and a policy that forbids any."""
    drawn = [(chart, Markup(_image(chart.svg))) for chart in found.charts]  # noqa: S704 - an image by its bytes
    page = _environment(html=True).get_template("incident.html.j2")
    return str(page.render(report=found, charts=drawn, made_at=iso(now), version=VERSION)).encode()


def _image(svg: bytes) -> str:
    """An image element: what is in an SVG that is shown as an image can run nothing."""
    return f"data:image/svg+xml;base64,{base64.b64encode(svg).decode()}"


def to_markdown(found: Report, *, now: datetime, images: Mapping[str, str]) -> bytes:
    """The report as Markdown; `images` are the files of the charts, by name, as far as they were written."""
    page = _environment(html=False).get_template("incident.md.j2")
    return str(page.render(report=found, images=images, made_at=iso(now), version=VERSION)).encode()
