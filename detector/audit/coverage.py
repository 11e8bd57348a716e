"""What the log does not hold: offsets that are missing, sources and agents that fell silent, what was refused."""

from datetime import datetime, timedelta
from typing import Any, Final

from detector.audit.answer import EVER, Answer, Span, Table, iso, records, table
from detector.store.client import Store
from detector.wording import duration, number, plural

SILENCE: Final = 3600.0
"""Seconds without an event below which nothing counts as silent."""

OWN: Final = 2.0
"""How many times its longest silence before one must last to be news."""

ACTIVE_LEAST: Final = 20
"""Minutes with events below which nothing is known of what silence is usual."""

PARTITION: Final = ("topic", "partition", "first_offset", "last_offset", "read", "rejected", "missing", "first", "last")
GAP: Final = ("topic", "partition", "after_offset", "before_offset", "missing", "after_time", "before_time")
SILENT: Final = ("of", "name", "kind", "last", "silent_seconds", "longest_before_seconds", "events", "active_minutes")
_PARTITION_SHOWN: Final = ("topic", "partition", "first_offset", "last_offset", "read", "rejected", "missing", "last")
_SILENT_SHOWN: Final = ("of", "name", "last", "silent_seconds", "longest_before_seconds", "events")
REJECT: Final = ("topic", "partition", "reason", "rejects", "first", "last", "example")
VERDICT: Final = ("topic", "verdict", "events", "first", "last")

BLOCK: Final = 65_536
"""Offsets are counted by so many at a time, which the statement knows as 16 bits: where some are missing, only that
block is looked through for which."""

BLOCKS_MOST: Final = 20
GAPS_MOST: Final = 100

