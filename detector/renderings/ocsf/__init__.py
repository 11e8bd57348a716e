"""Findings and alerts as OCSF Detection Findings (class 2004) of schema 1.8.0, with the profile `security_control`.

| OCSF | finding | alert |
| --- | --- | --- |
| `metadata.uid`, `finding_info.uid` | its id | its id and version; its id |
| `activity_id` | Create | Create, Update; Close when it is resolved |
| `status_id` | New; Suppressed | New; Resolved, with the reason in `status_detail` |
| `severity_id`, `risk_level_id` | SEV0 and SEV1 Critical, SEV2 High, SEV3 Medium, SEV4 Informational | the same |
| `risk_score` | - | its risk, 0 to 100 |
| `confidence_score` | that it is no chance: 100 (1 - p); 100 for rules, which test for facts | its risk |
| `is_alert` | SEV3 and worse, unless suppressed | until it is resolved |
| `finding_info` | analytic, technique tags, the event | title, techniques, its events and findings, times |
| `evidences` | the actor, resources, the far end, the evidence as data | the steps of its story |
| `anomaly_analyses` | what was seen and what was expected | - |
| `remediation` | - | the runbook |
| `unmapped` | detector, rule, role, score, p-value, entities, configuration | roles, detectors, SEV, configuration |

The same finding or alert gives the same bytes.
"""

import math
from typing import Any, Final

import msgspec

from detector.alerts import Alert
from detector.findings import Finding
from detector.renderings.ocsf.anomalies import anomaly_analyses
from detector.renderings.ocsf.attacks import attacks, lists
from detector.renderings.ocsf.common import (
    CLASS,
    Activity,
    analytic,
    confidence,
    event,
    metadata,
    milliseconds,
)
from detector.renderings.ocsf.places import Place, endpoint, observables, place_of, user
from detector.severity import at_least

_ENCODER: Final = msgspec.json.Encoder()


def encode(item: Finding | Alert) -> bytes:
    """A finding or a version of an alert as one line of OCSF JSON."""
    made = alert_to_ocsf(item) if isinstance(item, Alert) else finding_to_ocsf(item)
    try:
        return _ENCODER.encode(made)
    except UnicodeEncodeError:
        return _ENCODER.encode(_with_whole_letters(made))


