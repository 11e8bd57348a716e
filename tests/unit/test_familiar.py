"""When an act counts as usual: by whom, for how long, and how many days make three."""

from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from detector.detectors import REGISTRY
from detector.detectors.base import sample
from detector.events import Actor, ActorKind, Event, Target
from detector.scoring import Scoring
from tests.support.detections import PARTITION, found_by

DAY = 1440.0


def act(minute: float, name: str = "a", role: str = "", *, action: str = "s3:DeleteBucket", **fields: Any) -> Event:
    kind: ActorKind = fields.pop("kind", "agent")
    target = Target(fields.pop("uri", "s3://scratch"))
    actor = Actor(id=name, kind=kind, role=role)
    return sample(minute, id=f"{name} {action} {minute}", actor=actor, kind="delete", action=action, target=target)


def told(events: Iterable[Event], saved_after: int = -1) -> list[str]:
    """The severity of what was said of each event; the state is written out and read in after one of them."""
    found: list[str] = []
    scoring = opened()
    for offset, event in enumerate(events):
        ((*findings,),) = found_by(scoring, [event])
        found.append(findings[0].severity if findings else "")
        if offset == saved_after:
            scoring = opened(scoring.snapshot(PARTITION))
    return found


def opened(snapshot: Any = None) -> Scoring:
    scoring = Scoring([REGISTRY["mass_deletion"].for_examples()])
    scoring.open(PARTITION, snapshot)
    scoring.settle()
    return scoring


def days(count: int, name: str = "a", role: str = "", **fields: Any) -> Iterator[Event]:
    return (act(DAY * day, name, role, **fields) for day in range(count))


def test_a_habit_lasts_for_a_season_with_a_role_and_without() -> None:
    for role in ("", "ops"):
        assert told([*days(5, role=role), act(DAY * 120, role=role)])[3:] == ["", "", ""]
        assert told([*days(5, role=role), act(DAY * 400, role=role)])[3:] == ["", "", "SEV3"]


def test_what_comes_every_quarter_becomes_a_habit() -> None:
    assert told(act(DAY * 90 * quarter) for quarter in range(5)) == ["SEV3", "SEV3", "SEV3", "", ""]


def test_a_habit_survives_a_restart() -> None:
    assert told(days(5), saved_after=2) == ["SEV3", "SEV3", "SEV3", "", ""]


def test_two_midnights_are_no_three_days() -> None:
    before_midnight = 15 * 60 - 1.0
    minutes = [before_midnight, before_midnight + 2, before_midnight + DAY + 2, before_midnight + DAY + 3]
    assert told(map(act, minutes)) == ["SEV3"] * 4


def test_days_at_about_the_same_hour_are_days() -> None:
    assert told(act(DAY * day - 60.0 * (day % 3)) for day in range(5)) == ["SEV3"] * 3 + ["", ""]


@pytest.mark.parametrize(("peers", "expected"), [(1, "SEV3"), (2, "SEV4")])
def test_one_peers_habit_is_its_own_and_twos_are_noted(peers: int, expected: str) -> None:
    events = [event for name in range(peers) for event in days(4, f"p{name}", "ops")]
    events.sort(key=lambda event: event.time)
    assert told([*events, act(DAY * 5, "new", "ops")])[-1] == expected
    assert told([*events, act(DAY * 5, "new", "clerk")])[-1] == "SEV3"
    assert told([*events, act(DAY * 400, "new", "ops")])[-1] == "SEV3"


def test_peers_excuse_no_end_of_a_backup() -> None:
    backup = {"action": "rds:DeleteDBSnapshot"}
    events = sorted((e for name in "pqr" for e in days(4, name, "ops", **backup)), key=lambda event: event.time)
    assert told([*events, act(DAY * 5, "new", "ops", **backup)])[-1] == "SEV3"


@pytest.mark.parametrize(
    ("who", "kind", "action", "expected"),
    [
        (3, "human", "s3:DeleteBucket", "SEV4"),
        (2, "human", "s3:DeleteBucket", "SEV3"),
        (3, "agent", "s3:DeleteBucket", "SEV3"),
        (3, "human", "kms:ScheduleKeyDeletion", "SEV3"),
    ],
)
def test_in_the_first_days_what_several_people_did_is_a_note_of_the_next(
    who: int, kind: ActorKind, action: str, expected: str
) -> None:
    """The first are told, the next hour's are not; what people do says nothing of agents, nor for keys."""
    first = [act(float(i), f"h{i}", kind="human", action=action) for i in range(who)]
    found = told([*first, act(90, "next", kind=kind, action=action)])
    assert found == [*["SEV3"] * who, expected]


def test_who_sets_up_and_clears_away_many_things_is_told_of_keys_alone() -> None:
    nouns = ("Bucket", "Table", "Volume", "Vpc", "Cluster", "Stack")
    week = [act(DAY * day + i, action=f"x:Delete{noun}") for i, noun in enumerate(nouns) for day in (0, 10)]
    week.sort(key=lambda event: event.time)
    late = [act(DAY * 11, action="x:DeleteDomain"), act(DAY * 11, action="kms:ScheduleKeyDeletion")]
    assert told([*week, *late])[-2:] == ["SEV4", "SEV3"]
    early = [act(float(i), action=f"x:Delete{noun}") for i, noun in enumerate(nouns)]
    assert told([*early, act(60, action="x:DeleteDomain")])[-1] == "SEV3"