# A bitmap counts the offsets of a block exactly, in little memory, and rows that are there twice once. One for what was
# read of each format, one for what was refused; then they are laid over each other.
_BLOCKS: Final = """
SELECT topic, partition, block, min(lowest) AS first_offset, max(highest) AS last_offset,
    groupBitmapMergeIf(offsets, is_event) AS read, groupBitmapMergeIf(offsets, NOT is_event) AS rejected,
    groupBitmapMerge(offsets) AS held, min(earliest) AS first, max(latest) AS last,
    sumIf(counted, is_event) AS rows, minIf(earliest, is_event) AS first_event, maxIf(latest, is_event) AS last_event,
    groupArrayIf((format, latest), is_event) AS formats
FROM
(
    SELECT topic, partition, format, bitShiftRight(offset, 16) AS block, true AS is_event,
        min(offset) AS lowest, max(offset) AS highest, groupBitmapState(toUInt32(bitAnd(offset, 65535))) AS offsets,
        min(time) AS earliest, max(time) AS latest, count() AS counted
    FROM events_data
    WHERE time >= {since:DateTime64(6, 'UTC')} AND time < {until:DateTime64(6, 'UTC')} AND offset >= 0
    GROUP BY topic, partition, format, block
    UNION ALL
    SELECT topic, partition, '' AS format, bitShiftRight(offset, 16) AS block, false AS is_event,
        min(offset) AS lowest, max(offset) AS highest, groupBitmapState(toUInt32(bitAnd(offset, 65535))) AS offsets,
        min(received_at) AS earliest, max(received_at) AS latest, count() AS counted
    FROM rejects_data
    WHERE received_at >= {since:DateTime64(6, 'UTC')} AND received_at < {until:DateTime64(6, 'UTC')} AND offset >= 0
    GROUP BY topic, partition, block
)
GROUP BY topic, partition, block
ORDER BY topic, partition, block
"""
_GAPS: Final = """
SELECT topic, partition, before AS after_offset, o AS before_offset, o - before - 1 AS missing,
    at_before AS after_time, at AS before_time
FROM
(
    SELECT topic, partition, o, at,
        lagInFrame(o) OVER w AS before, lagInFrame(at) OVER w AS at_before, row_number() OVER w AS place
    FROM
    (
        SELECT topic, partition, o, min(time) AS at
        FROM
        (
            SELECT topic, partition, offset AS o, time
            FROM events_data
            WHERE topic = {topic:String} AND partition = {partition:Int32}
                AND offset >= {first:Int64} AND offset <= {last:Int64}
                AND time >= {since:DateTime64(6, 'UTC')} AND time < {until:DateTime64(6, 'UTC')}
            UNION ALL
            SELECT topic, partition, offset AS o, received_at AS time
            FROM rejects_data
            WHERE topic = {topic:String} AND partition = {partition:Int32}
                AND offset >= {first:Int64} AND offset <= {last:Int64}
                AND received_at >= {since:DateTime64(6, 'UTC')} AND received_at < {until:DateTime64(6, 'UTC')}
        )
        GROUP BY topic, partition, o
    )
    WINDOW w AS (PARTITION BY topic, partition ORDER BY o ROWS BETWEEN 1 PRECEDING AND CURRENT ROW)
)
WHERE place > 1 AND missing > 0
ORDER BY before_offset
LIMIT {most:UInt64}
"""
# By the minute, from the rollup, whose rows of one minute add up: the inner question has, of every principal, the
# silences between its minutes; the outer one tells the rest of those that it finds. Its role is that of most events:
# orders to an agent have the role of who gave them.
_PRINCIPALS: Final = """
SELECT principal AS name, sumMap([role], [m.events]) AS roles,
    arraySort((name, count) -> (-toInt64(count), name), roles.1, roles.2)[1] AS kind,
    max(minute) AS last_minute, sum(m.events) AS events,
    uniqExact(minute) AS active_minutes,
    arrayMax(arrayDifference(arraySort(groupArray(toUInt32(minute))))) AS longest_before_seconds
FROM principal_minutes_data AS m
WHERE minute >= toStartOfMinute({since:DateTime64(6, 'UTC')}) AND minute < {until:DateTime64(6, 'UTC')}
    AND principal IN
    (
        SELECT principal
        FROM principal_minutes_data
        WHERE minute >= toStartOfMinute({since:DateTime64(6, 'UTC')}) AND minute < {until:DateTime64(6, 'UTC')}
        GROUP BY principal
        HAVING dateDiff('second', max(minute), {now:DateTime64(6, 'UTC')}) > greatest(
            {silence:Float64},
            {own:Float64} * arrayMax(arrayDifference(arraySort(groupArray(toUInt32(minute)))))
        )
    )
GROUP BY principal
HAVING active_minutes >= {least:UInt32}
ORDER BY last_minute DESC, name
"""
# Those sources alone whose last event is past `silence`; repeated rows change nothing but the number of events.
_SOURCES: Final = """
SELECT topic AS name, format AS kind, max(minute) AS last_minute, sum(n) AS events, count() AS active_minutes,
    arraySort(groupArray(toUnixTimestamp(minute))) AS minutes,
    arrayMax(arrayDifference(minutes)) AS longest_before_seconds
FROM
(
    SELECT topic, format, toStartOfMinute(time) AS minute, count() AS n
    FROM events_data
    WHERE (topic, format) IN {sources:Array(Tuple(String, String))}
        AND time >= {since:DateTime64(6, 'UTC')} AND time < {until:DateTime64(6, 'UTC')}
    GROUP BY topic, format, minute
)
GROUP BY topic, format
HAVING active_minutes >= {least:UInt32}
    AND dateDiff('second', last_minute, {now:DateTime64(6, 'UTC')})
        > greatest({silence:Float64}, {own:Float64} * longest_before_seconds)
ORDER BY last_minute DESC, name
"""
_REJECTS: Final = """
SELECT topic, partition, reason, count() AS rejects, min(received_at) AS first, max(received_at) AS last,
    argMin(detail, received_at) AS example
FROM rejects
WHERE received_at >= {since:DateTime64(6, 'UTC')} AND received_at < {until:DateTime64(6, 'UTC')}
GROUP BY topic, partition, reason
ORDER BY rejects DESC, topic, partition, reason
"""
_VERDICTS: Final = """
SELECT topic, verdict, uniqExact(partition, offset, index) AS events, min(time) AS first, max(time) AS last
FROM events_data
WHERE verdict != 'scored'
    AND time >= {since:DateTime64(6, 'UTC')} AND time < {until:DateTime64(6, 'UTC')}
GROUP BY topic, verdict
ORDER BY topic, verdict
"""
# Where rows are there twice, or messages held several events: else the blocks tell it.
_EXTENT: Final = """
SELECT count() AS events, min(time) AS first, max(time) AS last
FROM events
WHERE time >= {since:DateTime64(6, 'UTC')} AND time < {until:DateTime64(6, 'UTC')}
"""


