"""Why there is an alert, or a finding: scores, evidence, what suppressed it, and the configuration in force."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from detector.audit.answer import Answer, AuditError, Table, iso, records, table
from detector.store.client import Store

FINDING: Final = (
    *("time", "severity", "detector", "rule", "principal", "score", "p_value", "suppressed", "reason", "evidence"),
    *("entities", "tags", "event_id", "config", "id"),
)
_FINDING_SHOWN: Final = ("time", "severity", "detector", "rule", "score", "suppressed", "reason")
_VERSION: Final = ("version", "time", "status", "severity", "risk", "finding_count", "title", "resolution", "config")

_ALERT: Final = "SELECT * FROM alerts WHERE id = {id:String} ORDER BY version"
_FINDINGS_OF_ALERT: Final = """
SELECT *
FROM findings
WHERE id IN (SELECT arrayJoin(finding_ids) FROM alerts_data WHERE id = {id:String})
ORDER BY time, id
"""
_FINDING: Final = "SELECT * FROM findings WHERE id = {id:String}"
_ALERTS_OF_FINDING: Final = """
SELECT id, version, opened_at, updated_at, status, severity, risk, finding_count, title, resolution, config
FROM alerts
WHERE has(finding_ids, {id:String})
ORDER BY id, version
LIMIT 1 BY id
"""
_CONFIGS: Final = """
SELECT config, hash, first_seen, version, source, body
FROM config_versions
WHERE config IN {configs:Array(String)}
ORDER BY first_seen
"""


def answer(store: Store, identity: str) -> Answer:
    """Why an alert or a finding was made, by its id (`a-…` or `f-…`).

    Raises:
        AuditError: There is none of that id.
    """
    if identity.startswith("f-"):
        return of_finding(store, identity)
    versions = records(store.client.query(_ALERT, parameters={"id": identity}))
    if not versions:
        raise AuditError(
            f"no alert {identity!r} in the store: alerts are a-…, findings f-…; `audit why-not` asks of events"
        )
    findings = records(store.client.query(_FINDINGS_OF_ALERT, parameters={"id": identity}))
    last = versions[-1]
    facts = {
        "alert": f"{identity} {last['severity']} {last['title']}",
        "why": last["reason"],
        "raised": f"{iso(last['detected_at'])} (first finding {iso(last['opened_at'])})",
        "risk": last["risk"],
        "findings": f"{last['finding_count']}" + _not_named(last["finding_count"], len(findings)),
        "do": last["runbook"],
    }
    history = [{**row, "time": row["detected_at"] if row["version"] == 1 else row["updated_at"]} for row in versions]
    told = [findings_table(findings), table("versions", "What became of the alert", history, _VERSION, _VERSION[:-1])]
    return _with_configs(store, Answer(told, facts), (*findings, *versions), {row["detector"] for row in findings})


def _not_named(count: int, known: int) -> str:
    return f", of which the store's versions of the alert name {known}" if known < count else ""


def of_finding(store: Store, identity: str) -> Answer:
    """Why a finding was made, and which alerts it is part of; as `answer`."""
    found = records(store.client.query(_FINDING, parameters={"id": identity}))
    if not found:
        raise AuditError(f"no finding {identity!r} in the store")
    finding = found[0]
    alerts = records(store.client.query(_ALERTS_OF_FINDING, parameters={"id": identity}))
    facts = {
        "finding": f"{identity} {finding['severity']} {finding['detector']}/{finding['rule']}",
        "why": finding["reason"],
        "score": finding["score"],
        "p-value": "none: a fixed rule" if finding["p_value"] is None else finding["p_value"],
        "event": finding["event_id"],
        "evidence": finding["evidence"],
        "alerts": ", ".join(row["id"] for row in alerts) or _no_alert(finding),
    }
    history = [{**row, "time": row["updated_at"]} for row in alerts]
    told = [findings_table(found), table("alerts", "Alerts that hold it", history, ("id", *_VERSION), _VERSION[:-1])]
    return _with_configs(store, Answer(told, facts), (*found, *alerts), {finding["detector"]})


def _no_alert(finding: Mapping[str, Any]) -> str:
    if finding["suppressed"]:
        return f"none: suppressed by {finding['suppressed']}"
    return "none: alone, or with what it was joined to, it was not grave enough"


def findings_table(findings: Iterable[Mapping[str, Any]]) -> Table:
    """Findings with their scores."""
    told = table("findings", "Findings", findings, FINDING, _FINDING_SHOWN)
    told.note = "Score: -log10 of the p-value for statistical rules, 0 to 1 for fixed ones."
    return told


def configurations(store: Store, rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The configurations that rows were made under, as far as the store holds them."""
    named = sorted({row["config"] for row in rows if row["config"]})
    return records(store.client.query(_CONFIGS, parameters={"configs": named})) if named else []


def _with_configs(store: Store, answer: Answer, rows: Iterable[Mapping[str, Any]], detectors: set[str]) -> Answer:
    known = configurations(store, rows)
    if not known:
        answer.notes.append("The configuration in force is not known: none was stored with these rows.")
    for config in known:
        answer.facts[f"configuration {config['config']}"] = (
            f"program {config['version']}, in force from {iso(config['first_seen'])}, read from "
            f"{config['source'] or 'the defaults'}, SHA-256 {config['hash']}"
        )
    answer.tables.append(settings(known, detectors))
    return answer


def settings(configs: Iterable[Mapping[str, Any]], detectors: set[str]) -> Table:
    """What the configurations set for some detectors, the budget and correlation: the thresholds in force."""
    rows = []
    for config in configs:
        body = json.loads(config["body"])
        parts = {f"detectors.{name}": body.get("detectors", {}).get(name) for name in sorted(detectors)}
        parts |= {name: body.get(name) for name in ("budget", "correlation")}
        for section, values in parts.items():
            for name, value in (values or {}).items():
                rows.append((config["config"], f"{section}.{name}", json.dumps(value)))
    return Table("settings", "Settings in force", ("config", "setting", "value"), rows)
