"""Thresholds tried on recorded scores: how many alerts a day they would give, and which incidents they would catch."""

import math
import random
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from detector.backtest.compare import first_to_tell, tells_of, told_at
from detector.backtest.known import Known
from detector.backtest.play import DAY, Raised
from detector.config import Config
from detector.severity import at_least
from detector.tune.record import TUNED, Recording, Score

STEP: Final = 0.02
"""Between two thresholds that are tried."""
MOST: Final = 40.0

DRAWS: Final = 1000
RANGE: Final = (0.05, 0.95)
WEEK: Final = 7


class Aim(msgspec.Struct, frozen=True):
    """What is tuned: alerts a day to come down to, of whose detectors and roles; "" for all."""

    a_day: float
    detector: str = ""
    role: str = ""
    least: float = 3.0
    """No threshold is lower, whatever the budget would allow."""

    @property
    def detectors(self) -> tuple[str, ...]:
        """The detectors that get a threshold."""
        return (self.detector,) if self.detector else TUNED


class Trial(msgspec.Struct, frozen=True):
    """What some thresholds would give on history: alerts on each day, and when which incident would be told."""

    thresholds: dict[str, float]
    by_day: list[int]
    delays: dict[str, float | None]
    """Seconds from the first harm to the first alert of each known incident; None: not caught."""

    @property
    def a_day(self) -> float:
        """Alerts a day."""
        return sum(self.by_day) / len(self.by_day) if self.by_day else 0.0

    @property
    def caught(self) -> int:
        """Known incidents that would be told."""
        return sum(delay is not None for delay in self.delays.values())


def is_false(alert: Raised, known: Iterable[Known]) -> bool:
    """Whether an alert tells of no known incident."""
    return not any(tells_of(alert, each) for each in known)


def counts_for(alert: Raised, aim: Aim) -> bool:
    """Whether an alert is among those that are tuned."""
    return (not aim.role or aim.role in alert.roles) and (not aim.detector or aim.detector in alert.detectors)


