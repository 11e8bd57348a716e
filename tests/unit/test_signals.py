"""The messages of agent-findings: findings as they are in the store, with a place; and what only correlation reads."""

import msgspec
import pytest

from detector import signals
from detector.findings import Finding
from detector.places import Place, Progress, by_topic, each
from detector.signals import Sent
from detector.ticks import Tick
from tests.support.nouns import a_finding

PLACE = Place(1767225600.5, "agent-events", 3)
BESIDE = {"agent-events": (0, 1)}
TICK = Tick(1767225600.0, (("agent-events", 3),))


@pytest.mark.parametrize("inner", [a_finding(1), TICK], ids=["finding", "tick"])
@pytest.mark.parametrize("beside", [{}, BESIDE], ids=["alone", "beside others"])
def test_what_was_sent_is_read_as_it_was(inner: Finding | Tick, beside: dict[str, tuple[int, ...]]) -> None:
    sent = Sent(inner, PLACE, beside)
    assert signals.decode(signals.encode(sent)) == sent
    assert signals.key_of(sent) == signals.key_of(inner)


def test_a_finding_is_one_object_with_its_place_behind_it() -> None:
    raw = signals.encode(Sent(a_finding(1), PLACE, BESIDE))
    plain = msgspec.json.decode(raw)
    place = {"time": 1767225600.5, "topic": "agent-events", "partition": 3}
    assert (plain.pop("place"), plain.pop("beside")) == (place, {"agent-events": [0, 1]})
    assert msgspec.convert(plain, Finding) == a_finding(1)
    assert msgspec.json.decode(raw, type=Finding) == a_finding(1), "who knows nothing of places reads the finding"


def test_of_a_process_that_has_all_partitions_nothing_is_said_of_others() -> None:
    plain = msgspec.json.decode(signals.encode(Sent(TICK, PLACE, {})))
    assert "beside" not in plain
    assert plain["type"] == "tick"


@pytest.mark.parametrize("inner", [a_finding(1), TICK], ids=["finding", "tick"])
def test_what_older_workers_sent_has_no_place(inner: Finding | Tick) -> None:
    assert signals.decode(signals.encode(inner)) == inner


@pytest.mark.parametrize("place", ['"somewhere"', '{"time": "noon"}', "7"])
def test_a_place_that_can_not_be_read_does_not_cost_the_finding(place: str) -> None:
    raw = signals.encode(a_finding(1))[:-1] + f',"place":{place}}}'.encode()
    assert signals.decode(raw) == a_finding(1)


@pytest.mark.parametrize("progress", [Progress(), Progress(BESIDE), Progress(BESIDE, PLACE)])
def test_progress_travels_among_the_signals(progress: Progress) -> None:
    raw = signals.encode(progress)
    assert signals.decode(raw) == progress
    assert msgspec.json.decode(raw)["type"] == "progress"
    assert signals.key_of(progress) == b"progress"


def test_partitions_are_listed_by_topic() -> None:
    partitions = [("more", 2), ("events", 1), ("events", 0)]
    assert list(each(by_topic(partitions))) == sorted(partitions)


def test_places_are_in_the_order_of_time_then_of_partitions() -> None:
    places = [Place(1.0, "a", 5), Place(1.0, "b", 0), Place(1.0, "b", 2), Place(2.0, "a", 0)]
    assert sorted([places[2], places[3], places[1], places[0]]) == places