def answer(store: Store, span: Span = EVER, *, silence: float = SILENCE, now: datetime | None = None) -> Answer:
    """Where the log has holes.

    Args:
        store: The event store.
        span: When.
        silence: Seconds without an event below which nothing counts as silent.
        now: The time to which silence is counted; that of the latest event if not given.
    """
    blocks = records(store.client.query(_BLOCKS, parameters=span.bound))
    events, first, last = _extent(store, span, blocks)
    partitions = _partitions(blocks)
    holes = _holes(blocks)
    gaps = [
        gap for hole in holes[:BLOCKS_MOST] for gap in records(store.client.query(_GAPS, parameters=hole | span.bound))
    ]
    end = now or last
    silent = _silent(store, span, silence, end, blocks) if events else []
    rejects = records(store.client.query(_REJECTS, parameters=span.bound))
    verdicts = records(store.client.query(_VERDICTS, parameters=span.bound))
    answer = Answer(
        [
            table("partitions", "Partitions", partitions, PARTITION, _PARTITION_SHOWN),
            table("gaps", "Offsets that are missing", gaps[:GAPS_MOST], GAP),
            _silent_table(silent, end),
            table("rejects", "What was refused", rejects, REJECT),
            table("verdicts", "What was stored and not scored", verdicts, VERDICT),
        ],
        advice=f"The store holds no event{span.words}.",
    )
    if events:
        answer.facts = {
            "events": f"{number(events)} from {iso(first)} to {iso(last)}",
            "missing": _verdict_on(sum(row["missing"] for row in partitions), len({row["partition"] for row in holes})),
            "silent": plural(len(silent), "source or agent", "sources and agents"),
            "refused": plural(sum(row["rejects"] for row in rejects), "record"),
        }
    if holes:
        answer.notes.append("Compaction and transactions leave holes in a topic's offsets where nothing is missing.")
    if len(holes) > BLOCKS_MOST or len(gaps) > GAPS_MOST:
        answer.notes.append(
            f"Only the first {len(gaps[:GAPS_MOST])} gaps are told; ask for a shorter span to see others."
        )
    return answer


def _extent(store: Store, span: Span, blocks: list[dict[str, Any]]) -> tuple[int, datetime, datetime]:
    """How many events there are, and the times of the first and the last; without any, of the span."""
    read = [block for block in blocks if block["rows"]]
    if not read:
        return 0, span.since, span.until
    if any(block["rows"] != block["read"] for block in read):
        events, first, last = store.client.query(_EXTENT, parameters=span.bound).result_rows[0]
        return int(events), first, last
    first, last = min(block["first_event"] for block in read), max(block["last_event"] for block in read)
    return sum(block["rows"] for block in read), first, last


def _partitions(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sums by partition."""
    partitions: dict[tuple[str, int], dict[str, Any]] = {}
    for block in blocks:
        row = partitions.setdefault(
            (block["topic"], block["partition"]), {**block, "read": 0, "rejected": 0, "held": 0}
        )
        for column in ("read", "rejected", "held"):
            row[column] += block[column]
        row["last_offset"] = block["last_offset"]
        row["first"], row["last"] = min(row["first"], block["first"]), max(row["last"], block["last"])
        row["missing"] = row["last_offset"] - row["first_offset"] + 1 - row["held"]
    return list(partitions.values())


def _holes(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Stretches of a partition that have gaps in them, or before them: what to ask for the gaps."""
    holes = []
    before: dict[str, Any] | None = None
    for block in blocks:
        same = before is not None and (before["topic"], before["partition"]) == (block["topic"], block["partition"])
        first = before["last_offset"] if same and before is not None else block["first_offset"]
        if block["last_offset"] - first + 1 - same != block["held"]:
            place = {"topic": block["topic"], "partition": block["partition"]}
            holes.append({**place, "first": first, "last": block["last_offset"], "most": GAPS_MOST})
        before = block
    return holes


def _verdict_on(missing: int, partitions: int) -> str:
    if not missing:
        return "no offset"
    return f"{plural(missing, 'offset')} in {plural(partitions, 'partition')}"


def _silent(
    store: Store, span: Span, silence: float, now: datetime, blocks: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    bound = {**span.bound, "silence": silence, "own": OWN, "least": ACTIVE_LEAST, "now": now}
    quiet = {**bound, "sources": _quiet(blocks, now - timedelta(seconds=silence))}
    told: list[dict[str, Any]] = []
    if quiet["sources"]:
        told += [{**row, "of": "source"} for row in records(store.client.query(_SOURCES, parameters=quiet))]
    told += [{**row, "of": "principal"} for row in records(store.client.query(_PRINCIPALS, parameters=bound))]
    for row in told:
        row["last"] = row["last_minute"]
        row["silent_seconds"] = (now - row["last_minute"]).total_seconds()
        row["longest_before_seconds"] = float(row["longest_before_seconds"])
    return told


def _quiet(blocks: list[dict[str, Any]], since: datetime) -> list[tuple[str, str]]:
    """Topics with their formats of which there is nothing after a time, or in the minute of it."""
    last: dict[tuple[str, str], datetime] = {}
    for block in blocks:
        for name, latest in block["formats"]:
            source = block["topic"], name
            last[source] = max(latest, last.get(source, latest))
    return sorted(source for source, latest in last.items() if latest <= since + timedelta(minutes=1))


def _silent_table(silent: list[dict[str, Any]], now: datetime | None) -> Table:
    told = table("silent", "Sources and principals that fell silent", silent, SILENT, _SILENT_SHOWN)
    if now is not None and silent:
        longest = timedelta(seconds=max(row["silent_seconds"] for row in silent))
        told.note = f"Up to {iso(now)}, by the minute; the longest for {duration(longest.total_seconds())}. "
        told.note += f"Silent: for more than {OWN:g} times its longest silence before."
    return told
