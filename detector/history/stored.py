"""History out of the event store: the original bytes, in the order in which they were scored.

Within a partition that is the order of reading; between partitions that of event time, as far as each has come, which
is how live partitions are aligned. The store is asked for some hours at a time, by the offsets at which each partition
reached them, so that neither side ever holds more than that.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import msgspec

from detector.audit.answer import EVER, Span, records
from detector.history.rows import Row
from detector.store.client import Store

ROWS: Final = 100_000
"""Events that are asked for at once, about."""

# Offsets up to the end: of a partition whose last hour is asked for.
_END: Final = 2**63 - 1

_TOPICS: Final = """
SELECT topic, count() AS events, min(time) AS since, max(time) AS until
FROM events_data
WHERE time >= {since:DateTime64(6, 'UTC')} AND time < {until:DateTime64(6, 'UTC')}
GROUP BY topic
ORDER BY topic
"""
_HOURS: Final = """
SELECT topic, partition, toStartOfHour(time) AS hour, min(`offset`) AS first, count() AS events
FROM events_data
WHERE topic IN {topics:Array(String)}
    AND time >= {since:DateTime64(6, 'UTC')} AND time < {until:DateTime64(6, 'UTC')}
GROUP BY topic, partition, hour
ORDER BY hour, topic, partition
"""
_ROWS: Final = """
SELECT topic, partition, `offset`, toUnixTimestamp64Micro(received_at) / 1e6 AS received, raw, format, `index`, id
FROM
(
    SELECT topic, partition, `offset`, received_at, raw, format, `index`, id,
        max(time) OVER (PARTITION BY topic, partition ORDER BY `offset`, `index`) AS reached
    FROM events_data
    WHERE time >= {since:DateTime64(6, 'UTC')} AND time < {until:DateTime64(6, 'UTC')} AND (%s)
    LIMIT 1 BY topic, partition, `offset`, `index`
)
ORDER BY reached, topic, partition, `offset`, `index`
"""
# What was scored of one principal: what came too late to be, or twice, was not learnt then either.
_OF_PRINCIPAL: Final = """
SELECT topic, partition, `offset`, toUnixTimestamp64Micro(received_at) / 1e6 AS received, raw, format, `index`, id
FROM
(
    SELECT topic, partition, `offset`, received_at, raw, format, `index`, id, time
    FROM events_data
    WHERE principal = {principal:String} AND kind != 'control' AND verdict = 'scored'
        AND time >= {since:DateTime64(6, 'UTC')} AND time < {until:DateTime64(6, 'UTC')}
    LIMIT 1 BY topic, partition, `offset`, `index`
)
ORDER BY time, topic, partition, `offset`, `index`
LIMIT {most:UInt64}
"""

Partition = tuple[str, int]


class Topic(msgspec.Struct, frozen=True):
    """How much of a topic the store holds, and from when to when."""

    topic: str
    events: int
    since: datetime
    until: datetime


def topics(store: Store, span: Span = EVER) -> list[Topic]:
    """The topics of which the store holds events, by name."""
    return [Topic(**row) for row in records(store.client.query(_TOPICS, parameters=span.bound))]


def acts_of(store: Store, principal: str, span: Span, most: int) -> list[Row]:
    """What one principal did in a span, as it was scored, in order of time; the first `most`."""
    bound = {"principal": principal, "most": most, **span.bound}
    found = store.client.query(_OF_PRINCIPAL, parameters=bound, column_formats={"raw": "bytes"})
    return [Row(*row) for row in found.result_rows]


class StoredHistory:
    """The events of some topics in a span of event time.

    Args:
        store: An open store.
        names: Topics.
        span: Event time.
        rows: Events to ask for at once, about.
    """

    def __init__(self, store: Store, names: Sequence[str], span: Span = EVER, rows: int = ROWS) -> None:
        self._store = store
        self._bound: dict[str, Any] = {"topics": list(names), **span.bound}
        found = records(store.client.query(_HOURS, parameters=self._bound))
        self.events = sum(hour["events"] for hour in found)
        """How many there are; a repeated write may be counted twice."""
        self._marks = list(_marks(found, rows))

    def __iter__(self) -> Iterator[Row]:
        """The events, from the first on."""
        for place, begins in enumerate(self._marks):
            ends = self._marks[place + 1] if place + 1 < len(self._marks) else dict.fromkeys(begins, _END)
            spans = {partition: (first, ends[partition]) for partition, first in begins.items()}
            yield from self._rows({p: span for p, span in spans.items() if span[0] < span[1]})

    def _rows(self, spans: Mapping[Partition, tuple[int, int]]) -> Iterator[Row]:
        if not spans:
            return
        names = sorted({topic for topic, _ in spans})
        where = " OR ".join(
            f"(topic = {{topic_{names.index(topic)}:String}} AND partition = {partition:d} "
            f"AND `offset` >= {first:d} AND `offset` < {end:d})"
            for (topic, partition), (first, end) in spans.items()
        )
        bound = {**self._bound, **{f"topic_{place}": name for place, name in enumerate(names)}}
        stream = self._store.client.query_row_block_stream(
            _ROWS % where, parameters=bound, column_formats={"raw": "bytes"}
        )
        with stream:
            for block in stream:
                for row in block:
                    yield Row(*row)


def _marks(hours: Sequence[Mapping[str, Any]], rows: int) -> Iterator[dict[Partition, int]]:
    """Where to cut: for each piece of the history the offset at which each partition reached its first hour.

    A partition reaches an hour with the first event of it or of a later one; what is read after that, and happened
    before, belongs to the hour that was reached.
    """
    counts: dict[datetime, int] = {}
    for hour in hours:
        counts[hour["hour"]] = counts.get(hour["hour"], 0) + hour["events"]
    cuts, waiting = [], rows
    for begins, count in sorted(counts.items()):
        if waiting >= rows:
            cuts.append(begins)
            waiting = 0
        waiting += count
    reached: dict[Partition, int] = {(hour["topic"], hour["partition"]): _END for hour in hours}
    marks: list[dict[Partition, int]] = []
    left = list(hours)
    for cut in reversed(cuts):
        while left and left[-1]["hour"] >= cut:
            hour = left.pop()
            partition = hour["topic"], hour["partition"]
            reached[partition] = min(reached[partition], hour["first"])
        marks.append(dict(reached))
    yield from reversed(marks)
