"""Few principals are held ready and the others wait packed: it shows in the memory, and in nothing that is said."""

from collections.abc import Sequence
from datetime import timedelta
from functools import cache
from typing import Any

import msgspec
import pytest

from detector import assembly
from detector.config import Config
from detector.detectors import REGISTRY
from detector.detectors.permission_change import PermissionChange
from detector.events import Actor, Envelope, Event, Permission, Target
from detector.principals import UNTOUCHED, Packed, PrincipalState
from detector.ready import Ready
from detector.scoring import Scoring
from tests.support.alike import differences
from tests.support.checks import must_fail
from tests.support.events import START, envelope, event
from tests.support.simulator.background import background
from tests.support.simulator.rhythm import Period
from tests.support.simulator.trail import utc
from tests.support.simulator.world import SMALL, build_world

PARTITIONS = [("events", 0), ("events", 1)]


@cache
def log() -> Sequence[Envelope]:
    """The first hours of a small company's day, in two partitions."""
    found = []
    for offset, item in enumerate(background(build_world(3, SMALL), Period(utc(2026, 3, 4), utc(2026, 3, 5)))[:1500]):
        partition = sum(item.principal.encode()) % len(PARTITIONS)
        found.append(Envelope(item, *PARTITIONS[partition], offset, item.time.timestamp(), b""))
    return found


def scoring(most: int, **settings: Any) -> Scoring:
    made = assembly.scoring(Config.model_validate({"scoring": {"max_ready": most, **settings}}))
    for partition in PARTITIONS:
        made.open(partition)
    return made


def known(stage: Scoring) -> list[PrincipalState | Packed]:
    return [one for state in stage._partitions.values() for one in state.principals]


def without_config(found: Any) -> bytes:
    """What was said, but for the configuration, which has another bound."""
    return msgspec.json.encode([msgspec.structs.replace(one, config="") for one in found])


@pytest.mark.parametrize("bounds", [{}, {"max_principals": 12, "idle_days": 0.1}], ids=["roomy", "tight"])
def test_it_shows_in_nothing_that_is_said_or_saved(bounds: dict[str, Any]) -> None:
    few, many = scoring(2, **bounds), scoring(10_000, **bounds)
    for number, item in enumerate(log()):
        one, other = few.step(item), many.step(item)
        assert (one.verdict, one.error, one.forgot) == (other.verdict, other.error, other.forgot)
        assert without_config(one.findings) == without_config(other.findings)
        assert sum(isinstance(each, PrincipalState) for each in known(few)) == len(few._ready) <= 2
        if number % 250 == 0:
            for partition in PARTITIONS:
                saved = [stage.capture(partition, whole=number % 500 == 0)[1] for stage in (few, many)]
                assert saved[0].take(10**6) == saved[1].take(10**6)
                assert saved[0].gone == saved[1].gone
    for partition in PARTITIONS:
        assert few.snapshot(partition) == many.snapshot(partition)
    assert not any(isinstance(each, Packed) for each in known(many))


def test_a_capture_holds_who_was_packed_meanwhile() -> None:
    few, many = scoring(1), scoring(10_000)
    taken = []
    for stage in (few, many):
        for item in log()[:300]:
            stage.step(item)
        captures = [stage.capture(partition, whole=True)[1] for partition in PARTITIONS]
        rows = [row for capture in captures for row in capture.take(3)]
        for item in log()[300:600]:
            stage.step(item)
        taken.append([*rows, *(row for capture in captures for row in capture.take(10**6))])
    assert taken[0] == taken[1]


def act(minute: float, who: str = "agent-1", **fields: Any) -> Envelope:
    return envelope(event(minute, id=f"{who} {minute}", actor=Actor(id=who, role="assistant"), **fields))


def grant(minute: float, who: str = "agent-1") -> Envelope:
    ends = START + timedelta(days=9)
    change = Permission(change="grant", grantee="bob", privilege="read", expires_at=ends)
    return act(minute, who, kind="permission", permission=change, target=Target(uri="s3://a", type="bucket"))


def states(stage: Scoring, who: str) -> dict[str, Any]:
    one = stage._partitions[PARTITIONS[0]].principals._principals[who]
    assert isinstance(one, PrincipalState)
    return one.states


