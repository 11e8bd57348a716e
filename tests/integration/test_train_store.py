"""Training from the event store: the same vectors as from a file, a window at a time."""

from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec
import numpy as np
import pandas as pd
import pytest

from detector.activity import NAMES
from detector.audit.answer import EARLIEST, LATEST, Span
from detector.backtest.workers import play
from detector.config import Config
from detector.decoding import Decoder
from detector.events import Destination, Event, Target
from detector.history.rows import Row
from detector.history.stored import StoredHistory
from detector.sinks.clickhouse import ClickHouseSink
from detector.sources.base import Record
from detector.store.client import Store, connect
from detector.store.errors import StoreError
from detector.train import history
from detector.train.card import Comparison
from detector.train.compare import Beside
from detector.train.features import KEYS, snapshots
from detector.train.history import from_records, from_store, windows
from detector.train.training import train
from models.forest import ForestParams
from tests.support.events import START, envelope, event
from tests.support.simulator.background import background
from tests.support.simulator.rhythm import Period
from tests.support.simulator.trail import utc
from tests.support.simulator.world import Population, build_world

pytestmark = pytest.mark.chdb


def fill(store: Store, events: list[Event], verdict: str = "scored") -> None:
    rows = [(envelope(item, offset), verdict) for offset, item in enumerate(events)]
    assert ClickHouseSink(store.client, database=store.database).write_events(rows) == []


def stored(store: Store, since: datetime | None = None, until: datetime | None = None) -> list[pd.DataFrame]:
    span = Span(since or EARLIEST, until or LATEST)
    return list(from_store(store.client, windows(store.client, span)))


def read(events: list[Event]) -> list[pd.DataFrame]:
    records = (
        Record("events", 0, offset, None, msgspec.json.encode(item), item.time.timestamp())
        for offset, item in enumerate(events)
    )
    return list(from_records(records, Decoder("native")))


def vectors(parts: list[pd.DataFrame]) -> pd.DataFrame:
    rows = pd.concat(map(snapshots, parts))
    return rows.sort_values(["hour", "principal", "acts"], ignore_index=True)


def same(some: pd.DataFrame, others: pd.DataFrame) -> None:
    assert some[list(KEYS)].to_dict("list") == others[list(KEYS)].to_dict("list")
    assert some[list(NAMES)].to_numpy() == pytest.approx(others[list(NAMES)].to_numpy(), abs=1e-12)


@pytest.fixture(scope="module")
def days() -> list[Event]:
    """Three days of twenty principals; among them what the store writes in ways of its own."""
    quiet = background(build_world(4, Population.of(20)), Period(utc(2026, 3, 2), utc(2026, 3, 5)))
    odd = [
        event(10, id="no-name", destination=Destination(zone="unknown")),
        event(11, id="bucket", target=Target(uri="s3://büro/δ", sensitivity="restricted")),
        event(12, id="mail", destination=Destination(recipient="bob@partner.example", zone="external")),
        event(13, id="account", destination=Destination(account="4711", recipient="x", zone="public")),
        event(14, id="huge", bytes_out=2**63 - 1, outcome="denied"),
    ]
    return sorted([*quiet, *odd], key=lambda item: item.time)


def test_the_store_gives_the_vectors_that_the_file_gives(embedded_store: Store, days: list[Event]) -> None:
    fill(embedded_store, days)
    found = vectors(stored(embedded_store))
    assert len(found) > 500
    same(found, vectors(read(days)))


def test_the_same_model_comes_of_it(embedded_store: Store, days: list[Event]) -> None:
    fill(embedded_store, days)
    params = ForestParams(trees=10)
    trained = [train(parts, ["x"], params).card.sha256 for parts in (stored(embedded_store), read(days))]
    assert trained[0] == trained[1]


def test_the_same_comparison_comes_of_it(embedded_store: Store, days: list[Event]) -> None:
    rows = [Row("events", 0, n, item.time.timestamp(), msgspec.json.encode(item)) for n, item in enumerate(days)]
    written = [(msgspec.structs.replace(envelope(days[row.offset], row.offset), raw=row.raw), "scored") for row in rows]
    assert ClickHouseSink(embedded_store.client, database=embedded_store.database).write_events(written) == []
    trained = train(read(days), ["x"], ForestParams(trees=10))
    config = Config.model_validate({"detectors": {"forest_challenger": {"p": 0.05}}})

    def compared(history: Iterable[Row]) -> Comparison:
        player = Beside(config, trained.forest, trained.card.held_out_from)
        (found,) = play(history, [lambda: player])
        assert isinstance(found, Comparison)
        return found

    found = compared(StoredHistory(embedded_store, ["events"], rows=500))
    assert found == compared(rows)
    assert found.notes > 0


def test_topics_that_are_not_asked_for_are_left_out(embedded_store: Store) -> None:
    fill(embedded_store, [event(60.0 * minute, id=f"e{minute}") for minute in range(100)])
    client = embedded_store.client
    for topics, acts in ((["events"], 100), (["others", "events"], 100), (["others"], 0), ([], 100)):
        planned = windows(client, topics=topics)
        assert len(planned) == (acts > 0)
        assert sum(map(len, from_store(client, planned, topics=topics))) == acts
        assert sum(map(len, from_store(client, windows(client), topics=topics))) == acts


def test_windows_hold_whole_hours_and_busy_hours_are_shared_out(
    embedded_store: Store, days: list[Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(embedded_store, days)
    expected = vectors(read(days))
    (whole,) = windows(embedded_store.client)
    monkeypatch.setattr(history, "ROWS", 60)
    planned = windows(embedded_store.client)
    assert len(planned) > 10
    assert any(window.shards > 1 for window in planned)
    assert (planned[0].first, planned[-1].last) == (whole.first, whole.last)
    told: list[int] = []
    parts = list(from_store(embedded_store.client, planned, lambda: told.append(1)))
    assert len(told) == len(planned)
    assert np.median([len(part) for part in parts]) <= 60
    same(vectors(parts), expected)


def test_what_was_not_scored_or_is_outside_the_span_is_left_out(embedded_store: Store) -> None:
    acts = [event(60.0 * minute, id=f"e{minute}") for minute in range(300)]
    fill(embedded_store, acts)
    fill(embedded_store, [event(5, id="late"), event(6, id="early")], "late")
    fill(embedded_store, [event(7, kind="control", action="stop", target=Target(uri="agent-1"))])
    assert sum(map(len, stored(embedded_store))) == 300
    since, until = START + timedelta(hours=1), START + timedelta(hours=3)
    assert sum(map(len, stored(embedded_store, since))) == 240
    assert sum(map(len, stored(embedded_store, since, until))) == 120


def test_a_repeated_write_counts_once(embedded_store: Store, days: list[Event]) -> None:
    fill(embedded_store, days)
    fill(embedded_store, days[: len(days) // 2])
    same(vectors(stored(embedded_store)), vectors(read(days)))


def test_a_store_without_tables_is_told_of(embedded_url: str) -> None:
    with connect(embedded_url) as store, pytest.raises(StoreError, match="can't read the history"):
        windows(store.client)


def test_it_works_behind_a_server_too(server_store: Store, days: list[Event]) -> None:
    fill(server_store, days)
    same(vectors(stored(server_store)), vectors(read(days)))
