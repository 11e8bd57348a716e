"""Inserts that links cover: the link first, then the rows, each tagged with it.

So a row without a link was never written by us. The other half of the promise, that a link without its rows was
tampered with, needs the voids: what the store refused is taken back, and what it was not heard of again is tried
once more under the same link, or looked for.
"""

from collections.abc import Callable, Mapping
from itertools import compress
from typing import Any, Final

import msgspec

from detector.integrity import chain
from detector.integrity.chain import Head, Link, Members
from detector.integrity.digest import Digest, canonical, digest
from detector.integrity.tables import COVERED, EVENTS, Covered
from detector.sinks.base import SinkRefused, SinkUnavailable
from detector.sinks.clickhouse_columns import Columns
from detector.sinks.clickhouse_insert import BAD_VALUE, AskingClient, Inserter, ask, bad_value
from detector.sinks.clickhouse_stored import Stored, runs

_LAST: Final = "SELECT link FROM integrity_data ORDER BY written_at DESC, sequence DESC, link LIMIT 1"
_UNLINKED: Final = "SELECT count() FROM {table} WHERE written_in = 0"
_THERE: Final = """
SELECT count() FROM {table}
WHERE written_by = {{chain:String}} AND written_in = {{sequence:UInt64}}
    AND {time} >= fromUnixTimestamp64Micro({{first:Int64}}, 'UTC')
    AND {time} <= fromUnixTimestamp64Micro({{last:Int64}}, 'UTC')
"""


class LinkWriter:
    """Writes rows under the links of one chain. A chain belongs to one run of one process, and is never resumed.

    Two processes under one name (one that was thought dead, and its successor) would tear their chain apart; so each
    run begins a chain of its own, whose first link holds the one that stood last in the store.

    Args:
        client: a clickhouse-connect client whose database is the store's.
        database: where the tables are.
        name: of the chain: unique for every run of a process.
        clock: unix seconds.
    """

    def __init__(self, client: AskingClient, database: str, name: str, clock: Callable[[], float]) -> None:
        self.name = name
        self.head: Head | None = None
        """Up to there all is settled; None before the first write. For anchors, from any thread."""
        self._client = client
        self._inserter = Inserter(client, database)
        self._clock = clock
        self._stored = Stored(client, clock)
        self._begin: Link | None = None
        self._open: Link | None = None
        """A link whose rows may be there or not."""
        self._void: Link | None = None
        """What takes it back, once that is decided."""

    def insert(self, table: Covered, columns: Columns) -> None:
        """Insert those rows that are not stored yet, and before them the link that covers them.

        Args:
            table: the table.
            columns: rows in the order of its key.

        Raises:
            SinkRefused: a value is one that the store will never take. None of the rows is covered.
            SinkUnavailable: the store can't take it now, or was not heard of again. The same rows are to come again;
                if others do, what became of these is found out first.
        """
        try:
            told = {name: canonical(values) for name, values in columns.items()}
        except BAD_VALUE as error:
            raise bad_value(error) from error
        fresh = self._stored.fresh(table, columns)
        if fresh is not None:
            columns, told = _chosen(columns, fresh), _chosen(told, fresh)
        try:
            if columns[table.time]:
                self._insert(table, columns, told)
            elif self._open is not None and self._open.table == table.name:
                self._close_open()
        except (SinkRefused, SinkUnavailable):
            self._stored.forget(table, columns)
            raise
        self._stored.wrote(table, columns, known=fresh is not None)

    def _insert(self, table: Covered, columns: Columns, told: Columns) -> None:
        try:
            link = self._link(table, columns, digest(table.name, told, table.every))
        except BAD_VALUE as error:
            raise bad_value(error) from error
        tag: Columns = {"written_by": [link.chain] * link.count, "written_in": [link.sequence] * link.count}
        try:
            self._inserter.insert(table.name, told | tag, link.link)
        except SinkRefused:
            self._void = chain.void(link, self._now())
            self._take_back()
            raise
        self._settle(link)

    def _link(self, table: Covered, columns: Columns, hashed: Digest) -> Link:
        """The link that covers these rows, stored."""
        pending = self._open
        if (
            pending is not None
            and self._void is None
            and (pending.table, pending.digest) == (table.name, hashed.of_all)
        ):
            self._store(pending)
            return pending
        self._close_open()
        about, count = members(table, columns, hashed.checks), len(columns[table.time])
        link = chain.rows(self._started(), table.name, count, about, hashed.of_all, self._now())
        self._open = link
        self._store(link)
        return link

    def _close_open(self) -> None:
        """Settle or void what is open."""
        if self._open is None:
            return
        if self._void is None:
            self._store(self._open)
            if self._rows_there(self._open) == self._open.count:
                self._settle(self._open)
                return
            self._void = chain.void(self._open, self._now())
        self._take_back()

    def _take_back(self) -> None:
        assert self._void is not None  # noqa: S101 - asked by who made it
        self._store(self._void)
        self._settle(self._void)

    def _settle(self, link: Link) -> None:
        self.head, self._open, self._void = chain.head_of(link), None, None

    def _started(self) -> Head:
        """The head; of a chain that begins, its first link."""
        if self.head is not None:
            return self.head
        if self._begin is None:
            last = ask(self._client, _LAST, {})
            previous = str(last[0][0]) if last else chain.NOTHING
            self._begin = chain.begin(self.name, previous, self._unlinked(), self._now())
        self._store(self._begin)
        self.head = chain.head_of(self._begin)
        return self.head

    def _unlinked(self) -> dict[str, int]:
        """Rows of each table from before there were chains, as they are shown."""
        found = {}
        for table in COVERED.values():
            # Nearly always none, which the table tells faster than its view.
            if self._count(_UNLINKED.format(table=table.name)):
                found[table.name] = self._count(_UNLINKED.format(table=table.shown))
        return found

    def _rows_there(self, link: Link) -> int:
        about, table = link.covered(), COVERED[link.table]
        given = {"chain": link.chain, "sequence": link.sequence, "first": about.first, "last": about.last}
        return self._count(_THERE.format(table=table.name, time=table.time), given)

    def _count(self, question: str, given: Mapping[str, Any] | None = None) -> int:
        return int(ask(self._client, question, given or {})[0][0])

    def _store(self, link: Link) -> None:
        """Store a link; as often as it takes, it has the same key and token."""
        columns = {name: [value] for name, value in msgspec.structs.asdict(link).items()}
        try:
            self._inserter.insert("integrity_data", columns, link.link)
        except SinkRefused as error:
            raise SinkUnavailable(f"a link of the integrity chain can't be stored: {error}") from error

    def _now(self) -> int:
        return int(self._clock() * 1e6)


def _chosen(columns: Columns, flags: list[bool]) -> Columns:
    return {name: list(compress(values, flags)) for name, values in columns.items()}


def members(table: Covered, columns: Columns, checks: str) -> Members:
    """Which rows these are, as a link tells it."""
    times = columns[table.time]
    about = Members(columns=tuple(columns), first=min(times), last=max(times), checks=checks)
    if table.name == EVENTS:
        return msgspec.structs.replace(about, runs=runs(columns))
    return msgspec.structs.replace(about, keys=tuple(zip(*(columns[name] for name in table.key), strict=True)))
