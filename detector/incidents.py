"""The incident: findings that belong together, how grave they are as a whole, and the alert they make."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final, TypeVar

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from detector.alerts import Alert, Link, Status
from detector.feedback import MOST as ADJUSTABLE_MOST
from detector.feedback import Adjustable, adjustable
from detector.findings import Finding, stable_id
from detector.severity import SEVERITIES, Severity, at_least, worst
from detector.wording import number

T = TypeVar("T")

KEPT: Final = 100
NAMES_MOST: Final = 1000
STORY: Final = 24


class RiskSettings(BaseModel):
    """How findings add up to a severity."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: dict[Severity, float] = Field(
        {"SEV0": 0.95, "SEV1": 0.85, "SEV2": 0.65, "SEV3": 0.4, "SEV4": 0.1},
        description="Probability that a single finding of a severity means harm.",
    )
    bands: dict[Severity, float] = Field(
        {"SEV1": 0.8, "SEV2": 0.55, "SEV3": 0.3},
        description="Risk from which an incident has at least this severity; SEV0 is left to people by default.",
    )
    half_life: float = Field(
        21_600.0, gt=0, description="Seconds after which a finding's weight in the risk is halved."
    )


class CorrelationSettings(BaseModel):
    """How findings are joined, and when an alert is raised and ends."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    window: float = Field(7200.0, gt=0, description="Seconds without a finding after which an incident is over.")
    settle: float = Field(
        600.0,
        ge=0,
        description="Seconds without a finding after which an incident ends whose exposure was closed.",
    )
    alert_from: Severity = Field("SEV3", description="Severity from which an incident raises an alert.")
    exposure_limit: float = Field(
        300.0, gt=0, description="Seconds for which sensitive data may stand open before it is a finding."
    )
    max_incidents: int = Field(10_000, ge=1, description="Incidents kept; past it the one quiet for longest ends.")
    remembered_findings: int = Field(20_000, ge=1, description="Finding ids kept, to know repeats after a crash.")
    risk: RiskSettings = Field(RiskSettings(), description="How findings add up to a severity.")


class About(msgspec.Struct, frozen=True):
    """What an alert says of a detector: a headline for each of its rules, and what to do."""

    rules: Mapping[str, str]
    runbook: str


class Evidence(msgspec.Struct, array_like=True):
    """The findings of one detector in an incident: the worst, how many, the latest (unix seconds)."""

    severity: Severity
    count: int
    last: float


class Incident(msgspec.Struct, kw_only=True):
    """Findings joined by what they share. Times are unix seconds of event time.

    `keys` are the entities it is joined by, with when each was last seen. `version` is 0 until an alert was
    raised; `told` is how many principals and sessions had been seen by the last version, `last` that version.
    `sessions` are those with a finding that alone would be an alert. `touch` is the latest first touch of
    sensitive data. `suppressed_count` is of findings that are joined and have no weight. `adjustable` is what a
    verdict may be about.
    """

    id: str
    opened_at: float
    last_at: float
    keys: dict[str, float] = {}
    evidence: dict[str, Evidence] = {}
    principals: dict[str, None] = {}
    sessions: dict[str, None] = {}
    roles: dict[str, None] = {}
    tags: dict[str, None] = {}
    finding_ids: list[str] = []
    event_ids: list[str] = []
    story: list[Link] = []
    posts: dict[str, Finding] = {}
    adjustable: list[Adjustable] = []
    touch: Finding | None = None
    finding_count: int = 0
    suppressed_count: int = 0
    lead: Finding | None = None
    severity: Severity = "SEV4"
    detected_at: float | None = None
    version: int = 0
    told: int = 0
    told_detectors: int = 0
    quiet_at: float | None = None
    last: Alert | None = None

    @classmethod
    def begin(cls, finding: Finding) -> "Incident":
        """An incident that `finding` opens."""
        time = finding.time.timestamp()
        return cls(id=stable_id("a", finding.id), opened_at=time, last_at=time)

    def heir(self, of: str) -> "Incident":
        """What goes on when the alert was closed by `of`: the same keys, and what more may follow from, no evidence."""
        return Incident(
            id=stable_id("a", self.id, of),
            opened_at=self.opened_at,
            last_at=self.last_at,
            keys=dict(self.keys),
            posts=self.posts,
            touch=self.touch,
        )

    def add(self, finding: Finding) -> None:
        """Take a finding in."""
        time = finding.time.timestamp()
        if not self.evidence:
            self.opened_at = time
        self.last_at = max(self.last_at, time)
        self.finding_count += 1
        seen = self.evidence.get(finding.detector)
        if seen is None:
            self.evidence[finding.detector] = Evidence(finding.severity, 1, time)
        else:
            seen.severity = worst(seen.severity, finding.severity)
            seen.count += 1
            seen.last = max(seen.last, time)
        if len(self.principals) < NAMES_MOST:
            self.principals[finding.principal] = None
        if finding.session and len(self.sessions) < NAMES_MOST and at_least(finding.severity, "SEV3"):
            self.sessions[finding.session] = None
        if finding.role and len(self.roles) < NAMES_MOST:
            self.roles[finding.role] = None
        self.tags.update(dict.fromkeys(finding.tags))
        _keep(self.finding_ids, finding.id, KEPT)
        if finding.event_id not in self.event_ids:
            _keep(self.event_ids, finding.event_id, KEPT)
        if self.lead is None or _leads(finding, self.lead):
            self.lead = finding
        self._note(adjustable(finding))
        _keep(self.story, Link(finding.time, finding.principal, finding.event_id, finding.reason), STORY)

    def _note(self, found: Adjustable | None) -> None:
        if found is not None and found not in self.adjustable:
            _keep(self.adjustable, found, ADJUSTABLE_MOST)

    def pass_over(self, finding: Finding) -> None:
        """Count a suppressed finding. It prolongs only an incident that holds nothing else."""
        self.suppressed_count += 1
        if not self.evidence:
            self.last_at = max(self.last_at, finding.time.timestamp())

    def absorb(self, other: "Incident") -> None:
        """Take over all of another incident but its keys, which are the correlator's."""
        if other.evidence:
            self.last_at = max(self.last_at, other.last_at)
            self.opened_at = min(self.opened_at, other.opened_at) if self.evidence else other.opened_at
        self.finding_count += other.finding_count
        self.suppressed_count += other.suppressed_count
        for detector, evidence in other.evidence.items():
            seen = self.evidence.setdefault(detector, Evidence(evidence.severity, 0, evidence.last))
            seen.severity = worst(seen.severity, evidence.severity)
            seen.count += evidence.count
            seen.last = max(seen.last, evidence.last)
        for mine, theirs in (
            (self.principals, other.principals),
            (self.sessions, other.sessions),
            (self.roles, other.roles),
            (self.tags, other.tags),
        ):
            mine.update(theirs)
        self.posts.update(other.posts)
        self.finding_ids = [*self.finding_ids, *other.finding_ids][:KEPT]
        self.event_ids = list(dict.fromkeys([*self.event_ids, *other.event_ids]))[:KEPT]
        for found in other.adjustable:
            self._note(found)
        self.story = sorted([*self.story, *other.story], key=lambda link: link.time)[:STORY]
        if self.lead is None or (other.lead is not None and _leads(other.lead, self.lead)):
            self.lead = other.lead

    def risk(self, settings: RiskSettings) -> float:
        """Noisy-or over detectors of their worst finding's weight, faded by age.

        Repeats of one detector add little (its exponent grows by an eighth with each doubling), and those
        that are only informational next to nothing, so that a crowd of notes is no alert.
        """
        harmless = 1.0
        for evidence in self.evidence.values():
            weight = settings.weights[evidence.severity]
            weight *= 2.0 ** (-(self.last_at - evidence.last) / settings.half_life)
            repeats = 1.0 + math.log2(max(evidence.count, 1)) / 8.0
            harmless *= (1.0 - weight) ** min(repeats, 1.5 if evidence.severity == "SEV4" else 4.0)
        return 1.0 - harmless

    def judge(self, settings: RiskSettings) -> Severity:
        """Severity by risk, and never below that of the worst finding."""
        risk = self.risk(settings)
        by_risk: Severity = next((s for s in SEVERITIES if risk >= settings.bands.get(s, 2.0)), "SEV4")
        return worst(by_risk, *(evidence.severity for evidence in self.evidence.values()))

    def is_news(self) -> bool:
        """Whether a new kind of evidence, a new name or a new session came since the last version was told.

        The first twenty names and sessions are told one by one, later ones each time their number has doubled.
        """
        names = len(self.principals) + len(self.sessions)
        more = names > self.told if names <= 20 else names >= 2 * self.told
        return len(self.evidence) > self.told_detectors or more

    def alert(
        self,
        settings: RiskSettings,
        about: Mapping[str, About],
        status: Status,
        at: float,
        *,
        resolution: str | None = None,
        config: str = "",
    ) -> Alert:
        """The next version of this incident's alert, as of `at` (unix seconds)."""
        self.version += 1
        self.told, self.told_detectors = len(self.principals) + len(self.sessions), len(self.evidence)
        if self.detected_at is None:
            self.detected_at = at
        lead = self.lead
        assert lead is not None  # noqa: S101 - an incident has at least the finding that opened it
        self.last = Alert(
            id=self.id,
            version=self.version,
            opened_at=utc(self.opened_at),
            detected_at=utc(self.detected_at),
            updated_at=utc(at),
            status=status,
            severity=self.severity,
            risk=round(self.risk(settings), 4),
            title=f"{lead.principal} {about[lead.detector].rules[lead.rule]}",
            reason=self._reason(lead),
            principals=tuple(self.principals)[:KEPT],
            roles=tuple(self.roles),
            detectors=tuple(self.evidence),
            finding_ids=tuple(self.finding_ids),
            event_ids=tuple(self.event_ids),
            finding_count=self.finding_count,
            story=tuple(self.story),
            tags=tuple(self.tags),
            runbook=about[lead.detector].runbook,
            resolution=resolution,
            config=config,
        )
        return self.last

    def _reason(self, lead: Finding) -> str:
        others = [name for name, e in self.evidence.items() if name != lead.detector and at_least(e.severity, "SEV3")]
        notes = [name for name, e in self.evidence.items() if name != lead.detector and name not in others]
        seen = ", ".join(others + [f"{name} (notes)" for name in notes])
        muted = f", {number(self.suppressed_count)} more suppressed" if self.suppressed_count else ""
        if not seen:
            return f"{lead.reason}. {number(self.finding_count)} findings in all{muted}." if muted else lead.reason
        return f"{lead.reason}. Also: {seen}; {number(self.finding_count)} findings in all{muted}."


def keys_of(finding: Finding) -> tuple[str, ...]:
    """What a finding is joined by: all its entities if it is strong, not its resources if it is a note."""
    if at_least(finding.severity, "SEV3"):
        return finding.entities
    return tuple(entity for entity in finding.entities if not entity.startswith("resource:"))


def utc(timestamp: float) -> datetime:
    """An aware time from unix seconds."""
    return datetime.fromtimestamp(timestamp, UTC)


def _leads(finding: Finding, lead: Finding) -> bool:
    return finding.severity < lead.severity


def _keep(items: list[T], item: T, most: int) -> None:
    """Append, keeping the first half and the latest of at most `most`."""
    items.append(item)
    if len(items) > most:
        del items[most // 2]
