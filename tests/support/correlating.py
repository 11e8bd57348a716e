"""Findings to correlate, as sentences of a story: who did what, so many seconds after the start."""

from datetime import timedelta
from typing import Any

from detector.alerts import Alert
from detector.correlation import Correlator
from detector.events import ActorKind
from detector.findings import Finding
from detector.incidents import CorrelationSettings
from detector.pipeline import about
from detector.severity import Severity
from tests.support.events import START

HOUR = 3600.0


def correlator(**settings: Any) -> Correlator:
    """An empty second stage."""
    return Correlator(about(), CorrelationSettings(**settings))


def finding(
    seconds: float,
    detector: str = "new_endpoint",
    severity: Severity = "SEV3",
    *,
    who: str = "agent-1",
    actor_kind: ActorKind = "agent",
    entities: tuple[str, ...] = (),
    **evidence: Any,
) -> Finding:
    """A finding of the detector's first rule."""
    return Finding(
        id=f"f-{detector}-{who}-{seconds:g}",
        time=START + timedelta(seconds=seconds),
        event_id=f"e-{who}-{seconds:g}",
        principal=who,
        principal_kind=actor_kind,
        role="assistant",
        session=None,
        detector=detector,
        rule=next(iter(about()[detector].rules)),
        score=1.0,
        p_value=None,
        severity=severity,
        reason=f"{who} did something at {seconds:g}",
        entities=(f"principal:{who}", *entities),
        tags=("T1",),
        evidence=evidence,
    )


def change(seconds: float, *, who: str = "bob", **evidence: Any) -> Finding:
    """A change that opens db://users, or closes it."""
    shown = {"resource": "db://users", "sensitivity": "restricted", "audience": "org", "audience_count": 4100}
    shown["opens"] = not evidence.get("closes")
    return finding(
        seconds,
        "permission_change",
        "SEV4" if evidence.get("closes") else "SEV2",
        who=who,
        actor_kind="human",
        entities=("resource:db://users", "thread:t-1"),
        **{**shown, **evidence},
    )


def touch(seconds: float, who: str) -> Finding:
    """A first touch of db://users."""
    facts = {"resource": "db://users", "sensitivity": "restricted", "records": 10, "bytes_in": 1000, "before": 0}
    return finding(
        seconds, "sensitive_read", "SEV4", who=who, actor_kind="human", entities=("resource:db://users",), **facts
    )


def post(seconds: float, who: str = "advisor") -> Finding:
    """A publication without approval, in the thread of the change."""
    return finding(seconds, "unapproved_action", "SEV3", who=who, entities=("thread:t-1",), kind="publish")


def at(seconds: float) -> float:
    """Unix seconds."""
    return START.timestamp() + seconds


def run(stage: Correlator, *findings: Finding) -> list[Alert]:
    """The versions of alerts that came of these."""
    return [alert for f in findings for alert in stage.step(f).alerts]
