"""Reading rows by the links that cover them."""

import threading
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from queue import Empty, Queue
from typing import Any, Final

import msgspec
from clickhouse_connect.driver.client import Client

from detector.integrity.digest import Digest, digest
from detector.integrity.tables import COVERED, Covered
from detector.store.verify_links import Expected, Tag

Rows = dict[str, list[Any]]
"""Columns by name; text as bytes, times as microseconds since 1970."""

# Sorting costs least in few large blocks of one thread: with two, FINAL and the merge cost three times as much. Past
# the limit the engine sorts on disk.
_SETTINGS: Final[Mapping[str, Any]] = {
    "max_threads": 1,
    "max_block_size": 131_072,
    "preferred_block_size_bytes": 0,
    "max_bytes_before_external_sort": 512 << 20,
    "max_bytes_ratio_before_external_sort": 0,
    "max_execution_time": 0,
}
_FORMATS: Final = {"String": "bytes", "DateTime64": "int"}
_TAG: Final = ("written_by", "written_in")


class Where(msgspec.Struct, frozen=True):
    """A condition, and the values that are bound to its parameters."""

    text: str
    given: dict[str, Any] = {}


class RowReader:
    """Reads covered tables as the views show them.

    Args:
        client: a clickhouse-connect client whose database is the store's.
        database: that database.

    Attributes:
        settings: under which it reads, as far as its user may set them.
    """

    def __init__(self, client: Client, database: str) -> None:
        self._client = client
        self.settings = _allowed(client)
        given = {"d": database}
        question = "SELECT table, name FROM system.columns WHERE database = {d:String}"
        self._columns: dict[str, set[str]] = {}
        for table, name in client.query(question, parameters=given).result_rows:
            self._columns.setdefault(table, set()).add(name)

    def is_there(self, table: Covered) -> bool:
        """Whether the table has rows that can be covered."""
        return set(_TAG) <= self._columns.get(table.name, set())

    def months(self, table: Covered, where: Where) -> list[Where]:
        """The rows, cut into what is sorted at once."""
        if not table.monthly:
            return [where]
        question = (
            f"SELECT DISTINCT toYYYYMM({table.time}) AS month FROM {table.name} WHERE {where.text} ORDER BY month"  # noqa: S608
        )
        found = self._client.query(question, parameters=where.given).result_rows
        return [
            Where(f"({where.text}) AND toYYYYMM({table.time}) = {{month:UInt32}}", {**where.given, "month": row[0]})
            for row in found
        ]

    def count(self, table: Covered, where: Where) -> int:
        """How many rows are shown."""
        question = f"SELECT count() FROM {table.shown} WHERE {where.text}"  # noqa: S608
        return int(self._client.query(question, parameters=where.given).result_rows[0][0])

    def tags(self, table: Covered, where: Where) -> list[Tag]:
        """The tags of rows, each once."""
        question = f"SELECT DISTINCT written_by, written_in FROM {table.name} WHERE {where.text}"  # noqa: S608
        return [(str(by), int(at)) for by, at in self._client.query(question, parameters=where.given).result_rows]

    def by_link(self, table: Covered, columns: Sequence[str], where: Where) -> Iterator[tuple[Tag, Rows]]:
        """The rows of each tag, tag by tag, in the order of the table's key."""
        names = [*_TAG, *columns]
        pending: tuple[tuple[bytes, int], list[list[Any]]] | None = None
        for block in _ahead(self._blocks(table, names, where, _TAG)):
            for tag, (start, end) in _groups(block[0], block[1]):
                part = [values[start:end] for values in block[2:]]
                if pending is not None and pending[0] == tag:
                    for held, more in zip(pending[1], part, strict=True):
                        held.extend(more)
                    continue
                if pending is not None:
                    yield _text(pending[0]), dict(zip(columns, pending[1], strict=True))
                pending = tag, part
        if pending is not None:
            yield _text(pending[0]), dict(zip(columns, pending[1], strict=True))

    def some(self, table: Covered, columns: Sequence[str], where: Where) -> Rows:
        """Rows with their tags, in the order of the table's key."""
        names = [*_TAG, *columns]
        found: list[list[Any]] = [[] for _ in names]
        for block in self._blocks(table, names, where, ()):
            for held, more in zip(found, block, strict=True):
                held.extend(more)
        return dict(zip(names, found, strict=True))

    def _blocks(
        self, table: Covered, names: Sequence[str], where: Where, first: Sequence[str]
    ) -> Iterator[list[list[Any]]]:
        there = self._columns[table.name]
        told = ", ".join(f"`{name}`" if name in there else f"NULL AS `{name}`" for name in names)
        order = ", ".join(f"`{name}`" for name in (*first, *table.key))
        with self._client.query_column_block_stream(
            f"SELECT {told} FROM {table.shown} WHERE {where.text} ORDER BY {order}",  # noqa: S608 - names that we know
            parameters=where.given,
            query_formats=_FORMATS,
            settings=self.settings,
        ) as stream:
            for block in stream:
                yield [values if isinstance(values, list) else _listed(values) for values in block]


