"""A population whose false alerts are known: couriers with a routine, and harmless jobs that come at a known rate.

Each courier sends some reports on every day. Now and then one copies far more than that: when is a Poisson process, how
much is lognormal, and both are drawn from streams of their own. So each day brings as many candidates as any other, in
an unseen week as before, and how many of them are alerts is for the threshold to say.
"""

import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

import msgspec

from detector.events import Actor, Destination, Event
from detector.history.rows import Row
from tests.support.simulator.streams import lognormal, poisson, stream

BEGIN: Final = datetime.fromisoformat("2026-03-02T00:00:00+00:00")
REPORT_BYTES: Final = 300_000.0
JOB_BYTES: Final = 60_000_000.0


def couriers(seed: int, count: int, days: int, jobs_a_day: float, reports: float = 6.0) -> list[Event]:
    """What so many couriers send, by time; `jobs_a_day` is the rate of odd jobs of all, `reports` that of one."""
    names = [f"courier-{number:03}" for number in range(count)]
    events = [event for name in names for event in _courier(seed, name, days, jobs_a_day / count, reports)]
    return sorted(events, key=lambda event: (event.time, event.id))


def _courier(seed: int, name: str, days: int, jobs_a_day: float, reports: float) -> Iterator[Event]:
    routine, odd = stream(seed, "routine", name), stream(seed, "jobs", name)
    bulk = lognormal(stream(seed, "bulk", name), REPORT_BYTES, 0.4)
    for day in range(days):
        begin = BEGIN + timedelta(days=day)
        for _ in range(poisson(routine, reports)):
            yield _sent(name, begin + _office_hour(routine), lognormal(routine, bulk, 0.6), "report")
        for _ in range(poisson(odd, jobs_a_day)):
            yield _sent(name, begin + _office_hour(odd), lognormal(odd, JOB_BYTES, 1.5), "job")


def _office_hour(rng: random.Random) -> timedelta:
    return timedelta(seconds=rng.uniform(8 * 3600.0, 18 * 3600.0))


def _sent(name: str, at: datetime, count: float, what: str) -> Event:
    return Event(
        id=f"{what}-{name}-{at:%m%d%H%M%S%f}",
        time=at,
        actor=Actor(id=name, role="courier", session=f"{name}-{at:%m%d}-{what}-{at:%H%M}"),
        kind="transfer",
        action=f"send.{what}",
        destination=Destination(host="archive.corp.internal", zone="internal"),
        bytes_out=round(count),
    )


def rows(events: list[Event]) -> list[Row]:
    """The events as history that is to be played, each arriving when it happens."""
    return [
        Row("events", 0, offset, event.time.timestamp(), msgspec.json.encode(event))
        for offset, event in enumerate(events)
    ]
