"""Seals: of each link with rows under a legal hold, which rows must outlive the others, and their digest.

When the other rows of a link expire, its own digest can't be made again. So before rows are marked as held, those of
each link that are to be kept are digested by themselves, once the link (or the seal before) has proved them, and that
is recorded: in operators' actions, which the chain covers and anchors.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import Any, Final

import msgspec
import structlog
from clickhouse_connect.driver.client import Client

from detector.findings import stable_id
from detector.integrity.chain import Members
from detector.integrity.digest import digest
from detector.integrity.tables import COVERED, Covered
from detector.records import OperatorAction
from detector.store.client import Store
from detector.store.verify_links import Tag
from detector.store.verify_rows import RowReader, Rows, Where

log = structlog.get_logger(__name__)

ACTION: Final = "seal"
LINKS_MOST: Final = 500
"""Links that one action tells of, at most."""

Key = tuple[int | str, ...]

_SEALS: Final = """
SELECT details FROM operator_actions WHERE action = 'seal' AND subject = {subject:String} ORDER BY time, id
"""
_LINKS: Final = """
SELECT sequence, i.count, members, digest FROM integrity AS i
WHERE chain = {chain:String} AND sequence >= {first:UInt64} AND sequence <= {last:UInt64}
    AND kind = 'rows' AND `table` = {table:String}
"""


class Sealed(msgspec.Struct, frozen=True, array_like=True):
    """Rows of one link that must stay: `count` of them, of these keys. Without keys it is all that the link covers.

    `digest` is made of these rows as that of a link is of its own; "" without keys. A count of 0 takes back the seal
    before it: nothing must stay.
    """

    sequence: int
    count: int
    digest: str = ""
    keys: tuple[Key, ...] = ()


class Details(msgspec.Struct, frozen=True):
    """What an action `seal` says, of links of one chain whose rows lie in `table` and are digested by `columns`."""

    table: str
    chain: str
    columns: tuple[str, ...]
    links: tuple[Sealed, ...]


class Seal(msgspec.Struct, frozen=True):
    """The seal in force on a link: its rows' `keys`, text as bytes; none for all rows of the link."""

    count: int
    digest: str
    columns: tuple[str, ...]
    keys: frozenset[tuple[Any, ...]]

    @property
    def whole(self) -> bool:
        """Whether all rows of the link must stay: then its own digest proves them."""
        return self.count > 0 and not self.keys

    def chosen(self, table: Covered, rows: Rows) -> Rows:
        """Those rows that are sealed."""
        here = zip(*(rows[name] for name in table.key), strict=True)
        numbers = [number for number, key in enumerate(here) if key in self.keys]
        return {name: [values[number] for number in numbers] for name, values in rows.items()}

    def fits(self, table: Covered, rows: Rows) -> bool:
        """Whether these rows, in the order of their key, are those that are sealed, and no others."""
        if len(rows[table.key[0]]) != self.count:
            return False
        return not self.count or digest_of(table, self.columns, rows) == self.digest


def digest_of(table: Covered, columns: Sequence[str], rows: Rows) -> str:
    """The digest of rows, as of a link that covers these alone."""
    nothing = [None] * len(rows[table.key[0]])
    return digest(table.name, {name: rows.get(name, nothing) for name in columns}, table.every).of_all


def read_seals(client: Client, table: Covered, wanted: Callable[[Tag], bool]) -> dict[Tag, Seal]:
    """The seals in force on links of a table: of each link the last."""
    found: dict[Tag, Seal] = {}
    with client.query_row_block_stream(_SEALS, parameters={"subject": _subject(table)}) as blocks:
        for block in blocks:
            for (text,) in block:
                _take(msgspec.json.decode(text, type=Details), wanted, found)
    return found


def _take(told: Details, wanted: Callable[[Tag], bool], found: dict[Tag, Seal]) -> None:
    for sealed in told.links:
        if wanted(tag := (told.chain, sealed.sequence)):
            keys = frozenset(map(_bytes, sealed.keys))
            found[tag] = Seal(sealed.count, sealed.digest, told.columns, keys)


def _bytes(key: Key) -> tuple[Any, ...]:
    return tuple(part.encode() if isinstance(part, str) else part for part in key)


def _subject(table: Covered) -> str:
    return f"held:{table.name}"


class Recorder(msgspec.Struct, frozen=True):
    """Where seals are recorded, and as whose action.

    Attributes:
        record: writes actions under a link of a chain; raises what the store raises.
        operator: whose action it is.
        now: the time.
        config: the configuration in force.
    """

    record: Callable[[Sequence[OperatorAction]], None]
    operator: str
    now: Callable[[], datetime]
    config: str = ""


