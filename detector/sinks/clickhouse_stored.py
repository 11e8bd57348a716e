"""What the store holds already: it is not written again, because a link covers it as it stands.

Two versions of a row would differ when the configuration changed between them; the store would show the second,
and the link of the first would not fit it any more.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby, islice, pairwise
from operator import eq
from typing import Any, Final

from detector.integrity.chain import Run
from detector.integrity.tables import EVENTS, Covered
from detector.sinks.clickhouse_columns import Columns
from detector.sinks.clickhouse_insert import AskingClient, ask

Partition = tuple[str, int]
Span = tuple[int, int]

_PLACE: Final = ("topic", "partition", "offset", "index", "id")

# For so long nobody else can have been given a partition that we write: a group takes longer to give up a member.
_TRUSTED_SECONDS: Final = 5.0
_MOST_KEYS: Final = 500
_LONGEST_LIST: Final = 4000  # characters: parameters travel in the URL

# Times and principals are told so that the engine finds the few places where such rows can lie.
_EVENTS_AT: Final = """
SELECT topic, partition, `offset`, `index`, id
FROM events_data
WHERE time BETWEEN fromUnixTimestamp64Micro({since:Int64}, 'UTC') AND fromUnixTimestamp64Micro({until:Int64}, 'UTC')
    AND `offset` BETWEEN {first:Int64} AND {last:Int64}
    AND topic IN {topics:Array(String)} AND partition IN {partitions:Array(Int32)}
