"""Links: each covers one insert and holds the link before it."""

import hashlib
from typing import Final, Literal, get_args

import msgspec

VERSION: Final = 1
"""Of the rules; to be raised when a digest or a link is made in another way."""
NOTHING: Final = "0" * 64
"""What stands for a link where there is none."""

Kind = Literal["begin", "rows", "void"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

_pack: Final = msgspec.msgpack.Encoder().encode


class Run(msgspec.Struct, frozen=True, array_like=True):
    """Events of one partition whose offsets follow each other: `count` of them, some offsets may hold several."""

    topic: str
    partition: int
    first: int
    last: int
    count: int


class Members(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which rows a link covers.

    Attributes:
        columns: Names of the columns that the digest is made of, in order.
        first: Earliest time of a row, microseconds since 1970, by the time that the table's retention goes by.
        last: Latest such time.
        runs: Where events were read.
        keys: Keys of the rows of any other table, in order.
        checks: See `detector.integrity.digest`.
        unlinked: In a link of the kind `begin`: rows of each table that no link covered then.
    """

    columns: tuple[str, ...] = ()
    first: int | None = None
    last: int | None = None
    runs: tuple[Run, ...] = ()
    keys: tuple[tuple[int | str, ...], ...] = ()
    checks: str = ""
    unlinked: dict[str, int] = {}

    def text(self) -> str:
        """As JSON, as it stands in a link."""
        return msgspec.json.encode(self).decode()


_members: Final = msgspec.json.Decoder(Members)


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """One link. Its `kind` is what it tells.

    - `begin`: the first of a chain; `previous` is the link that stood last in the store, of whichever chain.
    - `rows`: covers the rows of one insert, and was stored before them.
    - `void`: the rows of the link before may be missing: the store refused them, or was not heard of again.

    `written_at` is microseconds since 1970 by the writer's clock; `digest`, `previous` and `link` are hexadecimal.
    """

    chain: str
    sequence: int
    kind: Kind
    table: str
    count: int
    members: str
    digest: str
    previous: str
    written_at: int
    version: int = VERSION
    link: str = ""

    def sealed(self) -> "Link":
        """The same with its hash."""
        return msgspec.structs.replace(self, link=self.hash())

    def hash(self) -> str:
        """SHA-256 over all other fields."""
        told = [self.version, self.chain, self.sequence, self.kind, self.table, self.count, self.members]
        return hashlib.sha256(_pack([*told, self.digest, self.previous, self.written_at])).hexdigest()

    def covered(self) -> Members:
        """`members`, decoded.

        Raises:
            msgspec.DecodeError: It was not written by this program.
        """
        return _members.decode(self.members)


class Head(msgspec.Struct, frozen=True):
    """How far a chain has come: up to this link, every row that is covered is stored, or voided."""

    chain: str
    sequence: int
    link: str


def begin(chain: str, previous: str, unlinked: dict[str, int], now: int) -> Link:
    """The first link of a chain."""
    return Link(
        chain=chain,
        sequence=1,
        kind="begin",
        table="",
        count=0,
        members=Members(unlinked=unlinked).text(),
        digest=NOTHING,
        previous=previous,
        written_at=now,
    ).sealed()


def rows(head: Head, table: str, count: int, members: Members, digest: str, now: int) -> Link:
    """The link that covers an insert."""
    return Link(
        chain=head.chain,
        sequence=head.sequence + 1,
        kind="rows",
        table=table,
        count=count,
        members=members.text(),
        digest=digest,
        previous=head.link,
        written_at=now,
    ).sealed()


def void(link: Link, now: int) -> Link:
    """The link that takes another back: its rows may be missing."""
    return Link(
        chain=link.chain,
        sequence=link.sequence + 1,
        kind="void",
        table=link.table,
        count=0,
        members="{}",
        digest=link.digest,
        previous=link.link,
        written_at=now,
    ).sealed()


def head_of(link: Link) -> Head:
    """The head when everything up to this link is settled."""
    return Head(link.chain, link.sequence, link.link)
