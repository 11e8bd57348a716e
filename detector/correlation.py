"""Stage 2, pure: findings in, alerts out. One incident a story, joined by what its findings share."""

import heapq
from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from detector import chains
from detector.alerts import Alert, Status
from detector.correlated import Correlated
from detector.exposure_versions import ExposureVersion
from detector.exposures import ExposureLedger
from detector.feedback import Feedback, FeedbackSettings
from detector.findings import Finding
from detector.incidents import About, CorrelationSettings, Incident, keys_of
from detector.judgements import Judgements
from detector.severity import Severity, at_least
from detector.suppressions import Suppressions, is_accepted
from detector.wording import duration

STATE_VERSION: Final = 1
KEYS_MOST: Final = 500
POSTS_MOST: Final = 60


class Correlator:
    """The second stage: owns the open incidents and the exposure ledger.

    Findings may come a little out of order and more than once. Time moves only by `advance`.

    A suppressed finding has no weight: it opens, raises, merges and prolongs nothing. What is approved ends
    there. What is muted is still remembered where more may follow from it (a post, a touch, an opened
    window): a mute silences the findings that it names, and not what others make of them.

    Args:
        about: What to say of each detector, by name.
        settings: How to join and when to tell.
        suppressions: What to mark the findings by that are made here.
        config: The configuration that what is made here says it was made under; "" if it doesn't.
        feedback: Whose verdicts count.
    """

    def __init__(
        self,
        about: Mapping[str, About],
        settings: CorrelationSettings | None = None,
        suppressions: Suppressions | None = None,
        config: str = "",
        feedback: FeedbackSettings | None = None,
    ) -> None:
        self._about = {**about, **chains.DERIVED}
        self._settings = settings or CorrelationSettings()
        self._suppressions = suppressions or Suppressions()
        self._config = config
        self._incidents: dict[str, Incident] = {}
        self._by_key: dict[str, str] = {}
        self._deadlines: list[tuple[float, str]] = []
        self._seen: dict[str, None] = {}
        self.exposures = ExposureLedger()
        self.judgements = Judgements(feedback, config)
        self.clock = float("-inf")

    @property
    def open_alerts(self) -> dict[Severity, int]:
        """How many incidents have an open alert, by severity."""
        counts: dict[Severity, int] = {}
        for incident in self._incidents.values():
            if incident.version:
                counts[incident.severity] = counts.get(incident.severity, 0) + 1
        return counts

    def open(self) -> list[Alert]:
        """The last version of every alert that is not resolved."""
        return [incident.last for incident in self._incidents.values() if incident.last is not None]

    def step(self, finding: Finding) -> Correlated:
        """Join one finding; a repeat is ignored."""
        out = Correlated()
        if finding.id in self._seen:
            return out
        self._remember(finding.id)
        if is_accepted(finding):
            return out
        incident = self._route(finding, out)
        if incident is not None:
            self._take(incident, finding, out)
            self._tell(incident, finding.time.timestamp(), out)
        out.exposures = self._versions()
        return out

    def advance(self, now: float) -> Correlated:
        """Move time on to `now` (unix seconds): windows become overdue, quiet incidents end."""
        out = Correlated()
        self.clock = max(self.clock, now)
        for window in self.exposures.overdue(now, self._settings.exposure_limit):
            incident = self._incidents[window.incident]
            due = window.opened_at + self._settings.exposure_limit
            late = chains.open_too_long(window, due, self._settings.exposure_limit)
            self._take(incident, late, out, derived=True)
            self._tell(incident, due, out)
        while self._deadlines and self._deadlines[0][0] <= now:
            _, incident_id = heapq.heappop(self._deadlines)
            if (waiting := self._incidents.get(incident_id)) is not None:
                self._end_if_quiet(waiting, now, out)
        out.exposures = self._versions()
        return out

    def judge(self, feedback: Feedback) -> Correlated:
        """Take a verdict in, once: it ends the alert. What more comes of the same story is another alert."""
        out = Correlated()
        if feedback.id in self._seen:
            return out
        self._remember(feedback.id)
        kept = self._incidents.get(feedback.alert)
        incident = kept if kept is not None and kept.version else None
        outcome = self.judgements.take(feedback, incident)
        out.adjustments, out.actions = outcome.adjustments, [outcome.action]
        if incident is not None and outcome.action.details["closed"]:
            why, at = f"judged {feedback.verdict} by {feedback.by}: {feedback.reason}", feedback.time.timestamp()
            out.alerts.append(self._alert(incident, "resolved", at, resolution=why))
            self._succeed(incident, feedback.id, at)
        out.exposures = self._versions()
        return out

    def _succeed(self, incident: Incident, of: str, at: float) -> None:
        """Replace a judged incident by what still may come of it: its open windows, posts and first touches."""
        heir = incident.heir(of)
        self._incidents[heir.id] = heir
        self._by_key.update(
            dict.fromkeys((key for key in incident.keys if self._by_key.get(key) == incident.id), heir.id)
        )
        self.exposures.move(incident.id, heir.id, at)
        heapq.heappush(self._deadlines, (heir.last_at + self._settings.window, heir.id))
        self._drop(incident, at)

    def _versions(self) -> list[ExposureVersion]:
        limit, config = self._settings.exposure_limit, self._config
        return [msgspec.structs.replace(v, limit_seconds=limit, config=config) for v in self.exposures.versions()]

    def _remember(self, finding_id: str) -> None:
        self._seen[finding_id] = None
        if len(self._seen) > self._settings.remembered_findings:
            del self._seen[next(iter(self._seen))]

    def _route(self, finding: Finding, out: Correlated) -> Incident | None:
        """The incident that a finding belongs to; strong ones merge all that they touch, into the one told first."""
        window = self.exposures.concerned(finding)
        if window is not None:
            return self._incidents[window.incident]
        if finding.evidence.get("closes"):
            return None
        matches = self._matches(finding)
        heard = finding.suppressed is None
        if not matches:
            return self._begin(finding, out) if heard or chains.is_remembered(finding) else None
        main = min(matches, key=lambda incident: (not incident.version, incident.opened_at, incident.id))
        if heard and at_least(finding.severity, "SEV3"):
            for other in matches:
                if other is not main:
                    self._merge(main, other, finding.time.timestamp(), out)
        return main

    def _matches(self, finding: Finding) -> list[Incident]:
        time = finding.time.timestamp()
        found: dict[str, Incident] = {}
        for key in keys_of(finding):
            incident = self._incidents.get(self._by_key.get(key, ""))
            if incident is not None and abs(time - incident.keys[key]) <= self._settings.window:
                found[incident.id] = incident
        return list(found.values())

    def _begin(self, finding: Finding, out: Correlated) -> Incident:
        if len(self._incidents) >= self._settings.max_incidents:
            self._displace(finding.time.timestamp(), out)
        incident = Incident.begin(finding)
        self._incidents[incident.id] = incident
        heapq.heappush(self._deadlines, (incident.opened_at + self._settings.window, incident.id))
        return incident

    def _displace(self, at: float, out: Correlated) -> None:
        """Make room: the oldest incident that was never told goes, or if all were, the oldest of all."""
        oldest = next(iter(self._incidents.values()))
        gone = next((incident for incident in self._incidents.values() if not incident.version), oldest)
        if gone.version:
            out.alerts.append(self._alert(gone, "resolved", at, resolution="displaced by newer incidents"))
        self._drop(gone, at)

    def _merge(self, into: Incident, other: Incident, at: float, out: Correlated) -> None:
        if other.version:
            out.alerts.append(self._alert(other, "resolved", at, resolution=f"merged into {into.id}"))
            self.judgements.ended(other, into.id)
        into.absorb(other)
        self.exposures.move(other.id, into.id, at)
        for key, time in other.keys.items():
            self._join_by(key, into, time)
        del self._incidents[other.id]

    def _take(self, incident: Incident, finding: Finding, out: Correlated, *, derived: bool = False) -> None:
        """Add a finding, and those that follow from it."""
        if derived:
            finding = msgspec.structs.replace(self._suppressions.mark(finding), config=self._config)
            out.findings.append(finding)
        if finding.suppressed is None:
            incident.add(finding)
            incident.quiet_at = None
        else:
            incident.pass_over(finding)
        if at_least(finding.severity, "SEV3") or not incident.keys:
            for key in keys_of(finding):
                self._join_by(key, incident, finding.time.timestamp())
        for consequence in self._consequences(incident, finding):
            self._take(incident, consequence, out, derived=True)

    def _join_by(self, key: str, incident: Incident, time: float) -> None:
        incident.keys[key] = max(time, incident.keys.pop(key, float("-inf")))
        self._by_key[key] = incident.id
        if len(incident.keys) > KEYS_MOST:
            oldest = next(iter(incident.keys))
            del incident.keys[oldest]
            if self._by_key.get(oldest) == incident.id:
                del self._by_key[oldest]

    def _consequences(self, incident: Incident, finding: Finding) -> Iterable[Finding]:
        evidence = finding.evidence
        if chains.is_post(finding):
            incident.posts.update(dict.fromkeys(chains.post_keys(finding), finding))
            while len(incident.posts) > POSTS_MOST:
                del incident.posts[next(iter(incident.posts))]
        if finding.detector == "sensitive_read":
            incident.touch = finding
        carried = chains.exfiltration(incident.touch, finding)
        if carried is not None:
            yield carried
        advice = chains.advice_followed(incident.posts, finding)
        if advice is not None:
            yield advice
        if finding.detector == "permission_change" and evidence.get("opens"):
            self.exposures.open(finding, incident.id)
        elif finding.detector == "sensitive_read":
            window = self.exposures.read(finding)
            if window is not None and window.reader_count == 1:
                yield chains.unauthorised_read(window, finding)
        elif evidence.get("closes") and self.exposures.close(finding) and not self.exposures.of(incident.id):
            incident.quiet_at = finding.time.timestamp() + self._settings.settle
            heapq.heappush(self._deadlines, (incident.quiet_at, incident.id))

    def _tell(self, incident: Incident, at: float, out: Correlated) -> None:
        """Raise the alert, or tell it again when it got worse or new evidence or names came."""
        if not incident.evidence:
            return
        severity = incident.judge(self._settings.risk)
        worse = severity < incident.severity
        incident.severity = severity if worse else incident.severity
        if not at_least(incident.severity, self._settings.alert_from):
            return
        if incident.version == 0:
            out.alerts.append(self._alert(incident, "open", at))
        elif worse or incident.is_news():
            out.alerts.append(self._alert(incident, "updated", at))

    def _alert(self, incident: Incident, status: Status, at: float, resolution: str | None = None) -> Alert:
        about, risk = self._about, self._settings.risk
        return incident.alert(risk, about, status, at, resolution=resolution, config=self._config)

    def _end_if_quiet(self, incident: Incident, now: float, out: Correlated) -> None:
        quiet_at = incident.quiet_at or incident.last_at + self._settings.window
        if self.exposures.of(incident.id):
            quiet_at = max(quiet_at, now + self._settings.window)
        if quiet_at > now:
            heapq.heappush(self._deadlines, (quiet_at, incident.id))
            return
        if incident.version:
            closed = incident.quiet_at is not None
            why = "exposure closed" if closed else f"quiet for {duration(self._settings.window)}"
            out.alerts.append(self._alert(incident, "resolved", quiet_at, resolution=why))
        self._drop(incident, now)

    def _drop(self, incident: Incident, at: float) -> None:
        for key in incident.keys:
            if self._by_key.get(key) == incident.id:
                del self._by_key[key]
        if incident.version:
            self.judgements.ended(incident)
        self.exposures.discard(incident.id, at)
        del self._incidents[incident.id]

    def snapshot(self) -> dict[str, Any]:
        """The whole state as plain data."""
        return {
            "version": STATE_VERSION,
            "clock": None if self.clock == float("-inf") else self.clock,
            "incidents": [msgspec.to_builtins(incident) for incident in self._incidents.values()],
            "exposures": self.exposures.snapshot(),
            "judgements": self.judgements.snapshot(),
            "seen": list(self._seen),
            "keys": dict(self._by_key),
            "deadlines": [list(deadline) for deadline in self._deadlines],
        }

    def restore(self, data: Mapping[str, Any]) -> None:
        """Take over a snapshot.

        Raises:
            ValueError: The snapshot is of another version.
        """
        if data.get("version") != STATE_VERSION:
            raise ValueError(f"the saved state has version {data.get('version')}, this program reads {STATE_VERSION}")
        self.clock = float("-inf") if data["clock"] is None else data["clock"]
        incidents = msgspec.convert(data["incidents"], list[Incident])
        self._incidents = {incident.id: incident for incident in incidents}
        self.exposures.restore(data["exposures"])
        if "judgements" in data:  # not in what was saved before there were any
            self.judgements.restore(data["judgements"])
        self._seen = dict.fromkeys(data["seen"])
        self._by_key = dict(data["keys"])
        # By this window, which may be shorter than the one they were set by; `_end_if_quiet` puts off what is early.
        self._deadlines = [
            (min(time, held.last_at + self._settings.window) if held is not None else time, incident_id)
            for time, incident_id in data["deadlines"]
            for held in [self._incidents.get(incident_id)]
        ]
        heapq.heapify(self._deadlines)
