"""What every OCSF Detection Finding of ours has: its class, its metadata, its severity, its analytic."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

import detector
from detector.severity import OCSF_SEVERITY_ID, Severity

SCHEMA: Final = "1.8.0"
"""The version of OCSF that the renderings keep to."""
PRODUCT: Final = "rogue-agent-detector"
CLASS: Final = 2004

Activity = Literal[1, 2, 3]
_ACTIVITIES: Final[Mapping[int, str]] = {1: "Create", 2: "Update", 3: "Close"}
_SEVERITIES: Final[Mapping[int, str]] = {1: "Informational", 2: "Low", 3: "Medium", 4: "High", 5: "Critical"}
_RISKS: Final[Mapping[Severity, tuple[int, str]]] = {
    "SEV0": (4, "Critical"),
    "SEV1": (4, "Critical"),
    "SEV2": (3, "High"),
    "SEV3": (2, "Medium"),
    "SEV4": (0, "Info"),
}
_CONFIDENCES: Final[Mapping[int, str]] = {1: "Low", 2: "Medium", 3: "High"}
# How each detector comes to its findings, in OCSF's words; those that are not here are rules.
_ANALYTICS: Final[Mapping[str, tuple[int, str]]] = {
    "transfer_rate": (3, "Statistical"),
    "new_endpoint": (3, "Statistical"),
    "mass_deletion": (3, "Statistical"),
    "behaviour": (2, "Behavioral"),
    "forest_challenger": (4, "Learning (ML/DL)"),
}
_RULE: Final = (1, "Rule")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def event(activity: Activity, time: datetime, severity: Severity) -> dict[str, Any]:
    """The classification of a Detection Finding; its risk's level is that of its severity."""
    severity_id = OCSF_SEVERITY_ID[severity]
    level, name = _RISKS[severity]
    return {
        "activity_id": activity,
        "activity_name": _ACTIVITIES[activity],
        "category_uid": 2,
        "category_name": "Findings",
        "class_uid": CLASS,
        "class_name": "Detection Finding",
        "type_uid": CLASS * 100 + activity,
        "type_name": f"Detection Finding: {_ACTIVITIES[activity]}",
        "time": milliseconds(time),
        "severity_id": severity_id,
        "severity": _SEVERITIES[severity_id],
        "risk_level_id": level,
        "risk_level": name,
        # Of the profile "security_control": we watch, and stop nobody.
        "action_id": 3,
        "action": "Observed",
        "disposition_id": 15,
        "disposition": "Detected",
    }


def metadata(uid: str, correlation: str | None, code: str | None = None) -> dict[str, Any]:
    """Who reports, in which version of the schema; `correlation` is what several events of ours share."""
    found = {
        "version": SCHEMA,
        "uid": uid,
        "correlation_uid": correlation,
        "event_code": code,
        "profiles": ["security_control"],
        "product": {"name": PRODUCT, "vendor_name": PRODUCT, "version": detector.VERSION},
    }
    return {name: value for name, value in found.items() if value}


def confidence(score: int) -> dict[str, Any]:
    """Confidence of 0 to 100: high from 80 on, medium from 40 on."""
    level = 3 if score >= 80 else 2 if score >= 40 else 1
    return {"confidence_score": score, "confidence_id": level, "confidence": _CONFIDENCES[level]}


def analytic(name: str, rule: str = "") -> dict[str, Any]:
    """The detector, and which of its rules."""
    type_id, kind = _ANALYTICS.get(name, _RULE)
    found = {"uid": f"{name}.{rule}" if rule else name, "name": name, "type_id": type_id, "type": kind}
    return found | ({"category": rule} if rule else {})


def milliseconds(time: datetime) -> int:
    """A time as OCSF writes it.

    >>> milliseconds(datetime(2026, 3, 2, 9, 0, 0, 123_999, tzinfo=UTC))
    1772442000123
    """
    return (time - _EPOCH) // timedelta(milliseconds=1)
