"""One configuration over history: the live pipeline, and what is kept of what it said."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from typing import Final

import msgspec

from detector import assembly
from detector.alerts import Alert
from detector.audit.answer import EVER, Span
from detector.backtest.known import Known
from detector.config import Config
from detector.events import Envelope
from detector.history.rows import Decoders, Row
from detector.pipeline import Pipeline, Step
from detector.severity import Severity, worst

DAY: Final = 86400.0


class Found(msgspec.Struct, frozen=True):
    """What is kept of a finding: how grave, how strange (as `Finding` has it), and what suppressed it."""

    detector: str
    severity: Severity
    score: float
    suppressed: str | None


class Raised(msgspec.Struct):
    """An alert as it ended, with the worst severity that it had, and all findings and events that its versions named.

    `sessions` are those whose events made it be told. `merged_into` is the alert that goes on for it.
    """

    id: str
    opened_at: datetime
    detected_at: datetime
    updated_at: datetime
    severity: Severity
    title: str
    reason: str
    principals: tuple[str, ...]
    roles: tuple[str, ...]
    detectors: tuple[str, ...]
    finding_ids: set[str]
    event_ids: set[str]
    sessions: dict[str, datetime] = {}
    merged_into: str | None = None


class Played(msgspec.Struct):
    """What one configuration made of history.

    `events` are all that were played, from `begun` on, `counted` those of the span that counts, from `first` to `last`;
    `unread` could not be decoded. Findings and alerts are of that span. `harm` is when each known attack began.
    """

    events: int = 0
    counted: int = 0
    unread: int = 0
    begun: datetime | None = None
    first: datetime | None = None
    last: datetime | None = None
    verdicts: dict[str, int] = {}
    findings: dict[str, Found] = {}
    raised: dict[str, Raised] = {}
    harm: dict[str, datetime] = {}

    @property
    def days(self) -> list[float]:
        """Beginnings (unix seconds) of the days, UTC, from the first to the last event that counts."""
        if self.first is None or self.last is None:
            return []
        first, last = (int(at.timestamp() // DAY) for at in (self.first, self.last))
        return [day * DAY for day in range(first, last + 1)]

    @property
    def all_days(self) -> float:
        """Length of what was played, the warm-up included, in days of event time."""
        return (self.last - self.begun).total_seconds() / DAY if self.begun and self.last else 0.0

    @property
    def alerts(self) -> list[Raised]:
        """The alerts in order of raising; one that was merged into another is told by that one."""
        told = [alert for alert in self.raised.values() if alert.merged_into is None]
        return sorted(told, key=lambda alert: (alert.detected_at, alert.id))


class Player:
    """Takes history through an empty pipeline.

    Args:
        config: The configuration.
        since: Event time from which on is counted; what comes before fills the baselines.
        known: Incidents, for the sessions among them.
        format_name: Wire format of rows that name none.
        span: Event time that is played; the rest is passed over.
        watch: Called with each event that counts and what came of it.
    """

    def __init__(
        self,
        config: Config,
        since: datetime | None = None,
        known: Iterable[Known] = (),
        format_name: str | None = None,
        span: Span = EVER,
        watch: Callable[[Envelope, Step], None] | None = None,
    ) -> None:
        self._decoders = Decoders(config, format_name)
        self._pipeline = self.pipeline(config)
        self._since = since
        self._sessions = {each.session: each for each in known if each.session is not None}
        self._verdicts: Counter[str] = Counter()
        self._span = span
        self._watch = watch
        self.played = Played()

    def pipeline(self, config: Config) -> Pipeline:
        """The two stages."""
        return assembly.pipeline(config)

    def take(self, rows: Sequence[Row]) -> None:
        """Play some rows."""
        for row in rows:
            envelopes = self._decoders.envelopes(row)
            if not envelopes:
                self.played.unread += 1
            for envelope in envelopes:
                if self._span.since <= envelope.event.time < self._span.until:
                    self._step(envelope)

    def _step(self, envelope: Envelope) -> None:
        step = self._pipeline.step(envelope)
        played, time = self.played, envelope.event.time
        played.events += 1
        played.begun = played.begun or time
        if self._since is not None and time < self._since:
            return
        played.counted += 1
        if played.first is None or time < played.first:
            played.first = time
        if played.last is None or time > played.last:
            played.last = time
        self._verdicts[step.verdict] += 1
        session = envelope.event.actor.session
        if session in self._sessions:
            self._note_attack(session, envelope)
        for finding in step.findings:
            played.findings[finding.id] = Found(finding.detector, finding.severity, finding.score, finding.suppressed)
        for alert in step.alerts:
            self._raise(alert, session, time)
        if self._watch is not None:
            self._watch(envelope, step)

    def _note_attack(self, session: str, envelope: Envelope) -> None:
        attack, event = self._sessions[session].attack, envelope.event
        if not attack or event.id in attack or event.id.rpartition("-")[2] in attack:
            self.played.harm.setdefault(self._sessions[session].name, event.time)

    def _raise(self, alert: Alert, session: str | None, time: datetime) -> None:
        if self._since is not None and alert.detected_at < self._since:
            return
        before = self.played.raised.get(alert.id)
        sessions = before.sessions if before is not None else {}
        if session is not None and alert.status != "resolved":
            sessions.setdefault(session, time)
        ended = (alert.resolution or "").partition("merged into ")[2]
        self.played.raised[alert.id] = Raised(
            id=alert.id,
            opened_at=alert.opened_at,
            detected_at=alert.detected_at,
            updated_at=alert.updated_at,
            severity=worst(alert.severity, *([before.severity] if before is not None else [])),
            title=alert.title,
            reason=alert.reason,
            principals=alert.principals,
            roles=alert.roles,
            detectors=alert.detectors,
            finding_ids={*alert.finding_ids, *(before.finding_ids if before is not None else ())},
            event_ids={*alert.event_ids, *(before.event_ids if before is not None else ())},
            sessions=sessions,
            merged_into=ended or None,
        )

    def result(self) -> Played:
        """What came of all that was taken."""
        self.played.verdicts = dict(sorted(self._verdicts.items()))
        return self.played
