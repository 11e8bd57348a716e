"""What the event store costs, and what auditors' questions take: on the embedded engine, in a folder that is removed.

A company of the simulator is stored twice, with links and without, batch by batch in turn: that gives the price of the
links, the size of an event and the rate of verification. Then it is multiplied, by the engine itself, into many
companies over many days, and each question is asked of those.
"""

import gc
import statistics
import tempfile
import time
import zlib
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any, Final

import msgspec

from detector.audit import access, coverage, egress, timeline
from detector.audit.answer import Answer, Span
from detector.events import Envelope, Event
from detector.sinks.clickhouse import ClickHouseSink
from detector.sinks.clickhouse_links import LinkWriter
from detector.store.client import Store, connect
from detector.store.migrate import migrate
from detector.store.verify import Verification
from tests.bench.stream import DAY, MONDAY, days_of

PRINCIPALS: Final = 800
DAYS: Final = 8
COMPANIES: Final = 7
TIMES: Final = 8
"""How often the days come again, one after the other."""

BATCH: Final = ClickHouseSink.batch
_PARTITIONS: Final = 6

# Other names, other ids, other offsets; and the same again so many days later.
_MULTIPLY: Final = """
INSERT INTO events_data
SELECT * REPLACE (
    concat(principal, {copy:String}) AS principal,
    if(actor_id = e.principal, concat(actor_id, {copy:String}), actor_id) AS actor_id,
    time + toIntervalDay({later:UInt32}) AS time,
    received_at + toIntervalDay({later:UInt32}) AS received_at,
    offset * {step:Int64} + {place:Int64} AS offset,
    substring(lower(hex(SHA1(concat(id, toString({place:Int64}))))), 1, 20) AS id,
    if(session = '', '', concat('s-', substring(lower(hex(SHA1(concat(session, toString({place:Int64}))))), 1, 10)))
        AS session
)
FROM seed.events_data AS e
"""
_SIZE: Final = """
SELECT sum(rows), sum(bytes_on_disk) FROM system.parts
WHERE active AND database = currentDatabase() AND table = {table:String}
"""
_RAW: Final = """
SELECT sum(column_data_compressed_bytes) FROM system.parts_columns
WHERE active AND database = currentDatabase() AND table = 'events_data' AND column = 'raw'
"""
_BUSIEST: Final = "SELECT principal FROM principal_minutes_data GROUP BY principal ORDER BY sum(events) DESC, 1 LIMIT 1"
_REACHED: Final = """
SELECT target_uri FROM events_data WHERE target_uri != '' AND time < {until:DateTime64(6, 'UTC')}
GROUP BY target_uri ORDER BY uniq(principal) DESC, 1 LIMIT 1
"""
_SESSION: Final = """
SELECT session FROM events_data WHERE principal = {principal:String} AND session != '' ORDER BY time LIMIT 1
"""


class Question(msgspec.Struct, frozen=True):
    """Seconds that one question takes: the median of repetitions, from best to worst, and the processor's seconds."""

    name: str
    seconds: float
    best: float
    worst: float
    cpu: float


class AuditCosts(msgspec.Struct, frozen=True):
    """All that is measured.

    `linked_ratio` is what an insert with links takes by what the same takes without (`stored` events in batches of
    `BATCH`), `linked_rate` events a second with links. Bytes are of an event on disk, merged: with its original,
    without it, and what rollups and links add. `verified_rate` is rows a second, and `questions` are asked of `events`.
    """

    stored: int
    linked_ratio: float
    linked_rate: float
    bytes_with_raw: float
    bytes_without_raw: float
    bytes_besides: float
    verified_rate: float
    events: int
    questions: list[Question]


def measure(
    repetitions: int = 5,
    principals: int = PRINCIPALS,
    days: int = DAYS,
    companies: int = COMPANIES,
    times: int = TIMES,
) -> AuditCosts:
    """Store, verify, multiply, ask.

    Args:
        repetitions: Of each question, and of verification.
        principals: In the company.
        days: That it is stored for.
        companies: How many like it there are in the end.
        times: How often its days come again.
    """
    with tempfile.TemporaryDirectory(prefix="bench-audit-") as folder, ExitStack() as stack:
        seed, plain, many = (
            stack.enter_context(connect(f"chdb://{folder}?database={name}")) for name in ("seed", "plain", "many")
        )
        for store in (seed, plain, many):
            migrate(store)
        rows = _rows(days_of(principals, 0, days))
        ratio, rate = _load(seed, plain, rows)
        plain.client.command("DROP DATABASE plain SYNC", use_database=False)
        verified = _verified(seed, repetitions)
        sizes = _sizes(seed)
        _multiply(many, companies, times, days)
        return AuditCosts(
            len(rows),
            ratio,
            rate,
            *sizes,
            verified,
            int(_one(many, "SELECT count() FROM events_data")),
            _asked(many, repetitions, Span(MONDAY + DAY, MONDAY + 2 * DAY)),
        )


def _rows(events: Sequence[Event]) -> list[tuple[Envelope, str]]:
    """As the scoring stage hands them over: the events of a principal in one partition."""
    offsets = [0] * _PARTITIONS
    encode = msgspec.json.Encoder().encode
    rows = []
    for event in events:
        partition = zlib.crc32(event.principal.encode()) % _PARTITIONS
        at = event.time.timestamp() + 0.3
        rows.append((Envelope(event, "agent-events", partition, offsets[partition], at, encode(event)), "scored"))
        offsets[partition] += 1
    return rows


