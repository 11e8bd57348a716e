"""The forest beside the detectors that run: which of the principals' hours it finds strange, and which they flag."""

import math
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime, timedelta
from typing import Final

from detector import assembly
from detector.activity import HOUR
from detector.audit.answer import EVER, Span
from detector.config import Config
from detector.config_versions import short_hash
from detector.detectors import REGISTRY
from detector.detectors.forest_challenger import ForestChallenger
from detector.events import Envelope
from detector.findings import Finding
from detector.history.rows import Decoders, Row
from detector.severity import Severity, at_least
from detector.train.card import STRANGEST, Comparison, Level, Overlap, Strange
from models.forest import Forest

FLAGGED: Final[Severity] = "SEV3"
"""From which severity on a finding of the running detectors flags an hour; what is milder only notes."""

LEVELS: Final = (1e-4, 1e-3, 1e-2)
"""Values of the challenger's `p` that are tried beside its own. A model may be used at any up to the highest tried."""

# So that the challenger judges an hour whatever it said before; what it would keep to itself is left out here.
_EACH: Final = 1e-9

Hour = tuple[str, int]
"""A principal, and an hour counted from the epoch."""


class _Heard:
    """What the challenger says at one value of its `p`: the hours that are strange to it, and how often it notes.

    Args:
        p: The value.
        repeat_after: Seconds, as of the challenger.
        fixed: Overrides with a `p` of their own, which holds whatever this one is.
    """

    def __init__(self, p: float, repeat_after: float, fixed: AbstractSet[str]) -> None:
        self.p = p
        self._fixed = fixed
        self.notes = 0
        self.hours: set[Hour] = set()
        self._repeat_after = repeat_after
        self._noted_at: dict[str, float] = {}

    def hear(self, finding: Finding, *, counts: bool) -> bool:
        """Take in a judgement, of the time that counts or of that before; whether it is one at this `p`."""
        if (finding.p_value or 0.0) >= self.p and self._fixed.isdisjoint(finding.evidence.get("overrides", ())):
            return False
        now = finding.time.timestamp()
        told = now - self._noted_at.get(finding.principal, -math.inf) >= self._repeat_after
        if told:
            self._noted_at[finding.principal] = now
        if not counts or finding.suppressed is not None:
            return False
        self.notes += told
        self.hours.add(_hour(finding))
        return True


