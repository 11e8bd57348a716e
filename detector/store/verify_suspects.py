"""Links whose rows are not what they cover, at first sight: is it tampering, and what became of which row?

At first sight only, because some of it is no tampering: rows that expired, that were written again with the same
content by a worker that did not know better, that a writer which died never wrote.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from detector.integrity.chain import Members
from detector.integrity.tables import COVERED, EVENTS, Covered
from detector.store.proof import Problem, Proof, What
from detector.store.seals import Seal
from detector.store.verify_links import Chains, Expected, Tag
from detector.store.verify_rows import RowReader, Rows, Where, digested, fits, named
from detector.wording import plural

_TAGGED: Final = "written_by = {chain:String} AND written_in = {sequence:UInt64}"
_SPAN: Final = (
    "{time} >= fromUnixTimestamp64Micro({{since:Int64}}, 'UTC')"
    " AND {time} <= fromUnixTimestamp64Micro({{until:Int64}}, 'UTC')"
)
_IN_RUNS: Final = """arrayExists(
    (t, p, f, l) -> topic = t AND partition = p AND `offset` BETWEEN f AND l,
    {topic:Array(String)}, {partition:Array(Int32)}, {first:Array(Int64)}, {last:Array(Int64)}
)"""
_MOST_PLACES: Final = 200
_MOST_NAMED: Final = 50
"""Problems for which the row is looked for; past that, the link has to do."""
_MOST_TRIED: Final = 2000
_PLACE: Final = ("topic", "partition", "offset", "index")


class Suspects:
    """Finds out about links whose rows don't fit.

    Args:
        reader: reads rows.
        chains: the links.
        proof: where to tell.
        has_expired: whether a row of a table, of a time (microseconds since 1970), may be gone.
        seals: what legal holds keep of links whose rows may be gone.
        settled: links written after that may still wait for their rows (a replica gets them one by one).
    """

    def __init__(
        self,
        reader: RowReader,
        chains: Chains,
        proof: Proof,
        has_expired: Callable[[str, int], bool],
        seals: Mapping[Tag, Seal],
        *,
        settled: int,
    ) -> None:
        self._reader = reader
        self._chains = chains
        self._proof = proof
        self._has_expired = has_expired
        self._seals = seals
        self._settled = settled

    def examine(self, tag: Tag, expected: Expected) -> None:
        """Tell the problem, if it is one."""
        expired = self._has_expired(expected.table, expected.first)  # the rows of an insert share a month
        seal = self._seals.get(tag)
        none = not expected.extra and (seal is None or not seal.count)  # no row is there, and none must be
        if none and expired:
            self._proof.expired += 1
            return
        if none and (expected.final or expected.written_at > self._settled):
            self._proof.unfinished += 1
            return
        if none and expected.voided:
            return
        link = self._chains.link(tag)
        if link is None:
            self._tell("broken", tag, expected, "is gone since the verification began")
            return
        table, about = COVERED[expected.table], link.covered()
        rows = self._in_place(table, expected, about, tag)
        own = sum(1 for by in zip(rows["written_by"], rows["written_in"], strict=True) if by == _bytes(tag))
        count = len(rows["written_in"])
        strangers = expected.extra - own + (expected.count if expected.matched else 0)
        if count == expected.count and not strangers and fits(expected, rows):
            self._proof.alike += 1
        elif expired and count < expected.count and not strangers:
            self._check_held(tag, expected, rows, seal)
        else:
            self._explain(tag, expected, about, rows, strangers)

    def _check_held(self, tag: Tag, expected: Expected, rows: Rows, seal: Seal | None) -> None:
        """What is left of an expired link must be, or hold, what a legal hold keeps of it."""
        if seal is None or not seal.count:
            self._proof.expired += 1
            return
        table, held = COVERED[expected.table], f"covers {plural(seal.count, 'row')} under a legal hold"
        left = rows if seal.whole else seal.chosen(table, rows)
        if (gone := seal.count - len(left[table.key[0]])) > 0:
            there = set(zip(*(left[name] for name in table.key), strict=True))
            lost = next(iter(sorted(map(_plain, seal.keys - there), key=str)), None)
            first = "" if lost is None else f": the first is that of the key {', '.join(map(str, lost))}"
            self._tell("missing", tag, expected, f"{held}, and {gone} of them are gone{first}")
        elif seal.fits(table, left):
            self._proof.held += 1
        else:
            self._tell("altered", tag, expected, f"{held}, and they are not as they were sealed")

    def _explain(self, tag: Tag, expected: Expected, about: Members, rows: Rows, strangers: int) -> None:
        table, count = COVERED[expected.table], len(rows["written_in"])
        if strangers > 0:
            more = f" and {plural(strangers - 1, 'more row')}" if strangers > 1 else ""
            self._tell(
                "inserted", tag, expected, f"does not cover {self._stranger(table, about, tag)}{more}, of its tag"
            )
        rest = f"covers {plural(expected.count, 'row')}, {_span(about)}"
        if count < expected.count:
            gone = f"{rest}, and {expected.count - count} of them are gone: {_gone(table, about, rows)}"
            self._tell("missing", tag, expected, gone)
        elif count > expected.count:
            self._tell("inserted", tag, expected, f"{rest}, and not {_odd(table, expected, rows)}")
        elif not fits(expected, rows):
            self._tell("altered", tag, expected, f"{rest}: {_first_altered(table, expected, about, rows)}")

    def _in_place(self, table: Covered, expected: Expected, about: Members, tag: Tag) -> Rows:
        """The rows where the link's rows belong, whatever their tag; one for each place."""
        names = list(dict.fromkeys((*table.key, *filter(str.isidentifier, expected.columns))))
        found: Rows = {name: [] for name in ("written_by", "written_in", *names)}
        for where in _places(table, about):
            for name, values in self._reader.some(table, names, where).items():
                found[name].extend(values)
        return _one_each(table, found, about, tag)

    def _stranger(self, table: Covered, about: Members, tag: Tag) -> str:
        """A row with the link's tag that lies where no row of the link does."""
        if self._proof.problem_count >= _MOST_NAMED:
            return "a row"
        where = Where(_TAGGED, {"chain": tag[0], "sequence": tag[1]})
        rows = self._reader.some(table, list(table.key), where)
        for number, key in enumerate(zip(*(rows[name] for name in table.key), strict=True)):
            if not _belongs(table, about, key):
                return named(table, rows, number)
        return "a row"

    def _tell(self, what: What, tag: Tag, expected: Expected, detail: str) -> None:
        self._proof.tell(
            Problem(
                what=what,
                chain=tag[0],
                sequence=tag[1],
                table=expected.table,
                written_at=expected.written_at,
                detail=f"link {tag[1]} of {tag[0]} {detail}",
            )
        )


