"""How well sessions that were taken over are told from honest ones: each ranked by the worst that was found in it."""

import bisect
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import fmean, median
from typing import Final

import msgspec

from detector import assembly
from detector.alerts import Alert
from detector.config import Config
from detector.events import Envelope
from detector.findings import Finding
from detector.severity import SEVERITIES, Severity, rank

SHARES: Final = (0.01, 0.05, 0.1)
LEVELS: Final[tuple[Severity, ...]] = ("SEV4", "SEV3", "SEV2")
COUNTED_PHASE: Final = "test"

Rank = tuple[int, float]
"""How bad a finding is, bigger is worse: its severity first, then its score."""


class SessionLabel(msgspec.Struct, frozen=True):
    """What a session was. `phase` "test" (or none) counts in the measure, any other is history.

    `injected`: somebody tried; `compromised`: it worked. `attack_spans` are the ids of the events that did it,
    or of their spans: an event that was a span has an id which ends with the span's, after a hyphen.
    """

    session: str
    compromised: bool
    phase: str | None = None
    injected: bool = False
    attack_spans: tuple[str, ...] = ()

    @property
    def counts(self) -> bool:
        """Whether the session is measured, not only learnt from."""
        return self.phase in {None, COUNTED_PHASE}


class Caught(msgspec.Struct, frozen=True, kw_only=True):
    """The sessions that one rule flags.

    A rule is a threshold (`severity` and `score` of the mildest finding that is flagged), or alerts as they
    come: one that tells of several sessions flags the session at whose event it was opened, got graver or was
    told anew. `compromised` and `benign` count flagged sessions, `injected` those benign ones in which somebody
    tried. `recall` is of the compromised, `benign_share` of the benign, `precision` of the flagged; each None
    where that is of nothing. Of the compromised ones that were flagged and whose attack is in the log (`timed`),
    `in_time` were flagged at or before its first event; the leads say how many events of the session before
    (below 0: after).
    """

    rule: str
    severity: Severity | None = None
    score: float | None = None
    compromised: int
    benign: int
    injected: int
    recall: float | None
    benign_share: float | None
    precision: float | None
    timed: int
    in_time: int
    mean_lead: float | None
    median_lead: float | None


class SessionResult(msgspec.Struct, frozen=True, kw_only=True):
    """The measure of all labelled sessions that count.

    `benign` is all that were not compromised, `injected` those of them in which somebody tried. `unseen` have a
    label and no event: they count as not flagged. `unlabelled` have events and no label: they are left out.
    `unscored` is how many events were late, doubled, from the future or broken. `area` is the area under the
    ROC: the chance that a compromised session ranks above a benign one, ties counted half.
    """

    events: int
    unscored: int
    compromised: int
    benign: int
    injected: int
    unseen: int
    unlabelled: int
    alerts: Caught
    by_severity: tuple[Caught, ...]
    at_share: tuple[Caught, ...]
    area: float | None


class _Session:
    """What was seen of one session: its events counted, where the attack began, and each new worst finding."""

    __slots__ = ("alert", "attack", "events", "label", "places", "ranks")

    def __init__(self, label: SessionLabel | None) -> None:
        self.label = label
        self.events = 0
        self.attack: int | None = None
        self.ranks: list[Rank] = []
        self.places: list[int] = []
        self.alert: int | None = None

    def take(self, event_id: str) -> None:
        """Count an event."""
        if self.attack is None and self.label is not None and self.label.attack_spans:
            spans = self.label.attack_spans
            if event_id in spans or event_id.rpartition("-")[2] in spans:
                self.attack = self.events
        self.events += 1

    def find(self, finding: Finding) -> None:
        """Note a finding that is worse than all before it: no other moves the session over any threshold."""
        found = rank_of(finding)
        if not self.ranks or found > self.ranks[-1]:
            self.ranks.append(found)
            self.places.append(self.events - 1)

    def flagged_at(self, threshold: Rank) -> int | None:
        """The place of the first event with a finding as bad as the threshold; None if there is none."""
        i = bisect.bisect_left(self.ranks, threshold)
        return self.places[i] if i < len(self.places) else None

    @property
    def worst(self) -> Rank | None:
        """The rank of its worst finding; None if nothing was found."""
        return self.ranks[-1] if self.ranks else None


def rank_of(finding: Finding) -> Rank:
    """Where a finding stands among others: its severity first, then its score.

    A statistical rule's score is -log10 of its p-value, a deterministic one's is from 0 to 1, so within a
    severity what is very improbable stands above what merely breaks a rule.
    """
    return -rank(finding.severity), finding.score


def read_labels(lines: Iterable[bytes]) -> list[SessionLabel]:
    """Labels from JSON lines; blank lines are skipped.

    Raises:
        ValueError: A line is no label, or a session has two; the message names the line.
    """
    decoder = msgspec.json.Decoder(SessionLabel)
    labels: dict[str, SessionLabel] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            label = decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"line {number}: no label of a session: {error}") from error
        if label.session in labels:
            raise ValueError(f"line {number}: the session {label.session} has a label already")
        labels[label.session] = label
    return list(labels.values())


