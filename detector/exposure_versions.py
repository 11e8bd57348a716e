"""The exposure: what a window of open sensitive data looked like, each time something came to it."""

from datetime import datetime
from typing import Literal

import msgspec

from detector.events import ActorKind, Sensitivity

Status = Literal["open", "closed", "unwatched"]


class ExposureVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a window's life, for the event store. `id` stays; `version` counts from 1; the last is the truth.

    `status` is "unwatched" for a window that the ledger had to let go while the resource stood open. `readers` counts
    those who touched the resource for the first time while it was open, as far as it was known at this version; who
    they were, and how much they read, is in the events. `resolution` says why it ended; None while it is open.
    `limit_seconds` is for how long it may stand open before that is a finding, by the configuration `config` (as in
    `Finding`).
    """

    id: str
    version: int
    status: Status
    updated_at: datetime
    resource: str
    sensitivity: Sensitivity
    opened_at: datetime
    opened_by: str
    opened_by_kind: ActorKind
    opened_by_role: str
    opening_event: str
    opening_change: str
    privilege: str | None
    grantee: str | None
    audience: str
    audience_count: int | None
    readers: int
    overdue: bool
    incident: str
    thread: str | None = None
    closed_at: datetime | None = None
    closed_by: str | None = None
    closed_by_kind: ActorKind | None = None
    closing_event: str | None = None
    closing_change: str | None = None
    resolution: str | None = None
    limit_seconds: float = 0.0
    config: str = ""
