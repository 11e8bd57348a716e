"""The event store of a service may be away when it starts, or hang: it is waited for, unless waiting would not help."""

import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any, cast

import pytest
from clickhouse_connect.driver.exceptions import DatabaseError, Error, OperationalError

from detector.config_base import ConfigError
from detector.event_store import EventStore, EventStoreSink
from detector.sinks.base import Batch, SinkUnavailable
from detector.store.client import Store
from detector.store.errors import StoreError, StoreUnavailable, failure
from tests.support.nouns import a_finding
from tests.support.sinks import ScriptedSink

PATIENCE = 20.0
BATCH = Batch(findings=[a_finding()])


class Far:
    """A store that is far away: it raises what it is told to, in order, and then can be opened."""

    url = "http://far:8123/detector"
    database = "detector"
    client = None

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.closed = threading.Event()
        self.gate = threading.Event()
        self.gate.set()

    def open(self) -> Store:
        assert self.gate.wait(PATIENCE)
        if self.errors:
            raise self.errors.pop(0)
        return cast("Store", self)

    def close(self) -> None:
        self.closed.set()


def store_of(far: Far) -> EventStore:
    return EventStore(far.open, soon=0.01, late=0.02)


def wait_until(is_so: Callable[[], bool]) -> None:
    for _ in range(int(PATIENCE / 0.01)):
        if is_so():
            return
        threading.Event().wait(0.01)
    raise AssertionError("waited in vain")


@pytest.fixture
def sink() -> ScriptedSink:
    return ScriptedSink()


def test_a_store_that_is_there_is_opened_at_once() -> None:
    far = Far()
    with closing(store_of(far)) as store:
        store.open(PATIENCE)
        assert store.opened is cast("Any", far)
        assert store.trouble is None
    assert far.closed.is_set()


def test_one_that_is_away_is_opened_when_it_comes(sink: ScriptedSink) -> None:
    far = Far(StoreUnavailable("nobody listens"))
    far.errors *= 3
    with closing(store_of(far)) as store:
        to = EventStoreSink(store, lambda _: sink)
        store.open(PATIENCE)
        wait_until(lambda: store.trouble is None)
        assert not far.errors
        assert to.write(BATCH) == []
    assert sink.written == BATCH.findings


def test_until_then_it_takes_nothing_and_says_why(sink: ScriptedSink) -> None:
    far = Far()
    far.gate.clear()
    with closing(store_of(far)) as store:
        store.open(0.01)
        assert store.trouble == "the store has not answered in 0.01 s"
        to = EventStoreSink(store, lambda _: sink)
        with pytest.raises(SinkUnavailable, match="can't take it now: the store has not answered in"):
            to.write(BATCH)
        far.gate.set()
        wait_until(lambda: store.trouble is None)
        assert to.write(BATCH) == []


@pytest.mark.parametrize(
    "refused", [StoreError("refused the user"), ConfigError("the secret is missing"), ZeroDivisionError()]
)
def test_what_waiting_would_not_help_is_raised_at_the_start(refused: Exception) -> None:
    far = Far(refused)
    store = store_of(far)
    with pytest.raises(type(refused)):
        store.open(PATIENCE)
    assert store.opened is None


def test_it_is_opened_again_from_time_to_time_for_what_is_held_and_what_expires() -> None:
    """On the side, whatever comes of it: the store that is written to stays open."""
    far = Far()
    opened: list[int] = []

    def open_one() -> Store:
        opened.append(len(opened))
        if len(opened) == 3:
            raise StoreUnavailable("not now")
        return Far().open() if len(opened) > 1 else far.open()

    with closing(EventStore(open_one, upkeep=0.01)) as store:
        store.open(PATIENCE)
        wait_until(lambda: len(opened) > 4)
        assert store.opened is cast("Any", far)
        assert store.trouble is None
        assert not far.closed.is_set()


def test_what_is_refused_only_later_may_be_mended_while_it_runs() -> None:
    """A store that comes back with another password, or newer than this program: said, and tried again."""
    far = Far(StoreUnavailable("away"), StoreError("upgrade the program"))
    with closing(store_of(far)) as store:
        store.open(PATIENCE)
        wait_until(lambda: store.trouble is None)


def test_one_that_opens_after_it_was_closed_is_closed() -> None:
    far = Far()
    far.gate.clear()
    store = store_of(far)
    store.open(0.01)
    store.close()
    far.gate.set()
    assert far.closed.wait(PATIENCE)


def test_a_closed_sink_writes_nothing_more(sink: ScriptedSink) -> None:
    store = store_of(Far())
    store.open(PATIENCE)
    to = EventStoreSink(store, lambda _: sink)
    assert to.write(Batch()) == []
    to.write(BATCH)
    for _ in range(2):
        to.close()
    with pytest.raises(ValueError, match="closed"):
        to.write(BATCH)
    assert sink.closed.is_set()


def _with_code(code: int) -> Error:
    return DatabaseError("Received ClickHouse exception", code=code)


@pytest.mark.parametrize(
    ("cause", "passes"),
    [
        (OperationalError("connection refused"), True),
        (OperationalError("HTTP driver received HTTP status 503"), True),
        (_with_code(241), True),
        (_with_code(516), False),
        (_with_code(497), False),
        (OSError("no route"), True),
    ],
    ids=["away", "busy", "no memory", "wrong password", "no grant", "no route"],
)
def test_what_may_pass_by_itself_is_told_from_what_will_not(cause: Exception, passes: bool) -> None:
    assert isinstance(failure("why", cause), StoreUnavailable) is passes
