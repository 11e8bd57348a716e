"""Two results over one history: which alerts are the same, which came or went and why, which incidents are caught."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec

from detector.backtest.known import Known
from detector.backtest.play import Found, Played, Raised
from detector.config import Config
from detector.severity import at_least, rank
from detector.wording import listing, plural


class Pair(msgspec.Struct, frozen=True):
    """An alert of one configuration and that of the other which tells the same."""

    old: Raised
    new: Raised

    @property
    def seconds(self) -> float:
        """By how much the new one comes later; below 0: earlier."""
        return (self.new.detected_at - self.old.detected_at).total_seconds()

    @property
    def differs(self) -> bool:
        """Whether anybody would notice."""
        return self.old.severity != self.new.severity or self.seconds != 0.0


class Change(msgspec.Struct, frozen=True):
    """An alert that only one of the configurations raises, and why the other does not."""

    alert: Raised
    why: str


class Caught(msgspec.Struct, frozen=True):
    """A known incident, when it did harm first, and the alerts that told of it first; None: not at all."""

    known: Known
    harm: datetime | None
    old: Raised | None
    new: Raised | None

    @property
    def lost(self) -> bool:
        """Whether it was caught, and is no more."""
        return self.old is not None and self.new is None


class Comparison(msgspec.Struct, frozen=True):
    """What would change."""

    pairs: tuple[Pair, ...]
    gained: tuple[Change, ...]
    lost: tuple[Change, ...]
    caught: tuple[Caught, ...]

    @property
    def changed(self) -> list[Pair]:
        """Alerts of both that are as grave no more, or come at another time."""
        return [pair for pair in self.pairs if pair.differs]

    @property
    def worse(self) -> list[str]:
        """What must not be lost and is: incidents; where none is known, alerts of SEV2 or worse."""
        if self.caught:
            return [each.known.name for each in self.caught if each.lost]
        return [change.alert.id for change in self.lost if at_least(change.alert.severity, "SEV2")]


def compare(old: Played, new: Played, old_config: Config, new_config: Config, known: Sequence[Known]) -> Comparison:
    """Hold what two configurations made of one history against each other."""
    pairs, only_old, only_new = _pair(old.alerts, new.alerts)
    return Comparison(
        tuple(pairs),
        gained=tuple(Change(alert, _why(alert, old.findings, old_config)) for alert in only_new),
        lost=tuple(Change(alert, _why(alert, new.findings, new_config)) for alert in only_old),
        caught=tuple(_caught(each, old, new) for each in known),
    )


def _pair(old: Sequence[Raised], new: Sequence[Raised]) -> tuple[list[Pair], list[Raised], list[Raised]]:
    """Alerts that tell the same, and those of either side that have no such. One may go on as several."""
    by_name: dict[str, list[Raised]] = {}
    for alert in new:
        for name in (alert.id, *alert.principals, *sorted(alert.event_ids)):
            by_name.setdefault(name, []).append(alert)
    pairs: list[Pair] = []
    only_old: list[Raised] = []
    told: set[str] = set()
    for alert in old:
        near = {
            twin.id: twin for name in (alert.id, *alert.principals, *alert.event_ids) for twin in by_name.get(name, ())
        }
        twins = [twin for twin in near.values() if _tell_the_same(alert, twin)]
        told.update(twin.id for twin in twins)
        if twins:
            pairs.append(Pair(alert, min(twins, key=lambda twin: (twin.id != alert.id, twin.detected_at, twin.id))))
        else:
            only_old.append(alert)
    return pairs, only_old, [alert for alert in new if alert.id not in told]


def _tell_the_same(one: Raised, other: Raised) -> bool:
    """Whether two alerts share an event, or somebody at the same time: with another threshold it begins elsewhere."""
    if one.id == other.id or one.event_ids & other.event_ids:
        return True
    at_once = one.opened_at <= other.updated_at and other.opened_at <= one.updated_at
    return at_once and bool(set(one.principals) & set(other.principals))


def _why(alert: Raised, others: Mapping[str, Found], config: Config) -> str:
    """Why a configuration raised no such alert, from what it made of the findings that the other's rests on."""
    found = [others[name] for name in alert.finding_ids if name in others]
    if not found:
        return f"made none of its {plural(len(alert.finding_ids), 'finding')}"
    loud = [one for one in found if one.suppressed is None]
    missing = len(alert.finding_ids) - len(found)
    without = f"; {missing} of its findings were not made" if missing else ""
    if not loud:
        reasons = sorted({one.suppressed for one in found if one.suppressed})
        return f"suppressed by {listing(reasons)}{without}"
    worst = min(loud, key=lambda one: rank(one.severity))
    if not at_least(worst.severity, config.correlation.alert_from):
        return f"only notes of it ({worst.severity} by {worst.detector}){without}"
    return f"told with another incident, or not grave enough together{without}"


def _caught(known: Known, old: Played, new: Played) -> Caught:
    harm = known.harm or new.harm.get(known.name)
    return Caught(known, harm, first_to_tell(known, old.alerts), first_to_tell(known, new.alerts))


def tells_of(alert: Raised, known: Known) -> bool:
    """Whether an alert tells of an incident: of its session, or during it of one of those who did it."""
    if known.session is not None:
        return known.session in alert.sessions
    during = (known.begins is None or alert.detected_at >= known.begins) and (
        known.ends is None or alert.opened_at <= known.ends
    )
    return during and bool(set(alert.principals) & set(known.principals))


def told_at(known: Known, alert: Raised) -> datetime:
    """When an alert first told of an incident that it tells of."""
    return alert.detected_at if known.session is None else alert.sessions[known.session]


def first_to_tell(known: Known, alerts: Sequence[Raised]) -> Raised | None:
    """The alert that tells of an incident first; None if none does."""
    told = [alert for alert in alerts if tells_of(alert, known)]
    return min(told, key=lambda alert: (told_at(known, alert), alert.id), default=None)


def seconds_to(known: Known, harm: datetime | None, alert: Raised | None) -> float | None:
    """Seconds from the first harm to the alert, below 0 if it came before; None without one of them."""
    if alert is None or harm is None:
        return None
    return round((told_at(known, alert) - harm).total_seconds(), 3)
