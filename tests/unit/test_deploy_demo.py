"""The `demo` profile: the stories as if they happened now, and again, each in a world of its own."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Final

import msgspec
import pytest

from deploy.compose.demo import APART, SITES, at_site, moved, one_round, read, resumed, rounds
from detector import assembly
from detector.config import Config
from detector.replay import Replay
from detector.sources.base import Record
from tests.support.deployed import ROOT

AT: Final = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
STORIES: Final = read(ROOT / "sample_logs")
FULL: Final[dict[str, Any]] = {
    "id": "e1",
    "time": "2026-03-06T14:00:00.5Z",
    "actor": {"id": "bot", "on_behalf_of": "ann", "session": "s"},
    "kind": "permission",
    "action": "grant",
    "target": {"uri": "s3://x", "type": "bucket"},
    "permission": {"change": "grant", "grantee": "group:all", "expires_at": "2026-03-07T00:00:00Z"},
    "approval": {"id": "A-1", "by": "eve"},
    "thread": "t",
    "in_reply_to": "m",
}


class Clock:
    """Stands still but for those who sleep."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def played(most: int, *, since: timedelta = timedelta()) -> tuple[list[tuple[float, dict[str, Any]]], Clock]:
    """All events of some rounds, each with the moment at which it was sent."""
    clock = Clock(AT.timestamp())
    sent = [
        (clock.now, msgspec.json.decode(message, type=dict[str, Any]))
        for message in rounds(STORIES, most, since, clock, clock.sleep)
    ]
    return sent, clock


def time_of(event: dict[str, Any]) -> float:
    return datetime.fromisoformat(event["time"]).timestamp()


def test_a_site_has_people_and_agents_of_its_own() -> None:
    event = at_site(FULL, "oslo")
    assert event["actor"] == {"id": "bot@oslo", "on_behalf_of": "ann@oslo", "session": "s"}
    assert event["permission"]["grantee"] == "group:all", "a group is no principal"
    assert event["approval"] == {"id": "A-1", "by": "eve@oslo"}
    stop = {"id": "e2", "actor": {"id": "eve"}, "target": {"uri": "bot", "type": "agent"}}
    assert at_site(stop, "oslo")["target"] == {"uri": "bot@oslo", "type": "agent"}
    assert FULL["actor"]["id"] == "bot", "the sample is left as it is"


def test_an_event_is_moved_with_all_that_it_refers_to() -> None:
    event = moved(FULL, timedelta(days=1, microseconds=1), "r1")
    assert event["time"] == "2026-03-07T14:00:00.500001Z"
    assert event["permission"]["expires_at"] == "2026-03-08T00:00:00.000001Z"
    assert (event["id"], event["thread"], event["in_reply_to"]) == ("e1-r1", "t-r1", "m-r1")
    assert (event["actor"]["session"], event["approval"]["id"]) == ("s-r1", "A-1-r1")
    assert moved(FULL, timedelta(), "") == FULL | {"time": "2026-03-06T14:00:00.500000Z"}


def test_the_days_before_come_at_once_and_the_stories_as_they_happened() -> None:
    sent, clock = played(1)
    assert all(moment == max(AT.timestamp(), time_of(event)) for moment, event in sent)
    times = [time_of(event) for _, event in sent]
    assert times == sorted(times)
    assert sum(time < AT.timestamp() for time in times) > 25_000
    assert 2 < (clock.now - AT.timestamp()) / 3600 < 3


def test_each_round_is_another_one_and_comes_after_the_one_before() -> None:
    sent, _ = played(3)
    ids = [event["id"] for _, event in sent]
    assert len(ids) == len(set(ids))
    by_round = [
        [event for _, event in sent if ("-r" in event["id"]) and event["id"].endswith(f"-r{n}")] for n in (1, 2)
    ]
    first = [event for _, event in sent if "-r1" not in event["id"] and "-r2" not in event["id"]]
    assert len(by_round[0]) == len(by_round[1]) < len(first) / 5
    for earlier, later in pairwise([first, *by_round]):
        assert time_of(earlier[-1]) < time_of(later[0])


def test_begun_in_the_past_what_is_over_comes_at_once() -> None:
    sent, _ = played(1, since=timedelta(minutes=30))
    at_once = [event for moment, event in sent if moment == AT.timestamp()]
    assert max(map(time_of, at_once)) <= AT.timestamp()
    harmful = {event["id"].split("-")[0] for event in at_once}
    assert all(event_id in harmful for event_id in _first_harms())


def _first_harms() -> Sequence[str]:
    harms = []
    for story in STORIES:
        (harm,) = (e for e in story.events if datetime.fromisoformat(e["time"]) == story.harm)
        harms.append(harm["id"].split("-")[0])
    return harms


def test_who_was_stopped_may_go_on_before_the_next_round() -> None:
    stopped = {event["target"]["uri"] for story in STORIES for event in resumed(story)}
    _, events = one_round(STORIES, AT, 1)
    begun = [event for event in events if event["id"].endswith("-resume-r1")]
    assert {event["target"]["uri"] for event in begun} == stopped
    assert stopped > {
        f"{who}-agent-02@{site}" for who, site in (("mail-assistant", "lima"), ("knowledge-base", "dakar"))
    }
    assert {event["action"] for event in begun} == {"resume"}


def test_the_samples_each_have_a_site() -> None:
    assert len(STORIES) == len(SITES)
    assert all(story.begins <= story.harm < story.ends for story in STORIES)


@pytest.mark.timeout(120)
def test_the_four_stories_are_told_and_nothing_else() -> None:
    sent, _ = played(1)
    replay = Replay(assembly.pipeline(Config()), assembly.decoder(Config()), [])
    messages = (msgspec.json.encode(event) for _, event in sent)
    replay.run((Record("events", 0, n, None, value, sent[n][0]) for n, value in enumerate(messages)), lambda: None)
    assert replay.result.verdicts == {"scored": len(sent)}
    alerts = [alert for alert in replay.result.alerts.values() if alert.severity <= "SEV2"]
    assert [alert.severity for alert in alerts] == ["SEV1"] * 4
    assert {who.rpartition("@")[2] for alert in alerts for who in alert.principals} == set(SITES)
    latest = max(alert.detected_at for alert in alerts)
    assert latest < AT + (len(STORIES) + 1) * APART, "ten minutes after its start the demo has shown everything"