"""
_OF_PRINCIPALS: Final = "    AND principal IN {principals:Array(String)}\n"


class Stored:
    """Tells which rows of an insert are stored.

    Events come in the order of their offsets, and the store is asked only where they could be there: at the first
    sight of a partition, where offsets go back, after a failure, after a pause. Of other tables it is asked each
    time: their rows are few.

    Args:
        client: a clickhouse-connect client whose database is the store's.
        clock: unix seconds.
    """

    def __init__(self, client: AskingClient, clock: Callable[[], float]) -> None:
        self._client = client
        self._clock = clock
        self._next: dict[Partition, tuple[int, float]] = {}

    def fresh(self, table: Covered, columns: Columns) -> list[bool] | None:
        """Which rows are to be written; None for all of them. The rows are in the order of the table's key.

        Not those that are stored, nor the second of two with one key: a batch may hold what was read twice.

        Raises:
            SinkUnavailable: the store can't answer now.
        """
        flags = self._fresh_events(columns) if table.name == EVENTS else self._fresh_keys(table, columns)
        if _may_repeat(table, columns):
            for number, (before, key) in enumerate(pairwise(_keys(table, columns)), 1):
                flags[number] = flags[number] and key != before
        return None if all(flags) else flags

    def wrote(self, table: Covered, columns: Columns, *, known: bool) -> None:
        """These rows are stored now; `known`: some were before."""
        if table.name != EVENTS:
            return
        now = self._clock()
        for partition, (_, end) in partitions(columns):
            if known:
                # It is being read again, and more of it may be stored.
                self._next.pop(partition, None)
            else:
                self._next[partition] = (columns["offset"][end - 1] + 1, now)

    def forget(self, table: Covered, columns: Columns) -> None:
        """It is not known what became of these rows."""
        if table.name == EVENTS:
            for partition, _ in partitions(columns):
                self._next.pop(partition, None)

    def _fresh_events(self, columns: Columns) -> list[bool]:
        flags = [True] * len(columns["offset"])
        unsure = [
            span for partition, span in partitions(columns) if not self._is_new(partition, columns["offset"][span[0]])
        ]
        if unsure:
            there = self._events_at({name: _cut(columns[name], unsure) for name in (*_PLACE, "time", "principal")})
            for start, end in unsure if there else ():
                places = zip(*(columns[name][start:end] for name in _PLACE), strict=True)
                flags[start:end] = [place not in there for place in places]
        return flags

    def _is_new(self, partition: Partition, offset: int) -> bool:
        expected, at = self._next.get(partition, (None, 0.0))
        return expected is not None and offset >= expected and 0.0 <= self._clock() - at < _TRUSTED_SECONDS

    def _events_at(self, columns: Columns) -> set[tuple[Any, ...]]:
        principals = sorted(set(columns["principal"]))
        question, given = (
            _EVENTS_AT,
            {
                "topics": sorted(set(columns["topic"])),
                "partitions": sorted(set(columns["partition"])),
                "first": min(columns["offset"]),
                "last": max(columns["offset"]),
                "since": min(columns["time"]),
                "until": max(columns["time"]),
            },
        )
        if sum(map(len, principals)) + 3 * len(principals) < _LONGEST_LIST:
            question, given = question + _OF_PRINCIPALS, {**given, "principals": principals}
        return {tuple(row) for row in ask(self._client, question, given)}

    def _fresh_keys(self, table: Covered, columns: Columns) -> list[bool]:
        keys = _keys(table, columns)
        there: set[tuple[Any, ...]] = set()
        for start in range(0, len(keys), _MOST_KEYS):
            there |= self._keys_there(table, columns, start, start + _MOST_KEYS)
        return [key not in there for key in keys]

    def _keys_there(self, table: Covered, columns: Columns, start: int, end: int) -> set[tuple[Any, ...]]:
        """Keys of the table among some. Text is compared by IN, so that indexes help; the rest is compared here."""
        times = {name for name in table.key if name == table.time}
        text = next(name for name in table.key if isinstance(columns[name][0], str))
        told = [f"toUnixTimestamp64Micro({name})" if name in times else f"`{name}`" for name in table.key]
        question = f"SELECT {', '.join(told)} FROM {table.name} WHERE `{text}` IN {{names:Array(String)}}"  # noqa: S608
        given: dict[str, Any] = {"names": sorted(set(columns[text][start:end]))}
        for name in times:
            question += (
                f" AND {name} BETWEEN fromUnixTimestamp64Micro({{since:Int64}}, 'UTC')"
                " AND fromUnixTimestamp64Micro({until:Int64}, 'UTC')"
            )
            given |= {"since": min(columns[name][start:end]), "until": max(columns[name][start:end])}
        return {tuple(row) for row in ask(self._client, question, given)}


def _keys(table: Covered, columns: Columns) -> list[tuple[Any, ...]]:
    return list(zip(*(columns[name] for name in table.key), strict=True))


def _may_repeat(table: Covered, columns: Columns) -> bool:
    """Whether two rows may have one key; events in order of place have then one offset, which is quickly seen."""
    if table.name == EVENTS:
        return any(map(eq, columns["offset"], islice(columns["offset"], 1, None)))
    keys = _keys(table, columns)
    return len(set(keys)) < len(keys)


def _cut(values: Sequence[Any], spans: Sequence[Span]) -> list[Any]:
    return [value for start, end in spans for value in values[start:end]]


def partitions(columns: Columns) -> Iterator[tuple[Partition, Span]]:
    """Each (topic, partition) of events in order of place, and the rows that are of it."""
    start = 0
    for partition, rows in groupby(zip(columns["topic"], columns["partition"], strict=True)):
        end = start + sum(1 for _ in rows)
        yield partition, (start, end)
        start = end


def runs(columns: Columns) -> tuple[Run, ...]:
    """Where events, in order of place, were read."""
    found: list[Run] = []
    for (topic, partition), (start, end) in partitions(columns):
        found.extend(Run(topic, partition, *run) for run in _stretches(columns["offset"][start:end]))
    return tuple(found)


def _stretches(offsets: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """(first, last, how many) of offsets, in order, wherever one is left out."""
    first = last = offsets[0]
    count = 0
    for offset in offsets:
        if offset > last + 1:
            yield first, last, count
            first, count = offset, 0
        last, count = offset, count + 1
    yield first, last, count