def by_day(times: Iterable[float], days: Sequence[float]) -> list[int]:
    """How many of some times fall on each day."""
    counts = [0] * len(days)
    for time in times:
        place = int((time - days[0]) // DAY)
        counts[min(max(place, 0), len(days) - 1)] += 1
    return counts


def spread(counts: Sequence[int], seed: int = 0) -> tuple[float, float]:
    """The range that the mean of a day lies in, nine times of ten: from days drawn anew from those there are."""
    if not counts:
        return 0.0, 0.0
    rng = random.Random(seed)  # noqa: S311 - resampling, no secret
    means = sorted(sum(rng.choices(counts, k=len(counts))) / len(counts) for _ in range(DRAWS))
    low, high = (means[min(DRAWS - 1, int(share * DRAWS))] for share in RANGE)
    return low, high


def week_spread(counts: Sequence[int], seed: int = 0) -> tuple[float, float]:
    """The range that the mean of a week to come lies in, nine times of ten, if it is like the days there are.

    Each week is drawn from days that are drawn anew themselves: as few days say little of the rate, and a week is less.
    """
    if not counts:
        return 0.0, 0.0
    rng = random.Random(seed)  # noqa: S311 - resampling, no secret
    weeks = sorted(sum(rng.choices(rng.choices(counts, k=len(counts)), k=WEEK)) / WEEK for _ in range(DRAWS))
    low, high = (weeks[min(DRAWS - 1, int(share * DRAWS))] for share in RANGE)
    return low, high


class Trials:
    """Tries thresholds on a recording.

    Tests of one principal that lie closer together than an incident's window are one alert. Alerts that other detectors
    raise, or fixed rules, are there whatever the thresholds.

    Args:
        recording: The scores, and the alerts that came of the configuration as it is.
        config: That configuration.
        known: Incidents; what tells of them is no false alert.
        aim: What is tuned.
        names: The detectors that get a threshold; those that have scores at all if not given.
    """

    def __init__(
        self,
        recording: Recording,
        config: Config,
        known: Sequence[Known],
        aim: Aim,
        names: tuple[str, ...] | None = None,
    ) -> None:
        self._known, self._aim = known, aim
        self._played = recording.played
        self._alert_from = config.correlation.alert_from
        self._gaps = {name: _gap(config, name) for name in TUNED}
        ours = [s for s in recording.scores if s.detector in aim.detectors and (not aim.role or s.role == aim.role)]
        seen = {score.detector for score in ours}
        self.names = tuple(name for name in aim.detectors if name in seen) if names is None else names
        """The detectors that get a threshold: those that have scores at all."""
        self._scores = {name: [score for score in ours if score.detector == name] for name in aim.detectors}
        self.days = recording.played.days
        told = [alert for alert in recording.played.alerts if counts_for(alert, aim)]
        self.present = [alert for alert in told if is_false(alert, known)]
        """The false alerts of the configuration as it is."""
        self.fixed = [alert for alert in self.present if self._is_fixed(alert)]
        """Those of them that no threshold moves."""
        self._fixed_telling = [alert for alert in recording.played.alerts if self._is_fixed(alert)]

    def _is_fixed(self, alert: Raised) -> bool:
        """Whether an alert rests on anything but scores that are tuned."""
        found = [self._played.findings.get(name) for name in alert.finding_ids]
        strong = [one for one in found if one is not None and at_least(one.severity, self._alert_from)]
        return not strong or any(one.detector not in self._scores or one.score <= 1.0 for one in strong)

    def choose(self, a_day: float) -> Trial:
        """The thresholds that come nearest to a budget from below, each detector with its share of it.

        What is left of a share that a detector can't use goes to the others.
        """
        left = max(0.0, a_day - len(self.fixed) / max(1, len(self.days)))
        shares: dict[str, float] = {}
        waiting = {name: self._most(name) for name in self.names}
        while waiting:
            share = left / len(waiting)
            modest = {name: most for name, most in waiting.items() if most <= share}
            if not modest:
                shares |= dict.fromkeys(waiting, share)
                break
            for name, most in modest.items():
                shares[name] = most
                left -= most
                del waiting[name]
        return self.at({name: self._threshold(name, shares[name]) for name in self.names})

    def _most(self, name: str) -> float:
        return len(self._alerts({name: self._aim.least})) / max(1, len(self.days))

    def _threshold(self, name: str, a_day: float) -> float:
        """The lowest threshold at which a detector keeps its share."""
        allowed = a_day * len(self.days) + 1e-9
        steps = range(math.ceil(self._aim.least / STEP), round(MOST / STEP))
        place = bisect_left(steps, True, key=lambda step: len(self._alerts({name: step * STEP})) <= allowed)
        return round(steps[min(place, len(steps) - 1)] * STEP, 2)

    def at(self, thresholds: Mapping[str, float]) -> Trial:
        """What some thresholds would give."""
        alerts = self._alerts(thresholds)
        times = [time for time, _ in alerts]
        fixed = [alert.detected_at.timestamp() for alert in self.fixed]
        delays = {each.name: self._delay(each, thresholds) for each in self._known}
        return Trial(dict(thresholds), by_day([*times, *fixed], self.days), delays)

    def _alerts(self, thresholds: Mapping[str, float]) -> list[tuple[float, str]]:
        """When alerts would be raised, and about whom; known incidents are left out."""
        above = sorted(test for name, limit in thresholds.items() for test in self._scores[name] if test.score > limit)
        last: dict[str, float] = {}
        alerts = []
        for test in above:
            if self._is_known(test):
                continue
            if test.time - last.get(test.principal, -math.inf) > self._gaps[test.detector]:
                alerts.append((test.time, test.principal))
            last[test.principal] = test.time
        return alerts

    def _is_known(self, test: Score) -> bool:
        return any(_is_of(test, each) for each in self._known)

    def _delay(self, known: Known, thresholds: Mapping[str, float]) -> float | None:
        """Seconds from an incident's first harm to its first alert."""
        harm = known.harm or self._played.harm.get(known.name)
        above = (
            test.time for name, limit in thresholds.items() for test in self._scores[name]
            if test.score > limit and _is_of(test, known)
        )  # fmt: skip
        fixed = first_to_tell(known, self._fixed_telling)
        told = [told_at(known, fixed).timestamp()] if fixed is not None else []
        first = min((*above, *told), default=None)
        if first is None:
            return None
        return round(first - harm.timestamp(), 3) if harm is not None else 0.0


def _is_of(test: Score, known: Known) -> bool:
    if known.session is not None:
        return test.session == known.session
    during = (known.begins is None or test.time >= known.begins.timestamp()) and (
        known.ends is None or test.time <= known.ends.timestamp()
    )
    return during and test.principal in known.principals


def _gap(config: Config, name: str) -> float:
    """Seconds after which a principal's next finding by a detector is an alert of its own."""
    settings = getattr(config.detectors, name)
    return float(max(config.correlation.window, getattr(settings, "repeat_after", 0.0)))
