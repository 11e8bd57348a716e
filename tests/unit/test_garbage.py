"""What lives long is looked through once, and is freed as ever; what was set is put back."""

import gc
import weakref
from collections.abc import Iterator

import msgspec
import pytest

from detector import garbage
from detector.detectors.base import sample
from detector.events import Approval, Content, Destination, Envelope, Event, Named, Permission, Target
from detector.principals import PrincipalState
from detector.ready import Ready


class Thing:
    """Anything that can be in a cycle."""


@pytest.fixture(autouse=True)
def untouched() -> Iterator[None]:
    before = gc.get_threshold(), list(gc.callbacks), gc.get_freeze_count()
    yield
    assert (gc.get_threshold(), list(gc.callbacks), gc.get_freeze_count()) == before


def test_what_was_there_before_is_not_looked_through() -> None:
    with garbage.spared():
        assert gc.get_freeze_count() > 10_000
        assert len(gc.get_objects()) < 10_000
        assert gc.get_threshold() == garbage.THRESHOLDS


def test_many_that_outlive_a_full_collection_are_looked_through_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(garbage, "MUCH", 500)
    with garbage.spared():
        before = gc.get_freeze_count()
        few = [Thing() for _ in range(100)]
        gc.collect()
        assert gc.get_freeze_count() == before
        many = [Thing() for _ in range(1_000)]
        gc.collect(1)
        assert gc.get_freeze_count() == before
        gc.collect()
        assert gc.get_freeze_count() > before + len(few) + len(many)


def test_what_is_frozen_is_freed_when_nobody_refers_to_it() -> None:
    thing = Thing()
    with garbage.spared():
        gone = weakref.ref(thing)
        del thing
        assert gone() is None


def test_cycles_made_since_are_still_found() -> None:
    with garbage.spared():
        thing = Thing()
        thing.itself = thing  # type: ignore[attr-defined]
        gone = weakref.ref(thing)
        del thing
        gc.collect()
        assert gone() is None


class Shelf:
    """Keeps nothing of what is put back."""

    def put_back(self, principal: object) -> None:
        """Let it go."""


def test_what_replaces_others_is_looked_through_before_it_is_much(monkeypatch: pytest.MonkeyPatch) -> None:
    """Python's own count of what is new stays where it is when as much is freed as made."""
    monkeypatch.setattr("detector.ready.LOOK_EVERY", 50)
    ready, shelf = Ready(10), Shelf()
    with garbage.spared():
        gc.set_threshold(10**9, 10, 1)  # so that nothing else does
        young = []
        for number in range(200):
            ready.use(PrincipalState(f"p-{number}", "agent", "", 0.0), shelf)
            young.append(len(gc.get_objects(generation=0)))
    assert max(young) < 1_000
    assert [young[n] < young[n - 1] for n in (59, 109, 159)] == [True] * 3


def test_events_are_nothing_to_look_through() -> None:
    event = sample(0, target=Target("t"), destination=Destination("h"), permission=Permission("grant"),
                   approval=Approval(), content=Content(result=(Named("host", "h"),)))  # fmt: skip
    decoded = msgspec.json.decode(msgspec.json.encode(event), type=Event)
    envelope = Envelope(decoded, "events", 0, 0, 0.0, b"")

    parts = [envelope, *(getattr(decoded, name) for name in (
        "actor", "target", "destination", "permission", "approval", "content"))]  # fmt: skip
    assert not any(map(gc.is_tracked, [*parts, decoded, *decoded.content.result]))  # type: ignore[union-attr]
