"""Where the history comes from: files, read as replay reads them, or the event store, a window at a time."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import pandas as pd
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from detector.activity import HOUR, destination_name, name_sum
from detector.audit.answer import EVER, Span
from detector.decoding import Decoder
from detector.events import OUTSIDE, SENSITIVE, Event, Rejected
from detector.sources.base import Record
from detector.store.errors import StoreError
from detector.train.features import EVENT_COLUMNS

ROWS: Final = 250_000
"""Acts in one frame, about: what is held in memory of the events at any time."""

_EARLIEST: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(2299, 1, 1, tzinfo=UTC)

# Counted without FINAL: a few repeated rows only make a window smaller than it could be.
_HOURS: Final = """
SELECT intDiv(toUnixTimestamp64Micro(time), 3600000000) AS hour, count()
FROM events_data
WHERE verdict = 'scored' AND kind != 'control' AND (empty({topics:Array(String)}) OR topic IN {topics:Array(String)})
  AND time >= {since:DateTime64(6)} AND time < {until:DateTime64(6)}
GROUP BY hour
ORDER BY hour
"""
# An alias that is a column's name would stand for it in the conditions too: hence `time_` and `action_`.
_EVENTS: Final = """
SELECT
    principal,
    actor_role AS role,
    toUnixTimestamp64Micro(time) / 1e6 AS time_,
    toString(kind) AS kind,
    toString(outcome) AS outcome,
    bytes_out,
    bytes_in,
    records,
    CRC32(action) AS action_,
    CRC32(target_uri) AS target,
    multiIf(destination_host != '', destination_host, destination_account != '', destination_account,
            destination_recipient) AS name,
    CRC32(name) AS destination,
    name != '' AND destination_zone IN ({outside:Array(String)}) AS outside,
    target_uri != '' AND target_sensitivity IN ({sensitive:Array(String)}) AS sensitive
FROM events
WHERE verdict = 'scored' AND kind != 'control' AND (empty({topics:Array(String)}) OR topic IN {topics:Array(String)})
  AND time >= {since:DateTime64(6)} AND time < {until:DateTime64(6)}
  AND CRC32(principal) % {shards:UInt32} = {shard:UInt32}
ORDER BY time, topic, partition, offset, index
"""


class Window(msgspec.Struct, frozen=True):
    """Whole hours [first, last) counted from the epoch; of their principals, one part in `shards`."""

    first: int
    last: int
    shards: int = 1
    shard: int = 0


def from_records(
    records: Iterable[Record],
    decoder: Decoder,
    progress: Callable[[], None] = lambda: None,
    span: Span = EVER,
) -> Iterator[pd.DataFrame]:
    """Frames of the acts in one file (or any other partition), whole hours in each as far as they fit.

    Repeated events, what can't be decoded and what is outside of the span are left out. `progress` is called about
    every 100 records.

    Raises:
        SourceError: The file can't be read.
    """
    rows: list[tuple[Any, ...]] = []
    ids: set[str] = set()
    for count, record in enumerate(records):
        for decoded in decoder.decode(record):
            if isinstance(decoded, Rejected):
                continue
            event = decoded.event
            if event.kind != "control" and event.id not in ids and span.since <= event.time < span.until:
                ids.add(event.id)
                rows.append(_row(event))
        if count % 100 == 0:
            progress()
        if len(rows) >= ROWS:
            # The last hours may go on; where one alone fills the frame, it is cut in two.
            whole = rows[-1][2] // HOUR * HOUR - HOUR
            done = [row for row in rows if row[2] < whole]
            yield _frame(done or rows)
            rows = [row for row in rows if row[2] >= whole] if done else []
            ids.clear()
    progress()
    if rows:
        yield _frame(rows)


def _row(event: Event) -> tuple[Any, ...]:
    target, to, name = event.target, event.destination, destination_name(event)
    return (
        event.principal,
        event.actor.role,
        event.time.timestamp(),
        event.kind,
        event.outcome,
        event.bytes_out,
        event.bytes_in,
        event.records,
        name_sum(event.action),
        name_sum(target.uri) if target is not None else 0,
        name_sum(name),
        to is not None and name != "" and to.zone in OUTSIDE,
        target is not None and target.sensitivity in SENSITIVE,
    )


def _frame(rows: list[tuple[Any, ...]]) -> pd.DataFrame:
    return pd.DataFrame.from_records(rows, columns=list(EVENT_COLUMNS))


def windows(client: Client, span: Span = EVER, topics: Sequence[str] = ()) -> list[Window]:
    """The windows in which the stored acts of some topics (or all) can be read, each of about `ROWS` acts at most.

    An hour that the span cuts is read whole.

    Raises:
        StoreError: The store can't answer.
    """
    try:
        found = client.query(_HOURS, parameters={**_bound(span.since, span.until), "topics": list(topics)}).result_rows
    except ClickHouseError as error:
        raise StoreError(f"can't read the history: {error}") from error
    planned: list[Window] = []
    size = 0
    for hour, count in ((int(hour), int(count)) for hour, count in found):
        if planned and size + count <= ROWS and planned[-1].shards == 1:
            planned[-1] = Window(planned[-1].first, hour + 1)
            size += count
        else:
            shards = -(-count // ROWS)
            planned += [Window(hour, hour + 1, shards, shard) for shard in range(shards)]
            size = count
    return planned


def from_store(
    client: Client,
    planned: Iterable[Window],
    progress: Callable[[], None] = lambda: None,
    topics: Sequence[str] = (),
) -> Iterator[pd.DataFrame]:
    """Frames of the stored acts of some topics (or all), one a window. `progress` is called after each.

    The acts of an hour come in order of their time: that of their arrival is not looked at.

    Raises:
        StoreError: The store can't answer.
    """
    for window in planned:
        span = _bound(*(datetime.fromtimestamp(hour * HOUR, UTC) for hour in (window.first, window.last)))
        part = {"shards": window.shards, "shard": window.shard}
        zones = {"outside": sorted(OUTSIDE), "sensitive": sorted(SENSITIVE)}
        try:
            frame = client.query_df(_EVENTS, parameters={**span, **part, **zones, "topics": list(topics)})
        except ClickHouseError as error:
            raise StoreError(f"can't read the history: {error}") from error
        if len(frame):
            yield frame.rename(columns={"time_": "time", "action_": "action"})[list(EVENT_COLUMNS)]
        progress()


def _bound(since: datetime, until: datetime) -> dict[str, datetime]:
    """As parameters; hours are counted from the epoch, and up to where ClickHouse can count them."""
    return {"since": max(since, _EARLIEST), "until": min(until, _LATEST)}