def _places(table: Covered, about: Members) -> Iterator[Where]:
    """Conditions that find the rows of a link, each with so many places that a query can hold it."""
    span = _SPAN.format(time=table.time)
    given = {"since": about.first, "until": about.last}
    if table.name == EVENTS:
        for start in range(0, len(about.runs), _MOST_PLACES):
            runs = about.runs[start : start + _MOST_PLACES]
            told = {name: [getattr(run, name) for run in runs] for name in ("topic", "partition", "first", "last")}
            yield Where(f"{span} AND {_IN_RUNS}", {**given, **told})
        return
    text = next(number for number, value in enumerate(about.keys[0]) if isinstance(value, str))
    for start in range(0, len(about.keys), _MOST_PLACES):
        names = [str(key[text]) for key in about.keys[start : start + _MOST_PLACES]]
        yield Where(f"{span} AND `{table.key[text]}` IN {{names:Array(String)}}", {**given, "names": names})


def _belongs(table: Covered, about: Members, key: Sequence[Any]) -> bool:
    if table.name != EVENTS:
        return _plain(key) in set(about.keys)
    topic, partition, offset = _plain(key)[:3]
    return any(
        (run.topic, run.partition) == (topic, partition) and run.first <= offset <= run.last for run in about.runs
    )


def _one_each(table: Covered, rows: Rows, about: Members, tag: Tag) -> Rows:
    """Of rows at one place (a topic that was made anew counts its offsets from 0 again), those with the tag, or one."""
    place = _PLACE if table.name == EVENTS else table.key
    keys = set(about.keys)
    chosen: dict[tuple[Any, ...], list[int]] = {}
    for number, here in enumerate(zip(*(rows[name] for name in place), strict=True)):
        if table.name == EVENTS or _plain(here) in keys:
            chosen.setdefault(here, []).append(number)
    numbers: list[int] = []
    for there in chosen.values():
        mine = [n for n in there if (rows["written_by"][n], rows["written_in"][n]) == _bytes(tag)]
        numbers += mine or there[:1]
    numbers.sort()
    return {name: [values[number] for number in numbers] for name, values in rows.items()}


