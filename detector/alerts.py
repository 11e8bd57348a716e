"""The alert: one incident as the SOC sees it, from opening to resolution."""

from datetime import datetime
from typing import Literal

import msgspec

from detector.severity import Severity

Status = Literal["open", "updated", "resolved"]


class Link(msgspec.Struct, frozen=True):
    """One step of an incident's story, in order: who did what to which thing, by which event."""

    time: datetime
    principal: str
    event_id: str
    what: str


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One version of an alert's life. `id` stays; `version` counts from 1; the last version is the truth.

    `opened_at` is the event time of the incident's first finding, `detected_at` that of the finding which
    raised the alert, `updated_at` that of what made this version. `finding_ids` and `event_ids` are bounded
    (the first and the latest are kept); `finding_count` is exact.
    """

    id: str
    version: int
    opened_at: datetime
    detected_at: datetime
    updated_at: datetime
    status: Status
    severity: Severity
    risk: float
    title: str
    reason: str
    principals: tuple[str, ...]
    roles: tuple[str, ...]
    detectors: tuple[str, ...]
    finding_ids: tuple[str, ...]
    event_ids: tuple[str, ...]
    finding_count: int
    story: tuple[Link, ...]
    tags: tuple[str, ...]
    runbook: str
    resolution: str | None = None
    """Why it ended ("quiet for 1 h", "exposure closed", "merged into a-…"); None while it is open."""
    config: str = ""
    """The configuration that this version was made under, as in `Finding`; "" when not told."""
