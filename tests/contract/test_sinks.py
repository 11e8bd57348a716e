"""What every sink keeps, and a broken sink for each point, which must not get away with it."""

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from typing import get_args

import msgspec
import pytest

import detector.sinks
from detector.sinks.anchors import AnchorSink
from detector.sinks.base import Batch, Item, Noun, Refused, Sink
from tests.support.checks import must_fail
from tests.support.sink_harness import HARNESSES, Harness, Opener, a_batch


def batch_for(sink: Sink) -> Batch:
    return a_batch().only(sink.accepts)


def says_what_it_is(harness: Harness) -> None:
    assert harness.sink.name.isidentifier()
    assert harness.sink.accepts
    assert harness.sink.accepts <= set(get_args(Noun))
    assert harness.sink.tick_seconds is None or harness.sink.tick_seconds > 0


def writes(harness: Harness) -> None:
    before = harness.effect()
    assert harness.sink.write(batch_for(harness.sink)) == []
    assert harness.effect() != before


def writes_once_what_comes_twice(harness: Harness) -> None:
    harness.sink.write(batch_for(harness.sink))
    once = harness.effect()
    harness.sink.write(batch_for(harness.sink))
    assert harness.effect() == once


def writes_once_what_comes_again_in_another_cut(harness: Harness) -> None:
    whole = batch_for(harness.sink)
    harness.sink.write(whole)
    once = harness.effect()
    parts = [whole]
    while any(len(part) > 1 for part in parts):
        parts = [half for part in parts for half in part.halves() if not half.empty]
    for part in parts:
        harness.sink.write(part)
    assert harness.effect() == once


def does_nothing_for_an_empty_batch(harness: Harness) -> None:
    before = harness.effect()
    assert harness.sink.write(Batch()) == []
    assert harness.effect() == before


def leaves_the_batch_alone(harness: Harness) -> None:
    batch = batch_for(harness.sink)
    harness.sink.write(batch)
    assert batch == batch_for(harness.sink)


def writes_nothing_after_close(harness: Harness) -> None:
    harness.sink.close()
    try:
        harness.sink.write(batch_for(harness.sink))
    except ValueError:
        return
    raise AssertionError("a closed sink took a batch")


def may_be_closed_twice(harness: Harness) -> None:
    harness.sink.close()
    try:
        harness.sink.close()
    except Exception as error:
        raise AssertionError("the second close failed") from error


Check = Callable[[Harness], None]

CHECKS: list[Check] = [
    says_what_it_is,
    writes,
    writes_once_what_comes_twice,
    writes_once_what_comes_again_in_another_cut,
    does_nothing_for_an_empty_batch,
    leaves_the_batch_alone,
    writes_nothing_after_close,
    may_be_closed_twice,
]


@pytest.fixture(params=HARNESSES.values(), ids=[sink.__name__ for sink in HARNESSES])
def harness(request: pytest.FixtureRequest) -> Iterator[Harness]:
    opener: Opener = request.param
    with opener(request) as harness:
        yield harness
        harness.sink.close()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_every_sink_keeps_the_contract(harness: Harness, check: Check) -> None:
    check(harness)


def test_every_sink_that_takes_items_has_a_harness() -> None:
    modules = [
        importlib.import_module(f"detector.sinks.{found.name}")
        for found in pkgutil.iter_modules(detector.sinks.__path__)
    ]
    sinks = {
        member
        for module in modules
        for _, member in inspect.getmembers(module, inspect.isclass)
        if issubclass(member, Sink) and member is not Sink
    }
    takes_no_items = {AnchorSink}
    assert sinks - takes_no_items == set(HARNESSES), "a sink without a harness in tests/support/sink_harness.py"


def key(item: Item) -> bytes:
    return msgspec.json.encode(item)


class _Memory(Sink):
    """A sink as it should be, whose far side is a dict."""

    name = "memory"
    accepts: frozenset[Noun] = frozenset({"findings", "alerts"})

    def __init__(self) -> None:
        self.held: list[bytes] = []
        self.closed = False

    def write(self, batch: Batch) -> list[Refused]:
        if self.closed:
            raise ValueError("write to a closed sink")
        self.held += [key(item) for item in batch.items() if key(item) not in self.held]
        return []

    def close(self) -> None:
        self.closed = True


class _Nameless(_Memory):
    name = ""


class _Silent(_Memory):
    def write(self, batch: Batch) -> list[Refused]:
        del batch
        return []


class _Doubling(_Memory):
    def write(self, batch: Batch) -> list[Refused]:
        self.held += [key(item) for item in batch.items()]
        return []


class _KnowsWholeBatchesOnly(_Memory):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[bytes] = []

    def write(self, batch: Batch) -> list[Refused]:
        if msgspec.json.encode(batch) not in self.seen:
            self.seen.append(msgspec.json.encode(batch))
            self.held += [key(item) for item in batch.items()]
        return []


class _WritesEmptyBatches(_Memory):
    def write(self, batch: Batch) -> list[Refused]:
        self.held.append(msgspec.json.encode(batch))
        return []


class _EmptiesTheBatch(_Memory):
    def write(self, batch: Batch) -> list[Refused]:
        super().write(batch)
        batch.findings.clear()
        return []


class _WritesOn(_Memory):
    def close(self) -> None:
        pass


class _ClosesOnce(_Memory):
    def close(self) -> None:
        if self.closed:
            raise RuntimeError("closed")
        self.closed = True


BROKEN: dict[Check, type[_Memory]] = {
    says_what_it_is: _Nameless,
    writes: _Silent,
    writes_once_what_comes_twice: _Doubling,
    writes_once_what_comes_again_in_another_cut: _KnowsWholeBatchesOnly,
    does_nothing_for_an_empty_batch: _WritesEmptyBatches,
    leaves_the_batch_alone: _EmptiesTheBatch,
    writes_nothing_after_close: _WritesOn,
    may_be_closed_twice: _ClosesOnce,
}


def in_memory(kind: type[_Memory]) -> Harness:
    sink = kind()
    return Harness(sink, lambda: list(sink.held))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_each_check_passes_a_good_sink_and_fails_a_broken_one(check: Check) -> None:
    check(in_memory(_Memory))
    must_fail(lambda: check(in_memory(BROKEN[check])))