class Sealer:
    """Makes seals for what is about to be held, or let go.

    Args:
        store: the store.
        expired: whether a row of a table, of a time (microseconds since 1970), may be removed at any moment by now.
        recorder: where they are recorded.
    """

    def __init__(self, store: Store, expired: Callable[[str, int], bool], recorder: Recorder) -> None:
        self._client = store.client
        self._reader = RowReader(store.client, store.database)
        self._expired = expired
        self._recorder = recorder

    def seal(self, name: str, covered: str, bound: Mapping[str, Any]) -> None:
        """Seal the links of a table of which rows will be marked otherwise.

        Args:
            name: the table.
            covered: the condition by which its rows are held from now on.
            bound: the values of its parameters.
        """
        table = COVERED.get(name)
        if table is None or not self._reader.is_there(table):
            return
        changed = (
            f"(written_by, written_in) IN (SELECT written_by, written_in FROM {name} "  # noqa: S608 - both are ours
            f"WHERE held != {covered} AND written_in != 0)"
        )
        unproven = 0
        for month in self._reader.months(table, Where(changed, dict(bound))):
            kept = self._kept(table, Where(f"({month.text}) AND {covered}", month.given))
            links = self._links(table, month)
            before = read_seals(self._client, table, links.__contains__)
            sealed: defaultdict[tuple[str, tuple[str, ...]], list[Sealed]] = defaultdict(list)
            for tag, rows in self._reader.by_link(table, _columns(table, links.values()), month):
                made = self._sealed(table, tag, rows, kept.get(tag, ()), links.get(tag), before.get(tag))
                if made is None:
                    unproven += 1
                else:
                    sealed[tag[0], made[0]].append(made[1])
            self._record(table, sealed)
        if unproven:
            log.warning("held_without_proof", table=name, links=unproven, remedy="detector audit verify")

    def _kept(self, table: Covered, where: Where) -> dict[Tag, list[tuple[Any, ...]]]:
        """The keys of the rows to be kept, by link."""
        return {
            tag: list(zip(*(rows[name] for name in table.key), strict=True))
            for tag, rows in self._reader.by_link(table, table.key, where)
        }

    def _links(self, table: Covered, where: Where) -> dict[Tag, "_Link"]:
        """The links of the rows, as far as there are any."""
        numbers: defaultdict[str, set[int]] = defaultdict(set)
        for name, sequence in self._reader.tags(table, where):
            numbers[name].add(sequence)
        found = {}
        for name, wanted in numbers.items():
            given = {"chain": name, "first": min(wanted), "last": max(wanted), "table": table.name}
            with self._client.query_row_block_stream(_LINKS, parameters=given) as blocks:
                for sequence, count, members, of_all in chain.from_iterable(blocks):
                    if sequence in wanted:
                        about = msgspec.json.decode(members, type=Members)
                        found[name, sequence] = _Link(count, of_all, about.columns, about.first or 0)
        return found

    def _sealed(
        self,
        table: Covered,
        tag: Tag,
        rows: Rows,
        kept: Sequence[tuple[Any, ...]],
        link: "_Link | None",
        before: Seal | None,
    ) -> tuple[tuple[str, ...], Sealed] | None:
        """The columns and the seal of one link; None if nothing proves the rows, or they may go before being marked."""
        if link is None:
            return None
        if not kept:
            return link.columns, Sealed(tag[1], 0)
        here = len(rows[table.key[0]])
        if here == link.count and digest_of(table, link.columns, rows) == link.digest:
            if self._expired(table.name, link.first) and before is None:
                return None
            if len(kept) == here:
                return link.columns, Sealed(tag[1], here)
        elif before is None or not before.keys.issuperset(kept) or not before.fits(table, before.chosen(table, rows)):
            return None
        chosen = Seal(len(kept), "", link.columns, frozenset(kept)).chosen(table, rows)
        keys = tuple(tuple(_text(part) for part in key) for key in kept)
        return link.columns, Sealed(tag[1], len(kept), digest_of(table, link.columns, chosen), keys)

    def _record(self, table: Covered, sealed: Mapping[tuple[str, tuple[str, ...]], list[Sealed]]) -> None:
        """One action for so many links of a chain."""
        now = self._recorder.now()
        actions = [
            _action(Details(table.name, name, columns, tuple(links[start : start + LINKS_MOST])), now, self._recorder)
            for (name, columns), links in sorted(sealed.items())
            for start in range(0, len(links), LINKS_MOST)
        ]
        if actions:
            self._recorder.record(actions)


class _Link(msgspec.Struct, frozen=True):
    count: int
    digest: str
    columns: tuple[str, ...]
    first: int


def _columns(table: Covered, links: Iterable[_Link]) -> list[str]:
    """All that any of the links digests, and the key."""
    wanted = dict.fromkeys((*table.key, table.time))
    for columns in {link.columns for link in links}:
        wanted.update(dict.fromkeys(filter(str.isidentifier, columns)))
    return list(wanted)


def _text(part: Any) -> int | str:
    return part.decode() if isinstance(part, bytes) else part


def _action(details: Details, now: datetime, recorder: Recorder) -> OperatorAction:
    told: dict[str, Any] = msgspec.to_builtins(details)
    return OperatorAction(
        id=stable_id("s", details.table, now.isoformat(), msgspec.json.encode(details).decode()),
        time=now,
        operator=recorder.operator,
        action=ACTION,
        subject=f"held:{details.table}",
        reason="rows under legal holds, so that they can be proved when the others of their links have expired",
        details=told,
        config=recorder.config,
    )