def evaluate_sessions(
    envelopes: Iterable[Envelope],
    labels: Iterable[SessionLabel],
    config: Config,
    counts: Callable[[Finding], bool] = lambda finding: finding.suppressed is None,
) -> SessionResult:
    """Take a log through an empty pipeline, and measure how its labelled sessions were ranked.

    Args:
        envelopes: The log, in order; an event's session is its actor's.
        labels: What the sessions were, one a session.
        config: The configuration under which it is measured.
        counts: Which findings rank a session; by default all that are not suppressed.
    """
    pipeline = assembly.pipeline(config)
    sessions = {label.session: _Session(label) for label in labels}
    events = unscored = 0
    for envelope in envelopes:
        session = envelope.event.actor.session
        if session is not None:
            sessions.setdefault(session, _Session(None)).take(envelope.event.id)
        step = pipeline.step(envelope)
        events += 1
        unscored += step.verdict != "scored"
        for finding in step.findings:
            if finding.session is not None and counts(finding):
                sessions.setdefault(finding.session, _Session(None)).find(finding)
        _alert(sessions, session, step.alerts)
    return _measure(sessions, events, unscored)


def _alert(sessions: Mapping[str, _Session], session: str | None, alerts: Sequence[Alert]) -> None:
    """An alert that an event opened or made graver is its session's."""
    if session is not None and any(alert.status != "resolved" for alert in alerts):
        seen = sessions[session]
        seen.alert = seen.events - 1 if seen.alert is None else seen.alert


def _measure(sessions: Mapping[str, _Session], events: int, unscored: int) -> SessionResult:
    counted = [seen for seen in sessions.values() if seen.label is not None and seen.label.counts]
    compromised = [seen for seen in counted if seen.label is not None and seen.label.compromised]
    benign = [seen for seen in counted if seen.label is not None and not seen.label.compromised]
    return SessionResult(
        events=events,
        unscored=unscored,
        compromised=len(compromised),
        benign=len(benign),
        injected=sum(_injected(seen) for seen in benign),
        unseen=sum(not seen.events for seen in counted),
        unlabelled=sum(seen.label is None for seen in sessions.values()),
        alerts=_caught("alert opened or renewed", compromised, benign, lambda seen: seen.alert),
        by_severity=tuple(_from(f"{level} or worse", (-rank(level), 0.0), compromised, benign) for level in LEVELS),
        at_share=tuple(_at_share(share, compromised, benign) for share in SHARES),
        area=_area(compromised, benign),
    )


def _injected(seen: _Session) -> bool:
    return seen.label is not None and seen.label.injected


def _caught(
    rule: str,
    compromised: Sequence[_Session],
    benign: Sequence[_Session],
    place: Callable[[_Session], int | None],
    threshold: Rank | None = None,
) -> Caught:
    """What a rule makes of the sessions; `place` is where in a session it flags it, None if it does not."""
    caught = [seen for seen in compromised if place(seen) is not None]
    false = [seen for seen in benign if place(seen) is not None]
    leads = [seen.attack - at for seen in caught if seen.attack is not None and (at := place(seen)) is not None]
    return Caught(
        rule=rule,
        severity=None if threshold is None else SEVERITIES[-threshold[0]],
        score=None if threshold is None else threshold[1],
        compromised=len(caught),
        benign=len(false),
        injected=sum(_injected(seen) for seen in false),
        recall=_share(len(caught), len(compromised)),
        benign_share=_share(len(false), len(benign)),
        precision=_share(len(caught), len(caught) + len(false)),
        timed=len(leads),
        in_time=sum(lead >= 0 for lead in leads),
        mean_lead=round(fmean(leads), 3) if leads else None,
        median_lead=median(leads) if leads else None,
    )


def _from(rule: str, threshold: Rank, compromised: Sequence[_Session], benign: Sequence[_Session]) -> Caught:
    return _caught(rule, compromised, benign, lambda seen: seen.flagged_at(threshold), threshold)


def _at_share(most: float, compromised: Sequence[_Session], benign: Sequence[_Session]) -> Caught:
    """The lowest threshold at which at most this share of the benign is flagged; sessions of one rank go together.

    A session without findings is below every threshold.
    """
    rule = f"at most {most:.0%} of benign"
    ranks = sorted((seen.worst for seen in (*compromised, *benign) if seen.worst is not None), reverse=True)
    threshold: Rank | None = None
    for candidate in dict.fromkeys(ranks):
        if sum(seen.worst is not None and seen.worst >= candidate for seen in benign) > most * len(benign):
            break
        threshold = candidate
    if threshold is None:
        return _caught(rule, compromised, benign, lambda _: None)
    return _from(rule, threshold, compromised, benign)


def _area(compromised: Sequence[_Session], benign: Sequence[_Session]) -> float | None:
    """Mann and Whitney's U over the number of pairs; None without a pair."""
    if not compromised or not benign:
        return None
    nothing: Rank = (-len(SEVERITIES), 0.0)
    against = sorted(seen.worst or nothing for seen in benign)
    wins = 0.0
    for seen in compromised:
        below, upto = (cut(against, seen.worst or nothing) for cut in (bisect.bisect_left, bisect.bisect_right))
        wins += below + (upto - below) / 2
    return round(wins / (len(compromised) * len(benign)), 4)


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None
