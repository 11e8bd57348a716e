"""What the benchmarks read: the simulator's company at work, with the kinds of event in the shares of an audit log."""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Final

import msgspec

from detector.events import Envelope, Event, Kind
from tests.support.simulator.background import background
from tests.support.simulator.rhythm import Period
from tests.support.simulator.trail import utc
from tests.support.simulator.world import Population, build_world

PARTITION: Final = ("events", 0)
MONDAY: Final = utc(2026, 3, 2)
DAY: Final = timedelta(days=1)

# Shares of an audit log of agents at work, in percent; the simulator's own days have more calls and fewer changes.
MIX: Final[Mapping[tuple[Kind, ...], float]] = {
    ("access",): 60.0,
    ("call",): 20.0,
    ("transfer",): 12.0,
    ("permission",): 4.0,
    ("publish",): 2.0,
    ("delete", "control"): 2.0,
}


def mixed(events: Iterable[Event], mix: Mapping[tuple[Kind, ...], float] = MIX) -> list[Event]:
    """The events with the shares of the mix: of some kinds a part, others again and again, seconds later."""
    given = list(events)
    rates: dict[Kind, float] = {}
    for kinds, share in mix.items():
        there = sum(event.kind in kinds for event in given)
        rates |= dict.fromkeys(kinds, share / 100.0 * len(given) / there if there else 0.0)
    due = dict.fromkeys(rates, 0.0)
    chosen = []
    for event in given:
        if event.kind not in rates:
            continue
        due[event.kind] += rates[event.kind]
        times = int(due[event.kind])
        due[event.kind] -= times
        chosen += [_again(event, n) for n in range(times)]
    chosen.sort(key=lambda event: event.time)
    return chosen


def _again(event: Event, n: int) -> Event:
    later = event.time + timedelta(seconds=2 * n)
    return msgspec.structs.replace(event, id=f"{event.id}-{n}", time=later) if n else event


def days_of(principals: int, first: int, count: int) -> list[Event]:
    """What a company does on so many days from a day on, counted from a Monday, in the shares of `MIX`."""
    world = build_world(1, Population.of(principals))
    return mixed(background(world, Period(MONDAY + first * DAY, MONDAY + (first + count) * DAY)))


def fresh(events: Iterable[Event]) -> list[Envelope]:
    """Envelopes of events that were just decoded: no string in them is another's, or was ever hashed."""
    payloads = [(msgspec.json.encode(event), event.time.timestamp()) for event in events]
    decode = msgspec.json.Decoder(Event).decode
    return [Envelope(decode(payload), *PARTITION, 0, at, payload) for payload, at in payloads]


def copied(event: Event, copy: int) -> Event:
    """The event of the same principal in another company."""
    if copy == 0:
        return event
    actor, target = event.actor, event.target
    if event.kind == "control" and target is not None:
        target = msgspec.structs.replace(target, uri=f"{target.uri}-{copy}")
    session = f"{actor.session}-{copy}" if actor.session else None
    actor = msgspec.structs.replace(actor, id=f"{actor.id}-{copy}", session=session)
    return msgspec.structs.replace(event, id=f"{event.id}.{copy}", actor=actor, target=target)
