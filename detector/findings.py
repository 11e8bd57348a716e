"""The finding: what one detector saw in one event, and why, in one sentence with numbers."""

import hashlib
from datetime import datetime
from typing import Any

import msgspec

from detector.events import ActorKind
from detector.severity import Severity


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """Evidence for a person and for correlation.

    `p_value` is the probability of something as strange under the baseline, None for deterministic rules;
    `score` is -log10(p_value) for statistical rules and 0..1 (audience x privilege x sensitivity, share …)
    for deterministic ones. `entities` ("agent:a1", "thread:t9", "resource:s3://b") are what findings join
    by. `evidence` holds the numbers and names of the reason, for machines. `suppressed` is what keeps it from
    making an alert ("mute:nightly-backup", "approved:.partner.example"); None if nothing does. `config` is the
    configuration that it was made under, the first 16 digits of its hash (`config_versions`); "" when not told.
    """

    id: str
    time: datetime
    event_id: str
    principal: str
    principal_kind: ActorKind
    role: str
    session: str | None
    detector: str
    rule: str
    score: float
    p_value: float | None
    severity: Severity
    reason: str
    entities: tuple[str, ...]
    tags: tuple[str, ...] = ()
    evidence: dict[str, Any] = {}
    suppressed: str | None = None
    config: str = ""


def stable_id(prefix: str, *parts: str) -> str:
    """An id that is the same on every run and every machine for the same parts.

    >>> stable_id("f", "event-1", "transfer_rate")
    'f-10c7e117c652dcb0'
    """
    digest = hashlib.blake2b("\x1f".join(parts).encode(), digest_size=8)
    return f"{prefix}-{digest.hexdigest()}"
