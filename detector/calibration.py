"""Whether p-values mean what they say: on clean events, how often a test gives one below 1e-2, 1e-3, 1e-4."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final

import msgspec

from detector import assembly
from detector.config import Config
from detector.detectors.base import Context, Detector, DetectorSettings, Example
from detector.events import KINDS, Envelope, Event
from detector.findings import Finding
from models.tail import FittedTail, Tail, TailParams

LEVELS: Final = (1e-2, 1e-3, 1e-4)
HOUR: Final = 3600.0
DAY: Final = 86400.0

# Tests after which a tail is fitted.
TRUSTED: Final = 1000


class Level(msgspec.Struct, frozen=True):
    """The share of tests with a p-value below `p`: `p` itself if the p-values are honest.

    `by_model` takes the models' own p-values; `as_measured` those that the tail of the channel's tests up to the
    evening before gives to the scores, None while these are too few.
    """

    p: float
    by_model: float
    as_measured: float | None


class Calibration(msgspec.Struct, frozen=True):
    """The p-values of one channel on events in which nothing is wrong.

    A test is a principal's hour on the channel, by its highest score. `tests` counts them all, with or without a
    finding, `measured` those that a tail was there for. Of few tests the far levels say little: an honest channel
    has one in 10,000 below 1e-4.
    """

    channel: str
    tests: int
    measured: int
    levels: tuple[Level, ...]


class _Channel:
    """The tests of one channel, counted by level, and the tail of those up to the evening before."""

    __slots__ = ("as_measured", "by_model", "day", "fitted", "learnt", "measured", "tail", "tests")

    def __init__(self) -> None:
        self.tests = self.measured = self.learnt = 0
        self.by_model = [0] * len(LEVELS)
        self.as_measured = [0] * len(LEVELS)
        self.tail = Tail(TailParams())
        self.fitted: FittedTail | None = None
        self.day = -math.inf

    def add(self, hour: float, score: float, *, counts: bool) -> None:
        """Take in a test; before the measure begins it is only learnt."""
        if hour // 24 > self.day:
            self.day = hour // 24
            self.fitted = self.tail.fit() if self.learnt >= TRUSTED else None
        if counts:
            self.tests += 1
            _count(self.by_model, 10.0**-score)
            if self.fitted is not None:
                self.measured += 1
                _count(self.as_measured, self.fitted.p_value(score))
        self.tail.learn_one(score)
        self.learnt += 1

    def levels(self) -> tuple[Level, ...]:
        """The shares of tests below each level."""
        return tuple(
            Level(p, model / self.tests, tail / self.measured if self.measured else None)
            for p, model, tail in zip(LEVELS, self.by_model, self.as_measured, strict=True)
        )


def _count(below: list[int], p_value: float) -> None:
    for place, level in enumerate(LEVELS):
        below[place] += p_value < level


class PValues:
    """Turns scores into tests, and counts these by channel.

    Args:
        since: Unix seconds; tests of hours that began before are learnt, but not counted.
    """

    def __init__(self, since: float = -math.inf) -> None:
        self._since = since / HOUR
        self._open: dict[tuple[str, str], tuple[float, float]] = {}
        self._channels: dict[str, _Channel] = {}

    def add(self, principal: str, channel: str, time: float, score: float) -> None:
        """Note a score (-log10 of a p-value) at a time (unix seconds); the highest of an hour is its test."""
        hour = time // HOUR
        last = self._open.get((principal, channel))
        if last is not None and hour > last[0]:
            counted = self._channels.setdefault(channel, _Channel())
            counted.add(last[0], last[1], counts=last[0] >= self._since)
        if last is None or hour > last[0] or score > last[1]:
            self._open[principal, channel] = hour, score

    def result(self) -> tuple[Calibration, ...]:
        """The calibration of each channel by name, from the hours that are over."""
        return tuple(
            Calibration(name, channel.tests, channel.measured, channel.levels())
            for name, channel in sorted(self._channels.items())
            if channel.tests
        )


class _Listener(Detector[None]):
    """Stands behind all detectors and notes the tests that they made of an event; finds nothing itself."""

    name = "calibration"
    rules: ClassVar[Mapping[str, str]] = {}
    runbook = "None: it never fires."
    tags = ()
    kinds = frozenset(KINDS)

    def __init__(self, seen: PValues) -> None:
        super().__init__(DetectorSettings())
        self._seen = seen

    def new_state(self) -> None:
        """None."""

    def detect(self, event: Event, state: None, context: Context) -> Iterable[Finding]:  # noqa: ARG002
        """Nothing, ever."""
        for channel, score, _ in context.tests:
            self._seen.add(context.principal.id, channel, context.now, score)
        return ()

    def learn(self, event: Event, state: None, context: Context, found: Sequence[Finding]) -> None:
        """Nothing is learnt."""

    def dump(self, state: None) -> None:
        """Nothing is kept."""

    def load(self, data: Any) -> None:
        """Nothing was kept."""

    @classmethod
    def examples(cls) -> Sequence[Example]:
        """None."""
        return ()


def calibrate(envelopes: Iterable[Envelope], config: Config, settled: float = 0.0) -> tuple[Calibration, ...]:
    """Take clean events through an empty first stage, and count the p-values of all its tests.

    Args:
        envelopes: The events, in order of time.
        config: The configuration; the stage judges and learns by it as it would live.
        settled: Days from the first event on in which tests are not counted, while baselines are young.

    Raises:
        RuntimeError: An event made a detector fail.
    """
    seen: PValues | None = None
    opened: set[tuple[str, int]] = set()
    for envelope in envelopes:
        if seen is None:
            seen = PValues(envelope.event.time.timestamp() + settled * DAY)
            scoring = assembly.scoring(config, _Listener(seen))
        partition = envelope.topic, envelope.partition
        if partition not in opened:
            opened.add(partition)
            scoring.open(partition)
        scored = scoring.step(envelope)
        if scored.verdict == "error":
            raise RuntimeError(f"event {envelope.event.id} could not be scored: {scored.error}")
    return () if seen is None else seen.result()