class Beside:
    """Takes history through the detectors of a configuration, with a forest as their challenger.

    What comes before the span that counts fills the baselines. That span begins with the hours that the forest was
    not trained on; in a history that begins later, after a warm-up.

    Args:
        config: The configuration; the forest takes the place of the one that it names, and is heard even where the
            challenger is switched off.
        forest: The forest.
        held_out_from: When the forest's training ended: a full hour.
        format_name: Wire format of rows that name none.
        span: Event time that is played; the rest is passed over.
        warm_up: Days, in a history that begins after `held_out_from`.
    """

    def __init__(
        self,
        config: Config,
        forest: Forest,
        held_out_from: datetime,
        *,
        format_name: str | None = None,
        span: Span = EVER,
        warm_up: float = 0.0,
    ) -> None:
        self._config = config
        self._own = _challenger(config)
        self._decoders = Decoders(config, format_name)
        levels = sorted({*assembly.challenged_at(config), *LEVELS})
        fixed = {each.name for each in config.overrides if each.threshold is not None or "p" in each.settings}
        self._heard = [_Heard(p, self._own.repeat_after, fixed) for p in levels]
        self._scoring = assembly.scoring(_always_heard(config, self._heard[-1].p), forest=forest)
        self._open: set[tuple[str, int]] = set()
        self._held_out_from = held_out_from
        self._warm_up = timedelta(days=warm_up)
        self._span = span
        self._counts_from: datetime | None = None
        self._warming = self._counted = 0
        self._hours: set[Hour] = set()
        self._flagged: dict[Hour, set[str]] = {}
        self._strange: dict[Hour, Finding] = {}

    def take(self, rows: Sequence[Row]) -> None:
        """Play some rows; what can't be decoded is left out."""
        for row in rows:
            for envelope in self._decoders.envelopes(row):
                if self._span.since <= envelope.event.time < self._span.until:
                    self._step(envelope)

    def _step(self, envelope: Envelope) -> None:
        partition = (envelope.topic, envelope.partition)
        if partition not in self._open:
            self._scoring.open(partition)
            self._open.add(partition)
        scored = self._scoring.step(envelope)
        if scored.verdict != "scored":
            return
        event = envelope.event
        if self._counts_from is None:
            self._counts_from = self._beginning(event.time)
        counts = event.time >= self._counts_from
        self._counted += counts
        self._warming += not counts
        if counts and event.kind in ForestChallenger.kinds:
            self._hours.add((event.principal, int(event.time.timestamp() // HOUR)))
        for finding in scored.findings:
            self._find(finding, counts=counts)

    def _beginning(self, first: datetime) -> datetime:
        """When hours begin to count, in a history that begins with `first`."""
        if first < self._held_out_from:
            return self._held_out_from
        return datetime.fromtimestamp(math.ceil((first + self._warm_up).timestamp() / HOUR) * HOUR, UTC)

    def _find(self, finding: Finding, *, counts: bool) -> None:
        if finding.detector != ForestChallenger.name:
            if counts and finding.suppressed is None and at_least(finding.severity, FLAGGED):
                self._flagged.setdefault(_hour(finding), set()).add(finding.detector)
            return
        for heard in self._heard:
            if heard.hear(finding, counts=counts) and heard.p == self._own.p:
                before = self._strange.get(_hour(finding))
                if before is None or _strangeness(finding) > _strangeness(before):
                    self._strange[_hour(finding)] = finding

    def result(self) -> Comparison:
        """What came of all that was taken; with no hour in it if nothing of it counts."""
        flagged = self._flagged.keys()
        hours = self._hours | flagged
        first, last = (min(n for _, n in hours), max(n for _, n in hours) + 1) if hours else (0, 0)
        levels = tuple(_level(heard, flagged, (last - first) / 24.0) for heard in self._heard)
        own = next(level for level in levels if level.p == self._own.p)
        return Comparison(
            config=short_hash(self._config.with_files({})),  # whatever model stood in the forest's place
            detectors=tuple(name for name in REGISTRY if self._runs(name)),
            p=self._own.p,
            repeat_after=self._own.repeat_after,
            first=_time(first),
            last=_time(last),
            warm_up_events=self._warming,
            events=self._counted,
            hours=len(hours),
            both=own.both,
            running_only=len(flagged) - own.both,
            forest_only=own.forest_only,
            noted_share=round(own.both / len(flagged), 4) if flagged else None,
            notes=own.notes,
            notes_a_day=own.notes_a_day,
            levels=levels,
            overlaps=tuple(self._overlaps()),
            alone=tuple(_told(finding) for finding in self._alone()),
        )

    def _runs(self, name: str) -> bool:
        return name != ForestChallenger.name and bool(getattr(self._config.detectors, name).enabled)

    def _overlaps(self) -> list[Overlap]:
        """Each running detector that flagged an hour, the busiest first."""
        found = []
        for name in sorted({name for names in self._flagged.values() for name in names}):
            hours = {hour for hour, names in self._flagged.items() if name in names}
            found.append(Overlap(name, len(hours), len(hours & self._strange.keys())))
        return sorted(found, key=lambda overlap: -overlap.hours)

    def _alone(self) -> list[Finding]:
        """What is strange to the forest alone, the strangest first."""
        findings = [finding for hour, finding in self._strange.items() if hour not in self._flagged]
        findings.sort(key=lambda finding: (-_strangeness(finding), finding.time, finding.principal))
        return findings[:STRANGEST]


def _challenger(config: Config) -> ForestChallenger.Settings:
    settings: ForestChallenger.Settings = getattr(config.detectors, ForestChallenger.name)
    return settings


def _always_heard(config: Config, p: float) -> Config:
    """The configuration with a challenger that is on, names no model of its own, and says all that it finds."""
    changed = {"enabled": True, "model": None, "p": p, "repeat_after": _EACH}
    loud = _challenger(config).model_copy(update=changed)
    return config.model_copy(update={"detectors": config.detectors.model_copy(update={ForestChallenger.name: loud})})


def _level(heard: _Heard, flagged: AbstractSet[Hour], days: float) -> Level:
    both = len(heard.hours & flagged)
    a_day = round(heard.notes / days, 3) if days else 0.0
    return Level(heard.p, heard.notes, a_day, both, len(heard.hours) - both)


def _hour(finding: Finding) -> Hour:
    return finding.principal, int(finding.time.timestamp() // HOUR)


def _strangeness(finding: Finding) -> float:
    return float(finding.evidence["forest_score"])


def _told(finding: Finding) -> Strange:
    return Strange(
        principal=finding.principal,
        role=finding.role,
        hour=_time(_hour(finding)[1]),
        acts=finding.evidence["acts"],
        score=_strangeness(finding),
        p_value=round(finding.p_value or 0.0, 6),
        reasons=tuple(finding.evidence["reasons"]),
    )


def _time(hour: int) -> datetime:
    return datetime.fromtimestamp(hour * HOUR, UTC)
