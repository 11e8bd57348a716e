"""What lives long is looked through once, and is freed as ever; what was set is put back."""

import gc
import weakref
from collections.abc import Iterator

import msgspec
import pytest

from detector import garbage
from detector.detectors.base import sample
from detector.events import Approval, Content, Destination, Envelope, Event, Named, Permission, Target


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


def test_events_are_nothing_to_look_through() -> None:
    event = sample(0, target=Target("t"), destination=Destination("h"), permission=Permission("grant"),
                   approval=Approval(), content=Content(result=(Named("host", "h"),)))  # fmt: skip
    decoded = msgspec.json.decode(msgspec.json.encode(event), type=Event)
    envelope = Envelope(decoded, "events", 0, 0, 0.0, b"")

    parts = [envelope, *(getattr(decoded, name) for name in (
        "actor", "target", "destination", "permission", "approval", "content"))]  # fmt: skip
    assert not any(map(gc.is_tracked, [*parts, decoded, *decoded.content.result]))  # type: ignore[union-attr]
