"""Plays the sample incidents as if they happened now, again and again: the `demo` profile of compose.yaml.

The days before come first, as fast as can be, so that there is a normal to differ from; then the stories, at the speed
at which they happened. Later rounds are the same stories under other names of events, sessions and threads. Each story
has a site of its own, as all of them were written about the same people and agents.
"""

import argparse
import gzip
import heapq
import itertools
import logging
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from detector.config_file import load
from detector.kafka_settings import client_settings
from detector.logs import log_to_stderr
from detector.produce import Produced, produce
from detector.publishing import key_of
from detector.scenario import scenarios

Event = dict[str, Any]

APART: Final = timedelta(minutes=2)
"""From the first harm of a story to that of the next, and from the beginning of a round to its first harm."""

AFTER: Final = timedelta(minutes=2)
"""What is played of a log behind its story."""

SITES: Final = ("oslo", "lima", "kyoto", "dakar")

REFERENCES: Final = ("id", "parent_id", "in_reply_to", "thread", "trace_id")


class Story(NamedTuple):
    """A sample: its events up to the end of the incident; when in the log that begins, first does harm, and ends."""

    name: str
    begins: datetime
    harm: datetime
    ends: datetime
    events: list[Event]


def read(samples: Path) -> list[Story]:
    """The samples, each with its events in order."""
    stories = []
    for scenario, site in zip(scenarios(samples), SITES, strict=True):
        told = scenario.expected.incident
        ends = told.ends + AFTER
        lines = gzip.decompress(scenario.events.read_bytes()).splitlines()
        events = [at_site(msgspec.json.decode(line, type=Event), site) for line in lines]
        events = [event for event in events if datetime.fromisoformat(event["time"]) <= ends]
        stories.append(Story(scenario.expected.scenario, told.begins, scenario.expected.first_harm.time, ends, events))
    return stories


def at_site(event: Event, site: str) -> Event:
    """The event with the principals of a site: `bob` becomes `bob@oslo`."""
    event = {**event, "id": f"{event['id']}-{site}"}
    for part, names in (("actor", ("id", "on_behalf_of")), ("permission", ("grantee",)), ("approval", ("by",))):
        if part in event:
            known = {name: f"{value}@{site}" for name in names if (value := event[part].get(name)) and ":" not in value}
            event[part] = {**event[part], **known}
    if event.get("target", {}).get("type") == "agent":
        event["target"] = {**event["target"], "uri": f"{event['target']['uri']}@{site}"}
    return event


def moved(event: Event, by: timedelta, tag: str) -> Event:
    """The event at another time; a tag sets it and what it refers to apart from the same event of another round."""
    event = {**event, "time": _later(event["time"], by)}
    if event.get("permission", {}).get("expires_at"):
        expires = _later(event["permission"]["expires_at"], by)
        event["permission"] = {**event["permission"], "expires_at": expires}
    if not tag:
        return event
    event |= {name: f"{event[name]}-{tag}" for name in REFERENCES if event.get(name)}
    if event["actor"].get("session"):
        event["actor"] = {**event["actor"], "session": f"{event['actor']['session']}-{tag}"}
    if event.get("approval", {}).get("id"):
        event["approval"] = {**event["approval"], "id": f"{event['approval']['id']}-{tag}"}
    return event


def _later(moment: str, by: timedelta) -> str:
    return (datetime.fromisoformat(moment) + by).astimezone(UTC).isoformat().replace("+00:00", "Z")


def resumed(story: Story) -> list[Event]:
    """Who was stopped in a story may go on before the next round of it: orders of the same people."""
    told = (event for event in story.events if datetime.fromisoformat(event["time"]) >= story.begins)
    stops = [event for event in told if event["kind"] == "control" and event["action"] == "stop"]
    when = story.begins.astimezone(UTC).isoformat()
    return [{**stop, "id": f"{stop['id']}-resume", "action": "resume", "time": when} for stop in stops]


def one_round(stories: Iterable[Story], at: datetime, number: int) -> tuple[datetime, Iterator[Event]]:
    """The stories, whose harm begins one after the other from `at` on; the first round (0) has the days before, too.

    Returns the end of the round, and its events in order of time: what leads up to a story lies before `at`.
    """
    tag = f"r{number}" if number else ""
    streams, end = [], at
    for place, story in enumerate(stories):
        by = at + (place + 1) * APART - story.harm
        events = [e for e in story.events if not number or datetime.fromisoformat(e["time"]) >= story.begins]
        streams.append([moved(event, by, tag) for event in (*(resumed(story) if number else ()), *events)])
        end = max(end, story.ends + by)
    return end, heapq.merge(*streams, key=lambda event: datetime.fromisoformat(event["time"]))


def rounds(
    stories: list[Story],
    most: int | None,
    since: timedelta,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> Iterator[bytes]:
    """Messages, each when its time has come; those of the past at once.

    Args:
        stories: What is played.
        most: Rounds to play; None: without an end.
        since: How long ago the first round began.
        clock: Unix seconds.
        sleep: Waits for some seconds.
    """
    at = datetime.fromtimestamp(clock(), UTC) - since
    lead = max(story.harm - story.begins for story in stories)
    for number in itertools.count() if most is None else range(most):
        end, events = one_round(stories, at, number)
        for event in events:
            ahead = datetime.fromisoformat(event["time"]).timestamp() - clock()
            if ahead > 0:
                sleep(ahead)
            yield msgspec.json.encode(event)
        at = end + lead + APART


def main(arguments: list[str]) -> Produced:
    """Play; what became of it, where it ends."""
    parser = argparse.ArgumentParser(prog="demo", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("samples", type=Path, help="the folder sample_logs")
    parser.add_argument("--config", type=Path, help="the detector's configuration")
    parser.add_argument("--rounds", type=int, help="rounds to play; without an end if not given")
    parser.add_argument("--since", type=float, default=0, help="minutes ago at which to begin; now if not given")
    given = parser.parse_args(arguments)
    log_to_stderr(logging.WARNING)
    settings = load(given.config)
    messages = rounds(read(given.samples), given.rounds, timedelta(minutes=given.since), time.time, time.sleep)
    done = produce(client_settings(settings.kafka), settings.read[0].topic, messages, key_of=key_of)
    sys.stderr.write(f"{done.sent} messages published, {done.failed} failed\n")
    return done


if __name__ == "__main__":
    sys.exit(1 if main(sys.argv[1:]).failed else 0)