def _with_whole_letters(value: Any) -> Any:
    """The same with U+FFFD for each half of a pair of surrogates, which no text in UTF-8 can hold."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {_with_whole_letters(key): _with_whole_letters(inner) for key, inner in value.items()}
    return [_with_whole_letters(inner) for inner in value] if isinstance(value, list | tuple) else value


def finding_to_ocsf(finding: Finding) -> dict[str, Any]:
    """A finding as a Detection Finding, of plain types."""
    time = milliseconds(finding.time)
    resources = _values(finding.entities, "resource")
    place = place_of(finding)
    status: tuple[int, str] = (3, "Suppressed") if finding.suppressed else (1, "New")
    found = event(1, finding.time, finding.severity) | {
        "status_id": status[0],
        "status": status[1],
        "status_detail": finding.suppressed,
        "is_alert": finding.suppressed is None and at_least(finding.severity, "SEV3"),
        **confidence(100 if finding.p_value is None else int(100 * (1.0 - min(1.0, finding.p_value)))),
        "message": finding.reason,
        "finding_info": {"uid": finding.id}
        | _without_nothing(
            {
                "title": f"{finding.detector}: {finding.rule.replace('_', ' ')}",
                "desc": finding.reason,
                "types": [finding.detector],
                "analytic": analytic(finding.detector, finding.rule),
                "attacks": attacks(finding.tags),
                "tags": lists(finding.tags),
                "related_events": [{"uid": finding.event_id}],
                "created_time": time,
                "first_seen_time": time,
                "last_seen_time": time,
            }
        ),
        "attacks": attacks(finding.tags),
        "evidences": [_evidence(finding, resources, place)],
        "resources": [{"uid": uri} for uri in resources],
        "observables": observables([finding.principal], resources, place),
        "anomaly_analyses": anomaly_analyses(finding),
        "metadata": metadata(finding.id, finding.session, f"{finding.detector}.{finding.rule}"),
        "unmapped": {
            "detector": finding.detector,
            "rule": finding.rule,
            "severity": finding.severity,
            "score": finding.score,
            "p_value": finding.p_value,
            "role": finding.role,
            "entities": list(finding.entities),
            "config": finding.config,
        },
    }
    return _without_nothing(found)


def alert_to_ocsf(alert: Alert) -> dict[str, Any]:
    """A version of an alert as a Detection Finding, of plain types."""
    closed = alert.status == "resolved"
    activity: Activity = 3 if closed else 1 if alert.version == 1 else 2
    opened, updated = milliseconds(alert.opened_at), milliseconds(alert.updated_at)
    risk = 0 if math.isnan(alert.risk) else round(100 * alert.risk)
    found = event(activity, alert.updated_at, alert.severity) | {
        "status_id": 4 if closed else 1,
        "status": "Resolved" if closed else "New",
        "status_detail": alert.resolution,
        "is_alert": not closed,
        "risk_score": risk,
        **confidence(risk),
        "message": alert.reason,
        "count": alert.finding_count,
        "start_time": opened,
        "end_time": updated,
        "duration": updated - opened,
        "finding_info": {"uid": alert.id}
        | _without_nothing(
            {
                "title": alert.title,
                "desc": alert.reason,
                "types": list(alert.detectors),
                "analytic": analytic("correlation"),
                "related_analytics": [analytic(name) for name in alert.detectors],
                "attacks": attacks(alert.tags),
                "tags": lists(alert.tags),
                "related_events": [
                    *({"uid": uid} for uid in alert.event_ids),
                    *({"uid": uid, "type_uid": CLASS * 100 + 1} for uid in alert.finding_ids),
                ],
                "created_time": milliseconds(alert.detected_at),
                "modified_time": updated,
                "first_seen_time": opened,
                "last_seen_time": updated,
            }
        ),
        "attacks": attacks(alert.tags),
        "evidences": [
            {
                "uid": link.event_id,
                "actor": {"user": user(link.principal)},
                "data": {"time": milliseconds(link.time), "what": link.what},
            }
            for link in alert.story
        ],
        "observables": observables(alert.principals, (), None),
        "remediation": {"desc": alert.runbook},
        "metadata": metadata(f"{alert.id}:{alert.version}", alert.id),
        "unmapped": {
            "severity": alert.severity,
            "version": alert.version,
            "roles": list(alert.roles),
            "detectors": list(alert.detectors),
            "config": alert.config,
        },
    }
    return _without_nothing(found)


def _evidence(finding: Finding, resources: list[str], place: Place | None) -> dict[str, Any]:
    told = finding.evidence
    action = told.get("action") or told.get("tool")
    actor: dict[str, Any] = {"user": user(finding.principal, finding.principal_kind)}
    if finding.session:
        actor["session"] = {"uid": finding.session}
    return _without_nothing(
        {
            "uid": finding.event_id,
            "actor": actor,
            "api": {"operation": action} if isinstance(action, str) and action else None,
            "resources": [{"uid": uri} for uri in resources],
            "dst_endpoint": endpoint(place) if place is not None else None,
            "data": told,
        }
    )


def _values(entities: tuple[str, ...], kind: str) -> list[str]:
    return list(dict.fromkeys(e.removeprefix(f"{kind}:") for e in entities if e.startswith(f"{kind}:")))


def _without_nothing(values: dict[str, Any]) -> dict[str, Any]:
    """Without what says nothing: no value, no items."""
    return {name: value for name, value in values.items() if value is not None and value not in ([], {}, "")}
