"""The proposal: thresholds that keep the budget on history, checked by playing it again with them."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from detector.backtest.compare import first_to_tell, seconds_to
from detector.backtest.known import Known
from detector.backtest.play import Played, Raised
from detector.config import Config
from detector.config_base import ConfigError
from detector.overrides import Override
from detector.tune.record import FLOOR, Recording
from detector.tune.trials import WEEK, Aim, Trial, Trials, by_day, counts_for, is_false, spread, week_spread

PREFIX: Final = "tuned-"
"""What the names of proposed overrides begin with; those of an earlier proposal are replaced."""

NEAR: Final = 0.1
"""A share of the budget that history may miss it by, without another try."""

CURVE: Final = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0)
"""Shares of the budget for which the trade-off is told."""


class Point(msgspec.Struct, frozen=True):
    """One place of the trade-off: a budget, what it would give by the recorded scores, and its range over days."""

    budget: float
    trial: Trial
    low: float
    high: float


class Proposal(msgspec.Struct, frozen=True):
    """What is proposed, and what history says of it.

    `present` are false alerts on each day under the configuration as it is, `fixed` those of them a day that no
    threshold moves, `fixed_by` the same by the detectors that they rest on. `played` is history under the proposal,
    `verified` its false alerts on each day, `low` to `high` the range of their mean over resampled days, `week` that of
    the mean of a week to come. `rounds` is how often history was played to check, `days` how many of them it has, those
    of the warm-up included.
    """

    aim: Aim
    thresholds: dict[str, float]
    present: list[int]
    fixed: float
    fixed_by: dict[str, float]
    verified: list[int]
    low: float
    high: float
    week: tuple[float, float]
    delays: dict[str, float | None]
    delays_now: dict[str, float | None]
    curve: list[Point]
    played: Played
    rounds: int
    days: int

    @property
    def a_day(self) -> float:
        """False alerts a day under the proposal."""
        return sum(self.verified) / max(1, len(self.verified))

    @property
    def weeks(self) -> list[int]:
        """False alerts under the proposal in each whole week, counted back from the last day."""
        ends = range(len(self.verified), WEEK - 1, -WEEK)
        return [sum(self.verified[end - WEEK : end]) for end in reversed(ends)]

    @property
    def now_a_day(self) -> float:
        """False alerts a day under the configuration as it is."""
        return sum(self.present) / max(1, len(self.present))


def base(config: Config) -> Config:
    """The configuration without what an earlier proposal set."""
    kept = tuple(each for each in config.overrides if not each.name.startswith(PREFIX))
    return config.model_copy(update={"overrides": kept})


def overrides(aim: Aim, thresholds: dict[str, float], reason: str) -> list[Override]:
    """The overrides that set thresholds."""
    scope: dict[str, Any] = {"roles": (aim.role,)} if aim.role else {}
    return [
        Override(name=_name(aim, detector), reason=reason, detectors=(detector,), threshold=threshold, **scope)
        for detector, threshold in thresholds.items()
    ]


def _name(aim: Aim, detector: str) -> str:
    return f"{PREFIX}{detector}" + (f"-{aim.role}" if aim.role else "")


def with_thresholds(config: Config, aim: Aim, thresholds: dict[str, float]) -> Config:
    """The configuration with thresholds, behind the overrides that it has: those win."""
    added = overrides(aim, thresholds, "tried by `detector tune`")
    return config.model_copy(update={"overrides": (*config.overrides, *added)})


def propose(
    recording: Recording,
    config: Config,
    known: Sequence[Known],
    aim: Aim,
    record: Callable[[Config], Recording],
    rounds: int = 6,
    seed: int = 0,
) -> Proposal:
    """Choose thresholds by the recorded scores, play history with them, and choose anew by what that shows.

    One recording does not tell it all: what is flagged is not learnt, so with another threshold other scores come of
    the same events, and findings join to incidents.

    Args:
        recording: History under the configuration, with its scores.
        config: The configuration.
        known: Incidents.
        aim: What is tuned, and to how many alerts a day.
        record: Plays the same history under another configuration.
        rounds: How often at most.
        seed: Of the days that are drawn.

    Raises:
        ConfigError: History has no scores to draw a threshold at.
    """
    trials = first = Trials(recording, config, known, aim)
    if not first.names:
        raise ConfigError(
            f"history has no score of {FLOOR:g} or more by {', '.join(aim.detectors)}"
            + (f" for the role {aim.role}" if aim.role else "")
            + ": there is nothing to tune; is it the right role, and is there enough of it?"
        )
    tried: list[_Tried] = []
    while len(tried) < rounds:
        thresholds = _between(tried, aim.a_day) or trials.choose(aim.a_day).thresholds
        if any(thresholds == before.thresholds for before in tried):
            break
        again = record(with_thresholds(config, aim, thresholds))
        counts = false_by_day(again.played, known, aim, first.days)
        trials = Trials(again, config, known, aim, first.names)
        tried.append(_Tried(thresholds, sum(counts) / max(1, len(counts)), again, counts, trials))
        if abs(tried[-1].a_day - aim.a_day) <= NEAR * aim.a_day:
            break
    best = min(tried, key=lambda one: abs(one.a_day - aim.a_day))
    low, high = spread(best.counts, seed)
    return Proposal(
        aim=aim,
        thresholds=best.thresholds,
        present=by_day(_times(first.present), first.days),
        fixed=len(best.trials.fixed) / max(1, len(first.days)),
        fixed_by=_by_detector(best.trials.fixed, len(first.days)),
        verified=best.counts,
        low=low,
        high=high,
        week=week_spread(best.counts, seed),
        delays=_delays(known, best.recording.played),
        delays_now=_delays(known, recording.played),
        curve=_curve(best.trials, aim, seed),
        played=best.recording.played,
        rounds=len(tried),
        days=round(recording.played.all_days),
    )


def _by_detector(alerts: Sequence[Raised], days: int) -> dict[str, float]:
    """Alerts a day by the detectors that they rest on, the most first."""
    counts = Counter(name for alert in alerts for name in alert.detectors)
    return {name: count / max(1, days) for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))}


class _Tried(NamedTuple):
    """Thresholds that history was played with, and what came of it."""

    thresholds: dict[str, float]
    a_day: float
    recording: Recording
    counts: list[int]
    trials: Trials


def _between(tried: Sequence[_Tried], a_day: float) -> dict[str, float] | None:
    """Thresholds between those that gave the least too many and the least too few; None until there are both."""
    over = min((one for one in tried if one.a_day > a_day), key=lambda one: one.a_day, default=None)
    under = max((one for one in tried if one.a_day <= a_day), key=lambda one: one.a_day, default=None)
    if over is None or under is None:
        return None
    few = max(under.a_day, 0.5 / max(1, len(under.counts)))
    share = (math.log(over.a_day) - math.log(a_day)) / (math.log(over.a_day) - math.log(few))
    share = min(max(share, 0.1), 0.9)
    return {name: round(limit + share * (under.thresholds[name] - limit), 2) for name, limit in over.thresholds.items()}


def _curve(trials: Trials, aim: Aim, seed: int) -> list[Point]:
    found = [(aim.a_day * share, trials.choose(aim.a_day * share)) for share in CURVE]
    return [Point(round(budget, 4), trial, *spread(trial.by_day, seed)) for budget, trial in found]


def false_by_day(played: Played, known: Sequence[Known], aim: Aim, days: Sequence[float]) -> list[int]:
    """The false alerts of each day, of those that are tuned."""
    told = [alert for alert in played.alerts if counts_for(alert, aim) and is_false(alert, known)]
    return by_day(_times(told), days)


def _times(alerts: Sequence[Any]) -> list[float]:
    return [alert.detected_at.timestamp() for alert in alerts]


def _delays(known: Sequence[Known], played: Played) -> dict[str, float | None]:
    delays: dict[str, float | None] = {}
    for each in known:
        alert = first_to_tell(each, played.alerts)
        seconds = seconds_to(each, each.harm or played.harm.get(each.name), alert)
        delays[each.name] = 0.0 if seconds is None and alert is not None else seconds
    return delays
