"""The event store as a sink: every event, finding, alert and reject, written once in effect.

Two things make a repeated write harmless. The tables keep one row for a key, and the views show no other; and
an insert carries a token made of its rows, by which the engine drops the whole insert when it comes again,
whether from a retry of ours or from the client's own after a lost connection.
"""

import hashlib
import struct
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Generic, Protocol, TypeVar

import msgspec
from clickhouse_connect.datatypes.base import ClickHouseType
from clickhouse_connect.driver.exceptions import ClickHouseError, DataError, Error

from detector.alerts import Alert
from detector.events import Envelope, Rejected
from detector.findings import Finding
from detector.sinks.base import Batch, Item, Noun, Refused, Sink, SinkRefused, SinkUnavailable
from detector.sinks.clickhouse_columns import (
    EARLIEST,
    LATEST,
    Columns,
    alert_columns,
    arrivals,
    event_columns,
    finding_columns,
    reject_columns,
)

# The engine's codes for values that it will never take. Anything else (no such table, no memory, too many
# parts, not allowed …) can be mended on its side, and the rows must not be given up for it.
_BAD_DATA: Final = frozenset(
    {
        6,  # CANNOT_PARSE_TEXT
        27,  # CANNOT_PARSE_INPUT_ASSERTION_FAILED
        33,  # CANNOT_READ_ALL_DATA
        53,  # TYPE_MISMATCH
        69,  # ARGUMENT_OUT_OF_BOUND
        70,  # CANNOT_CONVERT_TYPE
        72,  # CANNOT_PARSE_NUMBER
        117,  # INCORRECT_DATA
        131,  # TOO_LARGE_STRING_SIZE
        349,  # CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN
        469,  # VIOLATED_CONSTRAINT
    }
)
# What Python raises for a value that its column can't take, while columns are built or serialised.
_BAD_VALUE: Final = (DataError, TypeError, ValueError, OverflowError, AttributeError, struct.error)

# No such table, database or column.
_NOT_MIGRATED: Final = frozenset({16, 60, 81})

# Our batches are ready-made, and the engine honours tokens for inserts that are not asynchronous. Its default
# for async_insert is not the same in every version.
_SETTINGS: Final = {"async_insert": "0"}

ItemT = TypeVar("ItemT", bound=Item)


class InsertContext(Protocol):
    """What the sink reads of the client's insert context."""

    column_types: Sequence[ClickHouseType]


class Client(Protocol):
    """What the sink uses of a clickhouse-connect client."""

    def create_insert_context(self, table: str, column_names: Sequence[str], database: str) -> InsertContext:
        """Look up the types of a table's columns."""

    def insert(
        self,
        table: str,
        data: Sequence[Sequence[Any]],
        column_names: Sequence[str],
        database: str,
        column_types: Sequence[ClickHouseType],
        *,
        column_oriented: bool,
        settings: dict[str, Any],
    ) -> object:
        """Insert rows, given as columns, in one statement."""


@dataclass(frozen=True)
class _Table(Generic[ItemT]):
    """A table: how items become its columns, what its months go by, and what tells one write from another."""

    name: str
    columns: Callable[[Sequence[ItemT]], Columns]
    time: Callable[[ItemT], datetime]
    identity: tuple[str, ...] = ()
    """The columns that the token is made of; all of them when empty. Few and short for events: they are many."""

    def token(self, columns: Columns) -> str:
        """The same for the same rows in the same order, whenever and wherever they are written."""
        told = [columns[name] for name in self.identity or columns]
        return hashlib.blake2b(msgspec.msgpack.encode([self.name, told]), digest_size=16).hexdigest()


_EVENTS: Final = _Table[tuple[Envelope, str]](
    "events_data",
    event_columns,
    lambda row: row[0].event.time,
    identity=("topic", "partition", "offset", "index", "id", "verdict"),
)
_FINDINGS: Final = _Table[Finding]("findings_data", finding_columns, lambda finding: finding.time)
_ALERTS: Final = _Table[Alert]("alerts_data", alert_columns, lambda alert: alert.opened_at)
_REJECTS: Final = _Table[Rejected](
    "rejects_data",
    reject_columns,
    lambda rejected: datetime.fromtimestamp(arrivals([rejected.received_at])[0] / 1e6, UTC),
)


