"""Reading the links of the integrity chains, and whether each holds the one before."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, Final

import msgspec
from clickhouse_connect.driver.client import Client

from detector.integrity.anchor import Anchor
from detector.integrity.chain import KINDS, NOTHING, VERSION, Link, Members
from detector.integrity.tables import COVERED, EVENTS
from detector.store.errors import StoreError
from detector.store.proof import Problem, Proof, Tail, What

Tag = tuple[str, int]

_PAGE: Final = 20_000
_LINKS: Final = """
SELECT
    chain, sequence, kind, `table`, `count`, members, digest, previous, toUnixTimestamp64Micro(written_at), version,
    link
FROM integrity
WHERE (chain, sequence, link) > ({chain:String}, {sequence:UInt64}, {link:String})
ORDER BY chain, sequence, link LIMIT {page:UInt32}
"""
_LINK: Final = """
SELECT
    chain, sequence, kind, `table`, `count`, members, digest, previous, toUnixTimestamp64Micro(written_at), version,
    link
FROM integrity
WHERE chain = {chain:String} AND sequence = {sequence:UInt64}
ORDER BY link LIMIT 1
"""


class Expected(msgspec.Struct):
    """What a link says of its rows, and what was seen of them. Many are held at once.

    Attributes:
        table: where they are.
        count: how many.
        digest: theirs, in hexadecimal.
        columns: the names of the digested columns.
        first: the earliest of them, microseconds since 1970, by the table's time.
        last: the latest.
        written_at: when the link was made.
        voided: whether they may be missing.
        final: whether it is the last link of its chain.
        matched: rows with the link's tag are what it covers.
        sealed: they are those alone that a legal hold keeps, the others having expired.
        extra: rows with its tag that are neither.
    """

    table: str
    count: int
    digest: str
    columns: tuple[str, ...]
    first: int
    last: int
    written_at: int
    voided: bool = False
    final: bool = False
    matched: bool = False
    sealed: bool = False
    extra: int = 0


class Chains:
    """The links of a store.

    Attributes:
        expected: what each link of rows covers.
        unlinked: rows of each table that no link covers, as the first links told; None without chains.
    """

    def __init__(self, client: Client, proof: Proof) -> None:
        self._client = client
        self._proof = proof
        self._hashes: dict[Tag, str] = {}
        self._times: dict[Tag, int] = {}
        self._last: dict[str, int] = {}
        self._followed: list[tuple[Link, str]] = []
        self._voids: list[Link] = []
        self._columns: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._altered: set[Tag] = set()
        self.expected: dict[Tag, Expected] = {}
        self.unlinked: dict[str, int] | None = None

    def read(self) -> None:
        """Read every link, and see that the chains hold."""
        for chain, links in groupby(self._pages(), key=lambda link: link.chain):
            self._proof.chains += 1
            self._check_chain(chain, links)
        known = set(self._hashes.values())
        for link, previous in self._followed:
            if previous not in known:
                self._tell("truncated", link, "follows a link of another chain that is gone")

    def link(self, tag: Tag) -> Link | None:
        """A link as it stands now, be it newer than what was read."""
        rows = self._client.query(_LINK, parameters={"chain": tag[0], "sequence": tag[1]}).result_rows
        return _link(rows[0]) if rows else None

    def is_altered(self, tag: Tag) -> bool:
        """Whether a link is not what was written, or is nonsense: its rows can't be judged by it."""
        return tag in self._altered

    def is_new(self, tag: Tag, table: str) -> bool:
        """Whether a link of rows of this table was added to the end of its chain since the chains were read."""
        if tag[1] <= self._last.get(tag[0], 0):
            return False
        link = self.link(tag)
        return link is not None and (link.kind, link.table) == ("rows", table)

    def check_anchors(self, anchors: Iterable[Anchor]) -> None:
        """See that what was anchored is what the chains hold, and tell what no anchor vouches for."""
        anchored: dict[str, int] = {}
        heads: set[Tag] = set()
        for anchor in anchors:
            tag = anchor.chain, anchor.sequence
            if self._fits(anchor, tag):
                self._proof.anchors += 1
                heads.add(tag)
            anchored[anchor.chain] = max(anchored.get(anchor.chain, 0), anchor.sequence)
        for void in self._voids:
            if (void.chain, void.sequence - 1) in heads:
                self._tell("inserted", void, "takes back rows that an anchor says were stored before it")
        for tag, expected in self.expected.items():
            expected.final = expected.final and tag[1] > anchored.get(tag[0], 0)
        self._proof.tails = list(self._tails(anchored))

    def _fits(self, anchor: Anchor, tag: Tag) -> bool:
        found = self._hashes.get(tag)
        if found == anchor.link:
            return True
        if found is None:
            what: What = "truncated"
            detail = (
                f"ends at link {self._last.get(anchor.chain, 0)}: link {anchor.sequence}, which was anchored, is gone"
            )
        else:
            what, detail = "anchor", f"is not what was anchored: link {anchor.sequence} is another one"
        self._proof.tell(
            Problem(
                what=what,
                chain=anchor.chain,
                sequence=anchor.sequence,
                detail=f"the chain {detail}",
                written_at=anchor.time,
            )
        )
        return False

    def _tails(self, anchored: dict[str, int]) -> Iterator[Tail]:
        for chain, last in self._last.items():
            first = anchored.get(chain, 0) + 1
            if first > last:
                continue
            tags = [(chain, number) for number in range(first, last + 1) if (chain, number) in self._times]
            rows = sum(expected.count for tag in tags if (expected := self.expected.get(tag)))
            yield Tail(chain=chain, links=len(tags), rows=rows, since=self._times[tags[0]], until=self._times[tags[-1]])

    def _pages(self) -> Iterator[Link]:
        after: dict[str, Any] = {"chain": "", "sequence": 0, "link": ""}
        while True:
            rows = self._client.query(_LINKS, parameters={**after, "page": _PAGE}).result_rows
            yield from map(_link, rows)
            if len(rows) < _PAGE:
                return
            after = {"chain": rows[-1][0], "sequence": rows[-1][1], "link": rows[-1][-1]}

    def _check_chain(self, chain: str, links: Iterable[Link]) -> None:
        before: Link | None = None
        for link in links:
            if link.version > VERSION:
                raise StoreError(f"the chain {chain} was written by a newer version of the program: verify with that")
            self._proof.links += 1
            self._proof.until = max(self._proof.until, link.written_at)
            self._check(link, before)
            self._hashes.setdefault((chain, link.sequence), link.link)
            self._times.setdefault((chain, link.sequence), link.written_at)
            self._take(link, before)
            before = link
        if before is not None:
            self._last[chain] = before.sequence
            if (chain, before.sequence) in self.expected:
                self.expected[chain, before.sequence].final = True

    def _check(self, link: Link, before: Link | None) -> None:
        if link.kind not in KINDS or link.hash() != link.link:
            self._tell("broken", link, "was altered: it is not what its hash says")
        if before is None:
            if (link.kind, link.sequence) != ("begin", 1):
                self._tell("broken", link, "is the first of its chain that is left: those before it are gone")
            elif link.previous != NOTHING:
                self._followed.append((link, link.previous))
        elif link.sequence == before.sequence:
            self._tell("inserted", link, "stands beside another link with its number")
        elif link.sequence != before.sequence + 1:
            gone = (
                f"{before.sequence + 1}"
                if link.sequence == before.sequence + 2
                else f"{before.sequence + 1} to {link.sequence - 1}"
            )
            self._tell("broken", link, f"comes after link {before.sequence}: what stood between ({gone}) is gone")
        elif link.previous != before.link:
            self._tell("broken", link, "does not hold the link before it")

    def _take(self, link: Link, before: Link | None) -> None:
        tag = link.chain, link.sequence
        if link.kind == "begin":
            told = self._members(link).unlinked
            self.unlinked = told if self.unlinked is None else _least(self.unlinked, told)
        elif link.kind == "void":
            self._voids.append(link)
            if before is None or (before.kind, before.digest, before.sequence) != (
                "rows",
                link.digest,
                link.sequence - 1,
            ):
                self._tell("broken", link, "takes back nothing that stands before it")
            else:
                self.expected[before.chain, before.sequence].voided = True
        elif link.table in COVERED and tag not in self.expected:
            about = self._members(link)
            if link.hash() != link.link:
                self._altered.add(tag)
            elif not _is_coherent(link, about):
                self._tell("broken", link, "does not say which rows it covers")
                self._altered.add(tag)
            columns = self._columns.setdefault(about.columns, about.columns)
            self.expected[tag] = Expected(
                link.table, link.count, link.digest, columns, about.first or 0, about.last or 0, link.written_at
            )

    def _members(self, link: Link) -> Members:
        try:
            return link.covered()
        except msgspec.DecodeError:
            return Members()

    def _tell(self, what: What, link: Link, detail: str) -> None:
        self._proof.tell(
            Problem(
                what=what,
                chain=link.chain,
                sequence=link.sequence,
                table=link.table,
                written_at=link.written_at,
                detail=f"link {link.sequence} of {link.chain} {detail}",
            )
        )


def _is_coherent(link: Link, about: Members) -> bool:
    """Whether a link names as many rows as it says: one that somebody made up may say anything."""
    if not about.columns or about.first is None or about.last is None:
        return False
    if link.table == EVENTS:
        return sum(run.count for run in about.runs) == link.count and all(
            0 <= run.last - run.first < run.count for run in about.runs
        )
    table = COVERED[link.table]
    return len(about.keys) == link.count and all(
        [isinstance(part, str) for part in key] == [name in {"id", "hash"} for name in table.key] for key in about.keys
    )


def _least(one: dict[str, int], other: dict[str, int]) -> dict[str, int]:
    """Rows from before the chains become fewer with time, if anything."""
    return {table: min(count, other.get(table, 0)) for table, count in one.items()}


def _link(row: Sequence[Any]) -> Link:
    chain, sequence, kind, table, count, members, digest, previous, written_at, version, link = row
    return Link(
        chain=chain,
        sequence=sequence,
        kind=kind,
        table=table,
        count=count,
        members=members,
        digest=digest,
        previous=previous,
        written_at=written_at,
        version=version,
        link=link,
    )