def _load(linked: Store, plain: Store, rows: Sequence[tuple[Envelope, str]]) -> tuple[float, float]:
    """The ratio of an insert with links to one without, and events a second with links."""
    sinks = [
        ClickHouseSink(plain.client, database=plain.database),
        ClickHouseSink(
            linked.client,
            database=linked.database,
            links=LinkWriter(linked.client, linked.database, "bench", time.time),
        ),
    ]
    ratios, spent = [], 0.0
    for number, start in enumerate(range(0, len(rows), BATCH)):
        batch = rows[start : start + BATCH]
        took = {sink: _timed(partial(_write, sink, batch)) for sink in (sinks if number % 2 else sinks[::-1])}
        ratios.append(took[sinks[1]] / took[sinks[0]])
        spent += took[sinks[1]]
    return round(statistics.median(ratios), 2), round(len(rows) / spent)


def _write(sink: ClickHouseSink, batch: Sequence[tuple[Envelope, str]]) -> None:
    if sink.write_events(batch):
        raise RuntimeError("the store refused events, so that something else was measured")


def _timed(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def _verified(store: Store, repetitions: int) -> float:
    """Rows a second of the whole store."""
    rates = []
    for _ in range(repetitions):
        gc.collect()
        begin = time.perf_counter()
        proof = Verification(store, int((MONDAY + 365 * DAY).timestamp() * 1e6)).run()
        rates.append(sum(proof.rows.values()) / (time.perf_counter() - begin))
        if not proof.sound:
            raise RuntimeError(f"the store is not what was written: {proof.problems[0].detail}")
    return round(statistics.median(rates))


def _sizes(store: Store) -> tuple[float, float, float]:
    """Bytes an event, everything merged: with its original, without it, and of rollups and links."""
    # Of small parts the engine does not count columns one by one.
    store.client.command("ALTER TABLE events_data MODIFY SETTING min_bytes_for_wide_part = 0")
    sizes = {}
    for name in ("events_data", "principal_minutes_data", "integrity_data"):
        store.client.command("OPTIMIZE TABLE {t:Identifier} FINAL", parameters={"t": name})
        sizes[name] = store.client.query(_SIZE, parameters={"table": name}).result_rows[0]
    rows, whole = sizes["events_data"]
    raw = int(_one(store, _RAW))
    besides = sizes["principal_minutes_data"][1] + sizes["integrity_data"][1]
    return round(whole / rows, 1), round((whole - raw) / rows, 1), round(besides / rows, 1)


def _multiply(store: Store, companies: int, times: int, days: int) -> None:
    step = companies * times
    for place in range(step):
        again, company = divmod(place, companies)
        given = {"copy": f"-{company}" if company else "", "later": again * days, "step": step, "place": place}
        settings = {"max_partitions_per_insert_block": 0, "max_insert_threads": 2}
        store.client.raw_query(_MULTIPLY, parameters=given, settings=settings)


def _asked(store: Store, repetitions: int, day: Span) -> list[Question]:
    """Each question in turn, again and again, so that what else the machine does falls on all alike."""
    principal = str(_one(store, _BUSIEST))
    resource = str(_one(store, _REACHED, {"until": MONDAY + DAY}))
    session = str(_one(store, _SESSION, {"principal": principal}))
    questions: dict[str, Callable[[], Answer]] = {
        "timeline of a principal's day": lambda: timeline.of_principal(store, principal, day),
        "timeline of a session": lambda: timeline.of_session(store, session),
        "access to a resource, a day": lambda: access.answer(store, resource, day),
        "access to a resource, all time": lambda: access.answer(store, resource),
        "egress of a principal, all time": lambda: egress.answer(store, principal),
        "coverage, a day": lambda: coverage.answer(store, day),
        "coverage, all time": lambda: coverage.answer(store),
    }
    wall: dict[str, list[float]] = {name: [] for name in questions}
    cpu: dict[str, list[float]] = {name: [] for name in questions}
    for _ in range(repetitions):
        for name, question in questions.items():
            begin = time.process_time()
            wall[name].append(_timed(partial(_answered, name, question)))
            cpu[name].append(time.process_time() - begin)
    return [
        Question(
            name,
            seconds=round(statistics.median(wall[name]), 3),
            best=round(min(wall[name]), 3),
            worst=round(max(wall[name]), 3),
            cpu=round(statistics.median(cpu[name]), 3),
        )
        for name in questions
    ]


def _answered(name: str, question: Callable[[], Answer]) -> None:
    if question().empty:
        raise RuntimeError(f"{name}: nothing was found, so that something else was measured")


def _one(store: Store, question: str, given: dict[str, Any] | None = None) -> Any:
    return store.client.query(question, parameters=given).result_rows[0][0]


def table(costs: AuditCosts) -> str:
    """As Markdown."""
    lines = [
        f"| question to {costs.events:,} events | seconds | best to worst | of the processor |",
        "| --- | ---: | ---: | ---: |",
        *(f"| {q.name} | {q.seconds:.2f} | {q.best:.2f} to {q.worst:.2f} | {q.cpu:.2f} |" for q in costs.questions),
    ]
    told = (
        f"An insert with links takes {costs.linked_ratio:.2f} times one without ({costs.stored:,} events, {BATCH:,} at "
        f"a time, {costs.linked_rate:,.0f} a second); verification {costs.verified_rate:,.0f} rows a second. An event "
        f"takes {costs.bytes_with_raw:.0f} bytes with its original, {costs.bytes_without_raw:.0f} without, rollups "
        f"and links {costs.bytes_besides:.0f} more."
    )
    return "\n".join([*lines, "", told])
