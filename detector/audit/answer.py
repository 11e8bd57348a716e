"""What comes of a question: tables of plain values, the notes that belong to them, and what to try if there is none."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from clickhouse_connect.driver.query import QueryResult

EARLIEST: Final = datetime(1900, 1, 1, tzinfo=UTC)
LATEST: Final = datetime(2299, 12, 31, tzinfo=UTC)


class Span(msgspec.Struct, frozen=True):
    """From `since`, up to but without `until`; both aware."""

    since: datetime = EARLIEST
    until: datetime = LATEST

    @property
    def bound(self) -> dict[str, datetime]:
        """As parameters of a statement: {since:DateTime64(6, 'UTC')} and {until:DateTime64(6, 'UTC')}."""
        return {"since": self.since, "until": self.until}

    @property
    def words(self) -> str:
        """The span as a person reads it; "" if it is all of time."""
        since = f" from {iso(self.since)}" if self.since > EARLIEST else ""
        until = f" before {iso(self.until)}" if self.until < LATEST else ""
        return since + until


EVER: Final = Span()


class Table(msgspec.Struct):
    """Rows under named columns. `shown` are the columns that fit a screen; all of them are written to files."""

    name: str
    title: str
    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    shown: tuple[str, ...] = ()
    note: str = ""

    def dicts(self) -> list[dict[str, Any]]:
        """The rows by column name."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


class Answer(msgspec.Struct):
    """The answer to one question. The first table is the answer proper, the others tell more of it.

    `advice` is what to try where the first table is empty; `facts` are single values, by name.
    """

    tables: list[Table]
    facts: dict[str, Any] = {}
    notes: list[str] = []
    advice: str = ""

    @property
    def empty(self) -> bool:
        """Whether there is nothing to tell."""
        return not self.facts and not any(table.rows for table in self.tables)


class AuditError(Exception):
    """The question can't be answered as it was asked; the message says why, and what to do."""


def records(result: QueryResult) -> list[dict[str, Any]]:
    """The rows of a result by column name."""
    return [dict(zip(result.column_names, row, strict=True)) for row in result.result_rows]


def table(
    name: str, title: str, found: Iterable[Mapping[str, Any]], columns: Sequence[str], shown: Sequence[str] = ()
) -> Table:
    """A table of some columns of rows that are given by name."""
    rows = [tuple(row[column] for column in columns) for row in found]
    return Table(name, title, tuple(columns), rows, tuple(shown))


def iso(time: datetime) -> str:
    """A point in time, UTC, ISO 8601: to the millisecond, or to the microsecond where there is one.

    >>> iso(datetime(2026, 4, 13, 10, 31, 21, 40000, tzinfo=UTC)), iso(datetime(2026, 1, 1, 0, 0, 0, 7, tzinfo=UTC))
    ('2026-04-13T10:31:21.040Z', '2026-01-01T00:00:00.000007Z')
    """
    utc = time.astimezone(UTC)
    exact = "milliseconds" if utc.microsecond % 1000 == 0 else "microseconds"
    return utc.replace(tzinfo=None).isoformat(timespec=exact) + "Z"


def moment(text: str) -> datetime:
    """A point in time as people write it: ISO 8601, UTC where no zone is given, a day being its first instant.

    >>> moment("2026-04-13").isoformat(), moment("2026-04-13T12:00+02:00").isoformat()
    ('2026-04-13T00:00:00+00:00', '2026-04-13T10:00:00+00:00')

    Raises:
        AuditError: It is none, or lies outside of what the store can hold.
    """
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise AuditError(f"{text!r} is no time: write 2026-04-13, or 2026-04-13T10:31:21Z") from None
    aware = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    if not EARLIEST <= aware <= LATEST:
        raise AuditError(f"{text!r} lies outside of what the store can hold, {EARLIEST:%Y} to {LATEST:%Y}")
    return aware
