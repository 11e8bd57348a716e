"""Rows of the event store's tables, built column by column: what the sink hands to the client.

Each function takes items and returns a list for each column of a table, by name. None becomes "" where the
table has no NULL. Times are microseconds since 1970 and JSON is bytes: the client takes both as they are, and
would spend Python time on each row for anything else. Numbers are exactly of the kind that their column holds,
since links cover what is written, and verification sees what was stored.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

import msgspec

from detector.alerts import Alert
from detector.events import Approval, Change, Destination, Envelope, Event, Permission, Rejected, Target
from detector.exposure_versions import ExposureVersion
from detector.findings import Finding
from detector.records import ConfigVersion, OperatorAction

Columns = dict[str, list[Any]]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_json: Final = msgspec.json.Encoder().encode

# What DateTime64 is documented to hold: beyond it the engine's functions wrap around.
EARLIEST: Final = datetime(1900, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2299, 12, 31, tzinfo=UTC)

_NO_TARGET: Final = Target(uri="")
_NO_DESTINATION: Final = Destination()
_NO_PERMISSION: Final = Permission(change=cast("Change", ""))
_NO_APPROVAL: Final = Approval()


def micros(times: Iterable[datetime]) -> list[int]:
    """Aware times, in any zone, as microseconds since 1970, exactly."""
    return [(time - _EPOCH) // _MICROSECOND for time in times]


_FIRST, _LAST = micros([EARLIEST, LATEST])


def arrivals(seconds: Sequence[float]) -> list[int]:
    """Times of arrival (unix seconds) as microseconds since 1970, at most as far off as the store can hold.

    They are no less a producer's word than event times, where the topic keeps the producer's timestamps; but
    a reject has no other time, and must not be lost for this one.
    """
    return [min(max(round(time * 1e6), _FIRST), _LAST) for time in seconds]


def _end(time: datetime | None) -> int | None:
    """An end as microseconds since 1970; one beyond what the store holds ("9999") is its last day."""
    return None if time is None else min(max((time - _EPOCH) // _MICROSECOND, _FIRST), _LAST)


def event_columns(rows: Sequence[tuple[Envelope, str]]) -> Columns:
    """Columns of `events_data`, from envelopes with their verdicts."""
    envelopes = [envelope for envelope, _ in rows]
    events = [envelope.event for envelope in envelopes]
    return {
        "principal": [event.principal for event in events],
        "time": micros([event.time for event in events]),
        "topic": [envelope.topic for envelope in envelopes],
        "partition": [envelope.partition for envelope in envelopes],
        "offset": [envelope.offset for envelope in envelopes],
        "index": [envelope.index for envelope in envelopes],
        "received_at": arrivals([envelope.received_at for envelope in envelopes]),
        "format": [envelope.format for envelope in envelopes],
        "verdict": [verdict for _, verdict in rows],
        "id": [event.id for event in events],
        "kind": [event.kind for event in events],
        "action": [event.action for event in events],
        "outcome": [event.outcome for event in events],
        **_actor_columns(events),
        **_target_columns(events),
        **_destination_columns(events),
        "bytes_out": [event.bytes_out for event in events],
        "bytes_in": [event.bytes_in for event in events],
        "records": [event.records for event in events],
        **_permission_columns(events),
        **_approval_columns(events),
        "thread": [event.thread or "" for event in events],
        "trace_id": [event.trace_id or "" for event in events],
        "parent_id": [event.parent_id or "" for event in events],
        "in_reply_to": [event.in_reply_to or "" for event in events],
        "attributes": [_json(event.attributes) if event.attributes else b"{}" for event in events],
        "raw": [envelope.raw for envelope in envelopes],
    }


def _actor_columns(events: Sequence[Event]) -> Columns:
    actors = [event.actor for event in events]
    return {
        "actor_id": [actor.id for actor in actors],
        "actor_kind": [actor.kind for actor in actors],
        "actor_role": [actor.role for actor in actors],
        "actor_on_behalf_of": [actor.on_behalf_of or "" for actor in actors],
        "session": [actor.session or "" for actor in actors],
    }


def _target_columns(events: Sequence[Event]) -> Columns:
    targets = [event.target or _NO_TARGET for event in events]
    return {
        "target_uri": [target.uri for target in targets],
        "target_type": [target.type for target in targets],
        "target_sensitivity": [target.sensitivity for target in targets],
        "target_container_size": [target.container_size for target in targets],
    }


def _destination_columns(events: Sequence[Event]) -> Columns:
    destinations = [event.destination or _NO_DESTINATION for event in events]
    return {
        "destination_host": [destination.host or "" for destination in destinations],
        "destination_account": [destination.account or "" for destination in destinations],
        "destination_recipient": [destination.recipient or "" for destination in destinations],
        "destination_zone": [destination.zone for destination in destinations],
    }


def _permission_columns(events: Sequence[Event]) -> Columns:
    permissions = [event.permission or _NO_PERMISSION for event in events]
    return {
        "permission_change": [permission.change for permission in permissions],
        "permission_grantee": [permission.grantee or "" for permission in permissions],
        "permission_audience": [permission.audience for permission in permissions],
        "permission_audience_count": [permission.audience_count for permission in permissions],
        "permission_privilege": [permission.privilege for permission in permissions],
        "permission_requested": [permission.requested or "" for permission in permissions],
        "permission_temporary": [permission.temporary for permission in permissions],
        "permission_expires_at": [_end(permission.expires_at) for permission in permissions],
        "permission_inherited_from": [permission.inherited_from or "" for permission in permissions],
    }


def _approval_columns(events: Sequence[Event]) -> Columns:
    approvals = [event.approval or _NO_APPROVAL for event in events]
    return {
        "approval_required": [approval.required for approval in approvals],
        "approval_id": [approval.id or "" for approval in approvals],
        "approval_by": [approval.by or "" for approval in approvals],
    }


def finding_columns(findings: Sequence[Finding]) -> Columns:
    """Columns of `findings_data`."""
    return {
        "time": micros([finding.time for finding in findings]),
        "id": [finding.id for finding in findings],
        "event_id": [finding.event_id for finding in findings],
        "principal": [finding.principal for finding in findings],
        "principal_kind": [finding.principal_kind for finding in findings],
        "role": [finding.role for finding in findings],
        "session": [finding.session or "" for finding in findings],
        "detector": [finding.detector for finding in findings],
        "rule": [finding.rule for finding in findings],
        "score": [float(finding.score) for finding in findings],
        "p_value": [None if finding.p_value is None else float(finding.p_value) for finding in findings],
        "severity": [finding.severity for finding in findings],
        "reason": [finding.reason for finding in findings],
        "entities": [finding.entities for finding in findings],
        "tags": [finding.tags for finding in findings],
        "evidence": [_json(finding.evidence) for finding in findings],
        "suppressed": [finding.suppressed or "" for finding in findings],
        "config": [finding.config for finding in findings],
    }


def alert_columns(alerts: Sequence[Alert]) -> Columns:
    """Columns of `alerts_data`."""
    return {
        "id": [alert.id for alert in alerts],
        "version": [alert.version for alert in alerts],
        "opened_at": micros([alert.opened_at for alert in alerts]),
        "detected_at": micros([alert.detected_at for alert in alerts]),
        "updated_at": micros([alert.updated_at for alert in alerts]),
        "status": [alert.status for alert in alerts],
        "severity": [alert.severity for alert in alerts],
        "risk": [float(alert.risk) for alert in alerts],
        "title": [alert.title for alert in alerts],
        "reason": [alert.reason for alert in alerts],
        "principals": [alert.principals for alert in alerts],
        "roles": [alert.roles for alert in alerts],
        "detectors": [alert.detectors for alert in alerts],
        "finding_ids": [alert.finding_ids for alert in alerts],
        "event_ids": [alert.event_ids for alert in alerts],
        "finding_count": [alert.finding_count for alert in alerts],
        "story": [_json(alert.story) for alert in alerts],
        "tags": [alert.tags for alert in alerts],
        "runbook": [alert.runbook for alert in alerts],
        "resolution": [alert.resolution or "" for alert in alerts],
        "config": [alert.config for alert in alerts],
    }


def exposure_columns(versions: Sequence[ExposureVersion]) -> Columns:
    """Columns of `exposures_data`."""
    return {
        "id": [version.id for version in versions],
        "version": [version.version for version in versions],
        "status": [version.status for version in versions],
        "updated_at": micros([version.updated_at for version in versions]),
        "resource": [version.resource for version in versions],
        "sensitivity": [version.sensitivity for version in versions],
        "opened_at": micros([version.opened_at for version in versions]),
        "opened_by": [version.opened_by for version in versions],
        "opened_by_kind": [version.opened_by_kind for version in versions],
        "opened_by_role": [version.opened_by_role for version in versions],
        "opening_event": [version.opening_event for version in versions],
        "opening_change": [version.opening_change for version in versions],
        "privilege": [version.privilege or "" for version in versions],
        "grantee": [version.grantee or "" for version in versions],
        "audience_after": [version.audience for version in versions],
        "audience_after_count": [version.audience_count for version in versions],
        "readers": [version.readers for version in versions],
        "overdue": [version.overdue for version in versions],
        "incident": [version.incident for version in versions],
        "thread": [version.thread or "" for version in versions],
        "closed_at": [_end(version.closed_at) for version in versions],
        "closed_by": [version.closed_by or "" for version in versions],
        "closed_by_kind": [version.closed_by_kind or "" for version in versions],
        "closing_event": [version.closing_event or "" for version in versions],
        "closing_change": [version.closing_change or "" for version in versions],
        "resolution": [version.resolution or "" for version in versions],
        "limit_seconds": [float(version.limit_seconds) for version in versions],
        "config": [version.config for version in versions],
    }


def config_columns(versions: Sequence[ConfigVersion]) -> Columns:
    """Columns of `config_versions_data`."""
    return {
        "hash": [version.hash for version in versions],
        "first_seen": micros([version.first_seen for version in versions]),
        "version": [version.version for version in versions],
        "source": [version.source for version in versions],
        "body": [version.body for version in versions],
    }


def action_columns(actions: Sequence[OperatorAction]) -> Columns:
    """Columns of `operator_actions_data`."""
    return {
        "time": micros([action.time for action in actions]),
        "id": [action.id for action in actions],
        "operator": [action.operator for action in actions],
        "action": [action.action for action in actions],
        "subject": [action.subject for action in actions],
        "reason": [action.reason for action in actions],
        "details": [_json(action.details) for action in actions],
        "config": [action.config for action in actions],
    }


def reject_columns(rejects: Sequence[Rejected]) -> Columns:
    """Columns of `rejects_data`."""
    return {
        "topic": [rejected.topic for rejected in rejects],
        "partition": [rejected.partition for rejected in rejects],
        "offset": [rejected.offset for rejected in rejects],
        "index": [rejected.index for rejected in rejects],
        "reason": [rejected.reject.reason for rejected in rejects],
        "detail": [rejected.reject.detail for rejected in rejects],
        "received_at": arrivals([rejected.received_at for rejected in rejects]),
        "raw": [rejected.reject.raw for rejected in rejects],
    }