class ClickHouseSink(Sink):
    """Writes to the event store, one insert for each table and month, so that an insert is all or nothing.

    The engine cuts an insert at 256 MiB or a million rows: larger ones may be stored in part when it fails
    in between, and the next try completes them.

    Args:
        client: a clickhouse-connect client; it stays the caller's to close, after this sink.
        database: where `detector store migrate` made the tables.
        name: the sink's name, to tell several stores apart.
    """

    accepts: frozenset[Noun] = frozenset({"events", "findings", "alerts", "rejects"})

    def __init__(self, client: Client, *, database: str = "detector", name: str = "clickhouse") -> None:
        self.name = name
        self._client = client
        self._database = database
        self._types: dict[str, Sequence[ClickHouseType]] = {}
        self._closed = False

    def write(self, batch: Batch) -> list[Refused]:
        """Write the batch. See `Sink.write`; items that are to blame are found here, and returned."""
        return [
            *self.write_events(batch.events),
            *self.write_findings(batch.findings),
            *self.write_alerts(batch.alerts),
            *self.write_rejects(batch.rejects),
        ]

    def write_events(self, rows: Sequence[tuple[Envelope, str]]) -> list[Refused]:
        """Write envelopes with their verdicts; returns and raises as `write`."""
        return self._write(_EVENTS, rows)

    def write_findings(self, findings: Sequence[Finding]) -> list[Refused]:
        """Write findings; returns and raises as `write`."""
        return self._write(_FINDINGS, findings)

    def write_alerts(self, alerts: Sequence[Alert]) -> list[Refused]:
        """Write versions of alerts; returns and raises as `write`."""
        return self._write(_ALERTS, alerts)

    def write_rejects(self, rejects: Sequence[Rejected]) -> list[Refused]:
        """Write rejects; returns and raises as `write`."""
        return self._write(_REJECTS, rejects)

    def close(self) -> None:
        """Refuse further writes. The client stays open."""
        self._closed = True

    def _write(self, table: _Table[ItemT], items: Sequence[ItemT]) -> list[Refused]:
        """Insert month by month; what is refused is halved until the rows to blame stand alone."""
        if self._closed:
            raise ValueError(f"the sink {self.name} is closed")
        refused: list[Refused] = []
        todo = [items] if items else []
        while todo:
            part = todo.pop()
            try:
                months = _by_month(part, table.time)
                if len(months) > 1:
                    todo.extend(reversed(months))
                else:
                    self._insert(table, part)
            except SinkRefused as why:
                if len(part) == 1:
                    refused.append(Refused(part[0], str(why)))
                else:
                    middle = len(part) // 2
                    todo += [part[middle:], part[:middle]]
        return refused

    def _insert(self, table: _Table[ItemT], items: Sequence[ItemT]) -> None:
        try:
            columns = table.columns(items)
            token = table.token(columns)
        except _BAD_VALUE as error:
            raise _bad_value(error) from error
        names = list(columns)
        types = self._column_types(table.name, names)
        try:
            self._client.insert(
                table.name,
                list(columns.values()),
                names,
                self._database,
                types,
                column_oriented=True,
                settings={**_SETTINGS, "insert_deduplication_token": token},
            )
        except _BAD_VALUE as error:
            raise _bad_value(error) from error
        except (ClickHouseError, OSError) as error:
            raise _verdict(error) from error

    def _column_types(self, table: str, names: Sequence[str]) -> Sequence[ClickHouseType]:
        """Asked for once: the client would ask again before every insert."""
        if table not in self._types:
            try:
                context = self._client.create_insert_context(table, names, self._database)
            except (ClickHouseError, OSError) as error:
                raise _unavailable(error) from error
            self._types[table] = context.column_types
        return self._types[table]


def _by_month(items: Sequence[ItemT], time: Callable[[ItemT], datetime]) -> list[Sequence[ItemT]]:
    """Parts that lie in one month (UTC) each; nearly always one, which costs a glance at each time."""
    try:
        times = [time(item) for item in items]
        first, last = min(times), max(times)
    except _BAD_VALUE as error:
        raise _bad_value(error) from error
    if first < EARLIEST or last > LATEST:
        raise SinkRefused(f"its time is not within what the store holds, {EARLIEST:%Y} to {LATEST:%Y}")
    if _month(first) == _month(last):
        return [items]
    months: defaultdict[tuple[int, int], list[ItemT]] = defaultdict(list)
    for item, when in zip(items, times, strict=True):
        months[_month(when)].append(item)
    return list(months.values())


def _month(time: datetime) -> tuple[int, int]:
    utc = time.astimezone(UTC)
    return utc.year, utc.month


def _bad_value(error: Exception) -> SinkRefused:
    return SinkRefused(f"the store can't hold it: {type(error).__name__}: {error}")


def _verdict(error: Exception) -> SinkRefused | SinkUnavailable:
    if isinstance(error, Error) and error.code in _BAD_DATA:
        return SinkRefused(f"the store refused it: {error}")
    return _unavailable(error)


def _unavailable(error: Exception) -> SinkUnavailable:
    if isinstance(error, Error) and error.code in _NOT_MIGRATED:
        return SinkUnavailable(f"the store has no such table: run `detector store migrate` ({error})")
    return SinkUnavailable(f"the store can't take it now: {error}")
