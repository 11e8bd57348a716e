"""When things happen: the shape of a day and a week, and the arrivals drawn from it."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from tests.support.simulator.streams import poisson

OFFICE = (0, 0, 0, 0, 0, 0.02, 0.1, 0.5, 1.4, 2.0, 2.0, 1.8, 0.9, 1.6, 2.0, 1.9, 1.6, 0.9, 0.4, 0.2, 0.15, 0.1, 0, 0)
AROUND_THE_CLOCK = (
    0.5, 0.4, 0.3, 0.3, 0.3, 0.4, 0.6, 0.8, 1, 1.1, 1.2, 1.2,
    1.2, 1.2, 1.2, 1.3, 1.3, 1.4, 1.5, 1.6, 1.6, 1.4, 1.1, 0.8,
)  # fmt: skip


@dataclass(frozen=True)
class Period:
    """A span of time in UTC, `begin` included, `end` not."""

    begin: datetime
    end: datetime

    def __contains__(self, at: datetime) -> bool:
        return self.begin <= at < self.end


class Schedule(Protocol):
    """When a habit comes round in a period, in order."""

    def times(self, rng: random.Random, period: Period, scale: float, shift: timedelta) -> Iterator[datetime]:
        """Arrival times within the period; `scale` multiplies rates, `shift` moves the principal's day."""
        ...


@dataclass(frozen=True)
class Poisson:
    """An inhomogeneous Poisson process: `per_day` arrivals on a working day, `weekend` of that on others."""

    per_day: float
    shape: tuple[float, ...] = OFFICE
    weekend: float = 0.04

    def times(self, rng: random.Random, period: Period, scale: float, shift: timedelta) -> Iterator[datetime]:
        """One Poisson count an hour, spread evenly over it; exact for rates that are constant by the hour."""
        total = sum(self.shape)
        for hour in hours(period):
            local = hour - shift
            weight = self.shape[local.hour] / total * (self.weekend if local.weekday() >= 5 else 1.0)
            count = poisson(rng, self.per_day * scale * weight)
            yield from sorted(hour + timedelta(seconds=3600 * rng.random()) for _ in range(count))


@dataclass(frozen=True)
class Daily:
    """A job that starts every `every_hours` from `hour` on, some minutes early or late, as cron jobs do."""

    hour: float
    every_hours: int = 24
    jitter_minutes: float = 4.0

    def times(self, rng: random.Random, period: Period, scale: float, shift: timedelta) -> Iterator[datetime]:
        """One arrival a slot; jobs of the clock know neither `scale` nor `shift`."""
        del scale, shift
        slot = midnight(period.begin) + timedelta(hours=self.hour)
        while slot < period.end:
            at = slot + timedelta(minutes=rng.uniform(0, self.jitter_minutes))
            if at in period:
                yield at
            slot += timedelta(hours=self.every_hours)


def midnight(at: datetime) -> datetime:
    """The start of the UTC day that holds `at`."""
    return at.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def hours(period: Period) -> Iterator[datetime]:
    """The full hours from the period's beginning to its end."""
    at = period.begin.replace(minute=0, second=0, microsecond=0)
    while at < period.end:
        yield at
        at += timedelta(hours=1)