def _listed(values: Sequence[Any]) -> list[Any]:
    return values.tolist() if isinstance(values, array) else list(values)


def _ahead(blocks: Iterator[list[list[Any]]]) -> Iterator[list[list[Any]]]:
    """The same, read by a thread while the last one is being digested: the engine's work needs no Python."""
    ready: Queue[list[list[Any]] | BaseException | None] = Queue(1)
    stop = threading.Event()

    def read() -> None:
        try:
            for block in blocks:
                ready.put(block)
                if stop.is_set():
                    return
            ready.put(None)
        except BaseException as error:  # noqa: BLE001 - raised again by who waits for it
            ready.put(error)

    reader = threading.Thread(target=read, name="verify-reader", daemon=True)
    reader.start()
    try:
        while (block := ready.get()) is not None:
            if isinstance(block, BaseException):
                raise block
            yield block
    finally:
        stop.set()
        while reader.is_alive():  # it may wait to hand over what nobody wants any more
            with suppress(Empty):
                ready.get(timeout=0.05)


def _groups(by: Sequence[bytes], within: Sequence[int]) -> Iterator[tuple[tuple[bytes, int], tuple[int, int]]]:
    """Each tag of a sorted block, with the rows that bear it."""
    start, size = 0, len(by)
    while start < size:
        same_writer = bisect_right(by, by[start], start)
        while start < same_writer:
            end = bisect_right(within, within[start], start, same_writer)
            yield (by[start], within[start]), (start, end)
            start = end


def _text(tag: tuple[bytes, int]) -> Tag:
    return tag[0].decode(errors="replace"), tag[1]


def _allowed(client: Client) -> dict[str, Any]:
    """The settings that this user may change: an auditor's role may fix them."""
    known = client.server_settings
    return {name: value for name, value in _SETTINGS.items() if name in known and not known[name].readonly}


def fits(expected: Expected, rows: Rows) -> bool:
    """Whether rows, in the order of their key, are what a link covers; nothing fits one that names no columns."""
    return bool(expected.columns) and digested(expected, rows).of_all == expected.digest


def digested(expected: Expected, rows: Rows) -> Digest:
    """The digest of rows, as many as a link covers, in the order of their key."""
    nothing = [None] * expected.count
    columns = {name: rows.get(name, nothing) for name in expected.columns}
    return digest(expected.table, columns, COVERED[expected.table].every)


def named(table: Covered, rows: Mapping[str, Sequence[Any]], number: int) -> str:
    """What a person finds a row by: its key."""
    told = []
    for name in table.key:
        value = rows[name][number]
        told.append(f"{name} {value.decode(errors='replace') if isinstance(value, bytes) else value}")
    return "the row " + ", ".join(told)
