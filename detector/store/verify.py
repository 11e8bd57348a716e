"""Verification: every row that a link covers is as it was written, and there is no other."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from detector.integrity.tables import COVERED, Covered
from detector.store.anchors import Anchors
from detector.store.client import Store
from detector.store.expiry import Horizons
from detector.store.proof import Problem, Proof
from detector.store.seals import Seal, read_seals
from detector.store.verify_links import Chains, Tag
from detector.store.verify_rows import RowReader, Rows, Where, fits, named
from detector.store.verify_suspects import Suspects

_SINCE: Final = """written_in != 0 AND (written_by, written_in) NOT IN (
    SELECT chain, sequence FROM integrity_data WHERE written_at < fromUnixTimestamp64Micro({since:Int64}, 'UTC')
)"""
_SETTLING: Final = 60_000_000
"""Microseconds. Rows may come to a replica later than the links behind them."""


class Verification:
    """One run over a store, which others may write meanwhile.

    Args:
        store: the store; it is only read.
        now: microseconds since 1970, for what is past its retention.
        anchors: heads of chains that were kept outside of the store; None for none at hand.
        retention: days after the end of their month for which rows of a table (`events_data` …) are kept, by the
            operator's word and not by the table's; one that isn't named keeps them for ever.
        since: look only at rows that were written from then on (microseconds since 1970).
        progress: called with the number of rows that were read, every few thousand.
    """

    def __init__(
        self,
        store: Store,
        now: int,
        *,
        anchors: Anchors | None = None,
        retention: Mapping[str, int | None] | None = None,
        since: int = 0,
        progress: Callable[[int], None] = lambda _: None,
    ) -> None:
        self._proof = Proof()
        self._reader = RowReader(store.client, store.database)
        self._chains = Chains(store.client, self._proof)
        self._anchors = anchors or Anchors()
        self._since = since
        self._progress = progress
        self._unknown: dict[Tag, tuple[Covered, int, str]] = {}
        self._seals: dict[Tag, Seal] = {}
        self._client = store.client
        self._passed = Horizons(retention or {}, now).has_passed
        self._suspects = Suspects(
            self._reader, self._chains, self._proof, self._passed, self._seals, settled=now - _SETTLING
        )

    def run(self) -> Proof:
        """Verify.

        Raises:
            StoreError: a chain was written by a newer version of the program.
            clickhouse_connect.driver.exceptions.ClickHouseError: the store can't answer.
        """
        self._chains.read()
        for problem in self._anchors.problems:
            self._proof.tell(problem)
        self._chains.check_anchors(self._anchors.signed)
        for table in COVERED.values():
            if self._reader.is_there(table):
                self._read_seals(table)
                self._check_unlinked(table)
                self._check_rows(table)
        self._check_unknown()
        for tag, expected in self._chains.expected.items():
            proved = expected.matched or expected.sealed
            suspect = expected.written_at >= self._since and (not proved or expected.extra)
            if suspect and not self._chains.is_altered(tag):
                self._suspects.examine(tag, expected)
        return self._proof

    def _read_seals(self, table: Covered) -> None:
        """Those on links of which some rows may be gone: all the others prove their rows themselves."""
        if not self._reader.is_there(COVERED["operator_actions_data"]):
            return

        def wanted(tag: Tag) -> bool:
            link = self._chains.expected.get(tag)
            return link is not None and link.table == table.name and self._passed(table.name, link.first)

        self._seals.update(read_seals(self._client, table, wanted))

    def _check_unlinked(self, table: Covered) -> None:
        found = self._reader.count(table, Where("written_in = 0"))
        if not found:
            return
        before = 0 if self._chains.unlinked is None else self._chains.unlinked.get(table.name, 0)
        if self._chains.unlinked is None or found <= before:
            self._proof.unlinked[table.name] = found
            return
        detail = f"{found} rows of {table.name} are covered by no link, and {before} were there before the first chain"
        self._proof.tell(Problem(what="inserted", table=table.name, detail=detail))

    def _check_rows(self, table: Covered) -> None:
        """Compare the rows of every tag with what its link says."""
        columns = self._columns(table)
        where = self._where()
        read = 0
        for month in self._reader.months(table, where):
            for tag, rows in self._reader.by_link(table, columns, month):
                count = len(rows[table.time])
                read += count
                if read >= 10_000:
                    self._progress(read)
                    read = 0
                self._compare(table, tag, rows, count)
        self._progress(read)

    def _compare(self, table: Covered, tag: Tag, rows: Rows, count: int) -> None:
        expected = self._chains.expected.get(tag)
        if expected is None or expected.table != table.name:
            _, before, _ = self._unknown.get(tag, (table, 0, ""))
            self._unknown[tag] = table, before + count, named(table, rows, 0)
        elif not expected.matched and expected.count == count and fits(expected, rows):
            expected.matched = True
            self._proof.rows[table.name] = self._proof.rows.get(table.name, 0) + count
        elif not expected.sealed and (seal := self._seals.get(tag)) is not None and seal.fits(table, rows):
            expected.sealed = True
            self._proof.held += 1
            self._proof.rows[table.name] = self._proof.rows.get(table.name, 0) + count
        else:
            expected.extra += count

    def _check_unknown(self) -> None:
        """Rows whose link we don't know: it was made while we read, or never."""
        for tag, (table, count, name) in self._unknown.items():
            if self._chains.is_new(tag, table.name):
                continue
            more = f", and {count - 1} more rows with its tag," if count > 1 else ""
            self._proof.tell(
                Problem(
                    what="inserted",
                    chain=tag[0],
                    sequence=tag[1],
                    table=table.name,
                    detail=f"{name}{more} in {table.name}: no link {tag[1]} of {tag[0]!r} covers this table",
                )
            )

    def _columns(self, table: Covered) -> Sequence[str]:
        """All that is digested of a table by any link, and its key."""
        wanted: dict[str, None] = dict.fromkeys((*table.key, table.time))
        seen: set[tuple[str, ...]] = set()
        for expected in self._chains.expected.values():
            if expected.table == table.name and expected.columns not in seen:
                seen.add(expected.columns)
                wanted.update(dict.fromkeys(filter(str.isidentifier, expected.columns)))
        return list(wanted)

    def _where(self) -> Where:
        """Which rows are looked at: all but those whose links are too old."""
        if not self._since:
            return Where("written_in != 0")
        return Where(_SINCE, {"since": self._since})