def _gone(table: Covered, about: Members, rows: Rows) -> str:
    """What is known of the first row that is gone."""
    if about.keys:
        there = set(map(_plain, zip(*(rows[name] for name in table.key), strict=True)))
        first = next((key for key in about.keys if key not in there), about.keys[0])
        return "the first is that of the key " + ", ".join(map(str, first))
    offsets = list(zip(rows["topic"], rows["partition"], rows["offset"], strict=True))
    for run in about.runs:
        here = {
            o for t, p, o in offsets if (t.decode(), p) == (run.topic, run.partition) and run.first <= o <= run.last
        }
        lost = [offset for offset in range(run.first, run.last + 1) if offset not in here]
        if lost:
            return f"the first was read from {run.topic}/{run.partition} at offset {lost[0]}"
    return "which of them can't be told"


def _odd(table: Covered, expected: Expected, rows: Rows) -> str:
    """The row without which the others fit, if there is one."""
    count = len(rows["written_in"])
    if count == expected.count + 1 and count <= _MOST_TRIED:
        for number in range(count):
            others = {name: values[:number] + values[number + 1 :] for name, values in rows.items()}
            if fits(expected, others):
                return named(table, rows, number)
    return f"the {count} that are there"


def _first_altered(table: Covered, expected: Expected, about: Members, rows: Rows) -> str:
    """As near as the checks can tell which row it is."""
    found = digested(expected, rows).checks
    differ = (n for n in range(0, len(found), 8) if found[n : n + 8] != about.checks[n : n + 8])
    first = next(differ, None)
    if first is None:
        return "they are not as written"
    start = first // 8 * table.every
    end = min(start + table.every, expected.count) - 1
    if start == end:
        return f"{named(table, rows, start)}, is not as written"
    return f"of the {end - start + 1} from {_place(rows, start)} to {_place(rows, end)}, one at least is not as written"


def _place(rows: Rows, number: int) -> str:
    topic, partition, offset = _plain([rows[name][number] for name in ("topic", "partition", "offset")])
    return f"{topic}/{partition} offset {offset}"


def _span(about: Members) -> str:
    """Where the rows of a link are."""
    if about.runs:
        run = about.runs[0]
        more = f" and {len(about.runs) - 1} more stretches" if len(about.runs) > 1 else ""
        return f"read from {run.topic}/{run.partition} at offsets {run.first} to {run.last}{more}"
    more = f" and {len(about.keys) - 1} more" if len(about.keys) > 1 else ""
    return f"of the key {', '.join(map(str, about.keys[0]))}{more}"


def _plain(key: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(value.decode(errors="replace") if isinstance(value, bytes) else value for value in key)


def _bytes(tag: Tag) -> tuple[bytes, int]:
    return tag[0].encode(), tag[1]
