"""Suppressions: findings that are kept, and shown to nobody at night, each with the name of what silenced it."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final, Literal, Self, get_args

import msgspec
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from detector.adjustments import Adjustments
from detector.approvals import fits
from detector.destinations import Zones
from detector.events import Event
from detector.findings import Finding
from detector.severity import Severity, at_least

SuppressionKind = Literal["mute", "approved", "verdict"]
KINDS: Final[tuple[SuppressionKind, ...]] = get_args(SuppressionKind)

# Detectors whose findings are about nothing but the endpoint that they name.
OF_ENDPOINTS: Final = frozenset({"new_endpoint"})
# Seconds after which a detector speaks again of what a verdict covers: whatever has grown beyond it is told by then.
AGAIN: Final = 60.0

_PATTERNS: Final = ("detectors", "rules", "principals", "roles", "entities")


class Mute(BaseModel):
    """An operator's order not to be told of certain findings until a day.

    Patterns are those of file names (`backup-*`). A finding must fit each list that is given, by any of its
    patterns; its entities fit if one of them does.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="A short name; findings that are muted carry it.")
    reason: str = Field(description="Why, for whoever asks later.")
    owner: str = Field(description="Who answers for it.")
    expires: datetime = Field(description="Event time from which it no longer holds, with a time zone.")
    up_to: Severity = Field("SEV2", description="The gravest severity that it silences; graver findings are told.")
    detectors: tuple[str, ...] = Field((), description="Detectors (`transfer_rate`, `exposure`); empty: all.")
    rules: tuple[str, ...] = Field((), description="Rules of detectors (`first_host`); empty: all.")
    principals: tuple[str, ...] = Field((), description="Whom the findings are about (`backup-*`); empty: all.")
    roles: tuple[str, ...] = Field((), description="Roles of these; empty: all.")
    entities: tuple[str, ...] = Field(
        (), description="What the findings concern (`resource:db://crm/*`, `thread:*`); empty: anything."
    )

    @field_validator("name", "reason", "owner")
    @classmethod
    def _says_something(cls, text: str) -> str:
        if not text.strip():
            raise ValueError("must say something: whoever finds this mute in a year will want to know")
        return text

    @field_validator("expires")
    @classmethod
    def _is_a_point_in_time(cls, expires: datetime) -> datetime:
        if expires.tzinfo is None:
            raise ValueError(f"has no time zone: write for example {expires:%Y-%m-%dT%H:%M:%S}Z")
        return expires

    @model_validator(mode="after")
    def _is_about_something(self) -> Self:
        if not any(getattr(self, name) for name in _PATTERNS):
            raise ValueError(f"would mute everything: give at least one of {', '.join(f'`{p}`' for p in _PATTERNS)}")
        return self

    def silences(self, finding: Finding) -> bool:
        """Whether the mute holds at the finding's time, and the finding is one that it names."""
        return (
            finding.time < self.expires
            and at_least(self.up_to, finding.severity)
            and _fits(self.detectors, (finding.detector,))
            and _fits(self.rules, (finding.rule,))
            and _fits(self.principals, (finding.principal,))
            and _fits(self.roles, (finding.role,))
            and _fits(self.entities, finding.entities)
        )


def _fits(patterns: Sequence[str], names: Iterable[str]) -> bool:
    return not patterns or any(fits(patterns, name) for name in names)


class Suppressions:
    """What is suppressed and why: approved endpoints first, then verdicts on alerts, then mutes, the first that fits.

    Asked once for each finding, by whoever makes it and before it is written anywhere: the store, the topic
    and the correlation of another process all read the same word.

    Args:
        mutes: The operator's mutes.
        zones: The operator's lists of destinations.
        adjustments: What verdicts on alerts say; it may be told of more at any time.
    """

    def __init__(
        self, mutes: Sequence[Mute] = (), zones: Zones | None = None, adjustments: Adjustments | None = None
    ) -> None:
        self._mutes = tuple(mutes)
        self.zones = zones or Zones()
        self.adjustments = adjustments if adjustments is not None else Adjustments()

    def mark(self, finding: Finding, event: Event | None = None) -> Finding:
        """The finding with the reason by which it is suppressed; itself if it is not.

        Args:
            finding: Just made.
            event: What it was found in; None for one that correlation made of other findings.
        """
        reason = self._reason(finding, event)
        return finding if reason is None else msgspec.structs.replace(finding, suppressed=reason)

    def _reason(self, finding: Finding, event: Event | None) -> str | None:
        if event is not None and finding.detector in OF_ENDPOINTS and finding.evidence.get("zone") != "public":
            rule = self.zones.approved(event, finding.evidence["endpoint"])
            if rule is not None:
                return f"approved:{rule}"
        covering = self.adjustments.covering(finding)
        if covering is not None:
            return f"verdict:{covering.feedback}"
        mute = next((mute for mute in self._mutes if mute.silences(finding)), None)
        return None if mute is None else f"mute:{mute.name}"


def kind_of(suppressed: str) -> SuppressionKind:
    """The kind of a finding's suppression, from its reason.

    >>> kind_of("approved:.partner.example")
    'approved'
    >>> kind_of("verdict:v-10c7e117c652dcb0")
    'verdict'
    """
    return next((kind for kind in KINDS if suppressed.startswith(f"{kind}:")), "mute")


def is_accepted(finding: Finding) -> bool:
    """Whether the finding is about a place that was approved: its event is as good as any other to learn from.

    A mute or a verdict accepts nothing: what it covers is not learnt as normal, and is told again when it has ended.
    """
    return finding.suppressed is not None and kind_of(finding.suppressed) == "approved"


def silent_from(finding: Finding, now: float, repeat_after: float) -> float:
    """When a detector's silence about what it found begins: what a verdict covers hides little of what follows.

    Args:
        finding: What was found.
        now: Its time, in unix seconds.
        repeat_after: Seconds for which the detector is silent about what was told.
    """
    covered = finding.suppressed is not None and kind_of(finding.suppressed) == "verdict"
    return now - repeat_after + AGAIN if covered else now


def expired(mutes: Iterable[Mute], now: datetime) -> list[Mute]:
    """The mutes that hold for nothing that happens from `now` on."""
    return [mute for mute in mutes if mute.expires <= now]
