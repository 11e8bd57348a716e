"""Small events, findings, alerts and rejects for tests of what happens to them, not of what is in them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from detector.alerts import Alert, Link, Status
from detector.events import Actor, Envelope, Event, Reject, Rejected
from detector.feedback import Adjustment
from detector.findings import Finding
from detector.records import OperatorAction
from detector.severity import Severity

T0 = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


def an_envelope(offset: int = 0, **changes: Any) -> Envelope:
    event = Event(id=f"e{offset}", time=T0 + timedelta(seconds=offset), actor=Actor("agent-1"), kind="access")
    event = msgspec.structs.replace(event, **changes)
    raw = msgspec.json.encode(event)
    return Envelope(event, "agent-events", 0, offset, event.time.timestamp(), raw)


def a_finding(number: int = 0, **changes: Any) -> Finding:
    finding = Finding(
        id=f"f-{number}",
        time=T0 + timedelta(seconds=number),
        event_id=f"e{number}",
        principal="agent-1",
        principal_kind="agent",
        role="moderator",
        session=None,
        detector="new_endpoint",
        rule="first_seen",
        score=4.0,
        p_value=1e-4,
        severity="SEV3",
        reason="first seen: files.example, once in 400 events",
        entities=("agent:agent-1",),
    )
    return msgspec.structs.replace(finding, **changes)


def an_alert(
    number: int = 0, version: int = 1, status: Status = "open", severity: Severity = "SEV2", **changes: Any
) -> Alert:
    alert = Alert(
        id=f"a-{number}",
        version=version,
        opened_at=T0,
        detected_at=T0 + timedelta(seconds=30),
        updated_at=T0 + timedelta(seconds=30 + version),
        status=status,
        severity=severity,
        risk=0.8,
        title="agent-1 sends data to a host nobody approved",
        reason="51 MB to files.example within 2 min; 0.3 MB expected",
        principals=("agent-1",),
        roles=("moderator",),
        detectors=("transfer_rate", "new_endpoint"),
        finding_ids=("f-1", "f-2"),
        event_ids=("e1", "e2"),
        finding_count=2,
        story=(Link(T0, "agent-1", "e1", "sent 51 MB to files.example"),),
        tags=("ASI02:2026",),
        runbook="Stop the agent; revoke its token.",
    )
    return msgspec.structs.replace(alert, **changes)


def a_rejected(offset: int = 0, raw: bytes = b"{not json") -> Rejected:
    return Rejected(Reject("not_json", "expected a key at byte 1", raw), "agent-events", 0, offset, T0.timestamp())


def an_adjustment(number: int = 0) -> Adjustment:
    return Adjustment(
        id=f"j-{number}",
        feedback="v-1",
        detector="new_endpoint",
        subject="host api.partner.example",
        role="assistant",
        most=0.0,
        up_to="SEV3",
        begins=T0,
        ends=T0 + timedelta(days=90),
    )


def an_action(number: int = 0) -> OperatorAction:
    return OperatorAction(
        id=f"v-{number}",
        time=T0,
        operator="alice",
        action="verdict",
        subject="alert:a-1",
        reason="a drill",
        details={"verdict": "false", "refused": ""},
    )