def test_only_what_an_event_concerns_is_read_out() -> None:
    stage = scoring(1)
    for item in (act(0), grant(1), act(2, "agent-2"), act(3)):
        assert stage.step(item).verdict == "scored"
    assert isinstance(states(stage, "agent-1")[PermissionChange.name], msgspec.Raw)
    assert states(stage, "agent-1")["goal_hijack"] is UNTOUCHED
    before = stage.snapshot(PARTITIONS[0])
    stage.step(act(4, "agent-2"))
    stage.step(grant(5))
    assert not isinstance(states(stage, "agent-1")[PermissionChange.name], msgspec.Raw)
    rows = {row[0]: row[10] for row in before["principals"]}
    assert rows["agent-1"][PermissionChange.name] != rows["agent-2"].get(PermissionChange.name)


def test_a_state_that_can_not_be_read_later_is_told_then() -> None:
    stage = scoring(1)
    for item in (act(0), grant(1), act(2, "agent-2"), act(3)):
        stage.step(item)
    states(stage, "agent-1")[PermissionChange.name] = msgspec.Raw(b"\xc0")
    assert stage.step(act(4)).forgot == ""
    told = stage.step(grant(5))
    assert told.verdict == "scored"
    assert told.forgot.startswith("what was saved of agent-1 can't be read: ValidationError: ")
    assert len(stage._ready) == 1
    assert stage.step(grant(6)).forgot == ""


def test_who_is_looked_at_is_a_copy_and_whole() -> None:
    stage = scoring(1)
    for item in (act(0), grant(1), act(2, "agent-2"), act(3)):
        stage.step(item)
    for who in ("agent-1", "agent-2"):
        seen = stage.remembered(who)
        assert seen is not None
        assert not any(state is UNTOUCHED or isinstance(state, msgspec.Raw) for state in seen.states.values())
        seen.events = 99
    assert {row[5] for row in stage.snapshot(PARTITIONS[0])["principals"]} == {3, 1}


def test_a_closed_partition_leaves_room() -> None:
    stage = scoring(10)
    for item in log()[:50]:
        stage.step(item)
    held = len(stage._ready)
    stage.close(PARTITIONS[0])
    assert len(stage._ready) < held
    stage.open(PARTITIONS[1])
    assert len(stage._ready) == 0


class _Home:
    def __init__(self) -> None:
        self.packed: list[str] = []

    def put_back(self, principal: PrincipalState) -> None:
        self.packed.append(principal.id)


def test_the_one_unused_for_longest_is_packed() -> None:
    home, ready = _Home(), Ready(2)
    first, second, third = (PrincipalState(name, "agent", "", 0.0) for name in ("a", "b", "c"))
    for one in (first, second, first, third, third):
        ready.use(one, home)
    assert home.packed == ["b"]
    ready.forget(first)
    ready.use(second, home)
    assert (home.packed, len(ready)) == (["b"], 2)
    ready.close(home)
    assert len(ready) == 0


def check_saved(name: str, events: Sequence[Event]) -> None:
    """A detector's quick way to and from msgpack leads where its plain data does."""
    stage = Scoring([REGISTRY[name].for_examples()])
    stage.open(PARTITIONS[0])
    for item in events:
        stage.step(envelope(item))
    detector = stage._rows._detectors[name]
    for one in known(stage):
        assert isinstance(one, PrincipalState)
        state = one.states.get(name, UNTOUCHED)
        if state is UNTOUCHED:
            continue
        packed = msgspec.msgpack.encode(detector.dump(state))
        assert msgspec.msgpack.encode(detector.saved(state)) == packed
        read = detector.read(msgspec.Raw(packed))
        assert msgspec.msgpack.encode(detector.saved(read)) == packed, "as it was saved"
        assert not differences(read, detector.load(msgspec.msgpack.decode(packed)))
        assert not differences(read, state)


@pytest.mark.parametrize("name", REGISTRY)
def test_both_ways_of_saving_are_one(name: str) -> None:
    for example in REGISTRY[name].examples():
        check_saved(name, example.events)


def test_another_way_of_saving_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PermissionChange, "saved", lambda *_: [1])
    must_fail(lambda: check_saved(PermissionChange.name, [grant(0).event]))
