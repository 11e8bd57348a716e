"""Whatever befalls an honest writer, verification raises no alarm; and what is stored stays as it is."""

import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from detector.events import Actor, Envelope, Event, Target
from detector.sinks.base import Batch, SinkUnavailable
from detector.sinks.clickhouse import ClickHouseSink
from detector.store.client import Store, connect
from detector.store.verify import Verification
from tests.support.clickhouse_front import ClickHouseFront
from tests.support.linked import NOW, Linked, everything, found, mutate, rows, verified
from tests.support.nouns import T0, a_finding, an_alert, an_envelope

pytestmark = pytest.mark.chdb

EVENTS = "`events_data`"
LINKS = "`integrity_data`"


def count(store: Store, table: str) -> int:
    return int(store.client.query(f"SELECT count() FROM {table}").result_rows[0][0])  # noqa: S608


def kinds(store: Store) -> list[str]:
    return [row[0] for row in store.client.query("SELECT kind FROM integrity ORDER BY chain, sequence").result_rows]


def test_what_comes_again_is_left_as_it_is_however_it_is_cut(embedded_store: Store) -> None:
    everything(Linked(embedded_store))
    before = count(embedded_store, "events_data"), count(embedded_store, "integrity_data")
    again = Linked(embedded_store, "w-2")
    for numbers in (range(7), range(5, 25), range(25, 40)):
        changed = [(msgspec.structs.replace(envelope, format="otel"), "late") for envelope, _ in rows(numbers)]
        again.write(Batch(changed, [a_finding(1, severity="SEV1")], [an_alert(1, title="another")]))
    assert (count(embedded_store, "events_data"), count(embedded_store, "integrity_data")) == before
    assert count(embedded_store, "findings_data") == 3
    again.write(Batch(rows(range(38, 43))))
    assert count(embedded_store, "events_data") == 43
    assert kinds(embedded_store)[-2:] == ["begin", "rows"]
    proof = verified(embedded_store)
    assert (proof.problems, proof.alike, proof.chains) == ([], 0, 2)
    assert embedded_store.client.query("SELECT DISTINCT format, verdict FROM events").result_rows == [
        ("native", "scored")
    ]


def test_a_batch_that_holds_a_message_twice_stores_it_once(embedded_store: Store) -> None:
    writer = Linked(embedded_store)
    writer.write(Batch([*rows(range(5)), *rows(range(3, 8))], [a_finding(1), a_finding(1, score=9.0)]))
    proof = verified(embedded_store)
    assert (proof.problems, proof.rows) == ([], {"events_data": 8, "findings_data": 1})


def test_a_topic_that_was_made_anew_is_not_taken_for_the_old_one(embedded_store: Store) -> None:
    writer = Linked(embedded_store)
    writer.write(Batch(rows(range(5))))
    writer.clock.now += 60
    anew = [
        (msgspec.structs.replace(e, event=msgspec.structs.replace(e.event, id=f"n{e.offset}")), v)
        for e, v in rows(range(9))
    ]
    later = [
        (msgspec.structs.replace(e, event=msgspec.structs.replace(e.event, time=T0 + timedelta(hours=1 + e.offset))), v)
        for e, v in anew
    ]
    writer.write(Batch(later))
    assert count(embedded_store, "events") == 14
    assert verified(embedded_store).sound
    zombie(embedded_store, rows(range(5)))
    proof = verified(embedded_store)
    assert (proof.problems, proof.alike) == ([], 1)


def zombie(store: Store, given: Sequence[tuple[Envelope, str]]) -> None:
    """A worker that believes itself to be the owner of its partition writes what another has written."""
    writer = Linked(store, "zombie")
    for envelope, _ in given:
        writer.links._stored._next[envelope.topic, envelope.partition] = (envelope.offset, writer.clock.now + 0.5)
        break
    writer.write(Batch(list(given)))


def test_rows_that_a_zombie_wrote_again_are_no_tampering(embedded_store: Store) -> None:
    everything(Linked(embedded_store))
    zombie(embedded_store, rows(range(5, 25)))
    for _ in range(2):
        proof = verified(embedded_store)
        assert (proof.problems, proof.alike) == ([], 3)
        assert proof.rows["events_data"] == 30, "ten that nobody wrote again, and twenty of the zombie's"
        embedded_store.client.command("OPTIMIZE TABLE events_data FINAL")
    mutate(embedded_store, "ALTER TABLE events_data UPDATE bytes_in = 1 WHERE id = 'e7'")
    assert found(verified(embedded_store)) == {"altered"}


class Crash(BaseException):
    """The process is gone."""


class Dying:
    """A client whose process dies before or after an insert into a table."""

    def __init__(self, client: Any, table: str, *, after: bool) -> None:
        self._client = client
        self._table = table
        self._after = after

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def insert(self, table: str, *arguments: Any, **options: Any) -> Any:
        if table == self._table and not self._after:
            raise Crash
        done = self._client.insert(table, *arguments, **options)
        if table == self._table:
            raise Crash
        return done


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("table", ["integrity_data", "events_data", "findings_data"])
def test_a_crash_anywhere_leaves_a_store_that_is_sound_before_and_after_the_replay(
    embedded_store: Store, table: str, after: bool
) -> None:
    first = Linked(embedded_store)
    first.write(Batch(rows(range(10))))
    dying = Dying(embedded_store.client, table, after=after)
    first.links._inserter._client = dying
    with pytest.raises(Crash):
        first.write(Batch(rows(range(10, 20)), [a_finding(n) for n in range(3)]))
    anchor = first.anchor()
    proof = verified(embedded_store, [anchor])
    assert proof.problems == []
    second = Linked(embedded_store, "w-2", first.clock)
    second.write(Batch(rows(range(8, 15)), [a_finding(0)]))
    second.write(Batch(rows(range(15, 25)), [a_finding(n) for n in range(4)]))
    proof = verified(embedded_store, [anchor, second.anchor()])
    assert (proof.problems, proof.alike) == ([], 0)
    assert proof.rows == {"events_data": 25, "findings_data": 4}
    assert proof.unfinished == (
        1 if (table, after) in {("integrity_data", True), ("events_data", False), ("findings_data", False)} else 0
    )


def unwritable(offset: int) -> Envelope:
    """An event with a text that is not UTF-8."""
    envelope = an_envelope(offset)
    return msgspec.structs.replace(envelope, event=msgspec.structs.replace(envelope.event, action="\ud800"))


def too_large(offset: int) -> Envelope:
    """An event with a number that is larger than any column."""
    envelope = an_envelope(offset)
    return msgspec.structs.replace(envelope, event=msgspec.structs.replace(envelope.event, records=2**70))


def test_refused_rows_are_taken_back_and_the_rest_is_covered(embedded_store: Store) -> None:
    embedded_store.client.command("ALTER TABLE events_data ADD CONSTRAINT no_nines CHECK NOT endsWith(id, '9')")
    writer = Linked(embedded_store)
    given = [*rows(range(20)), (an_envelope(20, bytes_out=-1), "scored"), (unwritable(21), "scored")]
    given += [(an_envelope(22, records=2**64 - 1), "scored"), (too_large(23), "scored")]
    refused = writer.sink.write_events(given)
    assert sorted(one.item[0].offset for one in refused if isinstance(one.item, tuple)) == [9, 19, 20, 21, 23]
    assert count(embedded_store, "events") == 19
    assert "void" in kinds(embedded_store)
    writer.write(Batch(rows(range(30, 33))))
    anchor = writer.anchor()
    proof = verified(embedded_store, [anchor])
    assert (proof.problems, proof.rows, proof.unfinished) == ([], {"events_data": 22}, 0)
    assert writer.sink.write_events(given) != [], "the same rows are refused again, and the others left alone"
    assert verified(embedded_store, [anchor]).problems == []


def test_months_have_links_of_their_own(embedded_store: Store) -> None:
    writer = Linked(embedded_store)
    days = (datetime(2026, month, 1 + 9 * (number % 3), tzinfo=UTC) for month in (3, 1, 2) for number in range(4))
    writer.write(Batch([(an_envelope(number, time=day), "scored") for number, day in enumerate(days)]))
    assert kinds(embedded_store) == ["begin", "rows", "rows", "rows"]
    proof = verified(embedded_store)
    assert (proof.problems, proof.rows) == ([], {"events_data": 12})


def test_holds_merges_and_columns_that_are_added_later_change_nothing(embedded_store: Store) -> None:
    everything(Linked(embedded_store))
    mutate(embedded_store, "ALTER TABLE events_data UPDATE held = 1 WHERE id = 'e3'")
    embedded_store.client.command("ALTER TABLE events_data ADD COLUMN mood String DEFAULT 'calm'")
    embedded_store.client.command("OPTIMIZE TABLE events_data FINAL")
    assert verified(embedded_store).problems == []


def test_a_column_that_was_taken_away_is_told(embedded_store: Store) -> None:
    everything(Linked(embedded_store))
    embedded_store.client.command("ALTER TABLE findings_data DROP COLUMN evidence")
    embedded_store.client.command("CREATE OR REPLACE VIEW findings AS SELECT * FROM findings_data FINAL")
    assert found(verified(embedded_store)) == {"altered"}


def test_rows_from_before_there_were_chains_are_counted(embedded_store: Store) -> None:
    ClickHouseSink(embedded_store.client, database=embedded_store.database).write(Batch(rows(range(5)), [a_finding(1)]))
    assert verified(embedded_store).unlinked == {"events_data": 5, "findings_data": 1}
    writer = Linked(embedded_store)
    writer.write(Batch(rows(range(10)), [a_finding(1), a_finding(2)]))
    proof = verified(embedded_store)
    assert (proof.problems, proof.unlinked) == ([], {"events_data": 5, "findings_data": 1})
    assert proof.rows == {"events_data": 5, "findings_data": 1}
    ClickHouseSink(embedded_store.client, database=embedded_store.database).write(Batch(rows([77])))
    (problem,) = verified(embedded_store).problems
    assert "6 rows of events_data are covered by no link, and 5 were there before" in problem.detail


def test_rows_past_their_retention_may_be_gone_and_no_others(embedded_store: Store) -> None:
    writer = Linked(embedded_store)
    times = [T0 - timedelta(days=90), T0]
    writer.write(Batch([(an_envelope(number, time=time), "scored") for number, time in enumerate(times)]))
    writer.write(Batch([(an_envelope(2, time=times[0]), "scored")]))
    mutate(embedded_store, "DELETE FROM events_data WHERE `offset` = 0")
    days = (T0 - times[0]).days - 31
    assert found(verified(embedded_store)) == {"missing"}
    assert found(verified(embedded_store, retention={"events_data": days + 40})) == {"missing"}
    proof = verified(embedded_store, retention={"events_data": days})
    assert (proof.problems, proof.expired, proof.rows) == ([], 1, {"events_data": 2})
    mutate(embedded_store, "DELETE FROM events_data WHERE `offset` = 1")
    assert found(verified(embedded_store, retention={"events_data": days})) == {"missing"}


def test_rows_of_the_last_minute_may_still_be_on_their_way_to_a_replica(embedded_store: Store) -> None:
    writer = Linked(embedded_store)
    writer.write(Batch(rows(range(5))))
    writer.write(Batch(rows(range(5, 9))))
    mutate(embedded_store, "DELETE FROM events_data WHERE written_in = 2")
    told = Verification(embedded_store, int((writer.clock.now + 50) * 1e6)).run()
    assert (told.problems, told.unfinished) == ([], 1)
    assert found(Verification(embedded_store, int((writer.clock.now + 61) * 1e6)).run()) == {"missing"}


def test_since_looks_at_what_was_written_from_then_on(embedded_store: Store) -> None:
    writer = Linked(embedded_store)
    everything(writer)
    writer.clock.now += 100
    since = int(writer.clock.now * 1e6)
    writer.write(Batch(rows(range(50, 55))))
    mutate(embedded_store, "ALTER TABLE events_data UPDATE bytes_in = 1 WHERE id = 'e7'")
    proof = verified(embedded_store, since=since)
    assert (proof.problems, proof.rows) == ([], {"events_data": 5})
    mutate(embedded_store, "ALTER TABLE events_data UPDATE bytes_in = 1 WHERE id = 'e52'")
    assert found(verified(embedded_store, since=since)) == {"altered"}


def test_verification_while_others_write_raises_no_alarm(embedded_store: Store) -> None:
    stop = threading.Event()
    failed: list[BaseException] = []

    def write() -> None:
        try:
            with connect(f"{embedded_store.url}?database={embedded_store.database}") as mine:
                writer, number = Linked(mine), 0
                while not stop.is_set():
                    months = [T0 + timedelta(days=31 * (n % 3)) for n in range(number, number + 20)]
                    given = [(an_envelope(number + n, time=time), "scored") for n, time in enumerate(months)]
                    writer.write(Batch(given, [a_finding(number)]))
                    number += 20
        except BaseException as error:  # noqa: BLE001 - shown by the test
            failed.append(error)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        proofs = [verified(embedded_store) for _ in range(12)]
    finally:
        stop.set()
        thread.join(30)
    assert failed == []
    assert [proof.problems for proof in proofs] == [[]] * 12
    assert proofs[-1].rows.get("events_data", 0) > 0
    assert verified(embedded_store).sound


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
anything = st.builds(
    Event,
    id=texts.filter(bool),
    time=st.datetimes(datetime(1900, 1, 2), datetime(2299, 12, 30), timezones=st.just(UTC)),  # noqa: DTZ001
    actor=st.builds(Actor, texts.filter(bool), role=texts, session=texts),
    kind=st.sampled_from(["access", "transfer"]),
    target=st.none() | st.builds(Target, texts.filter(bool), container_size=st.none() | st.integers(0, 2**63 - 1)),
    bytes_out=st.integers(0, 2**63 - 1),
    records=st.sampled_from([0, 127, 128, 255, 256, 65535, 65536, 2**32 - 1, 2**32]),
    attributes=st.dictionaries(texts, texts | st.floats(allow_nan=False)),
)


@settings(
    max_examples=15,
    deadline=None,
    database=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    drawn=st.lists(anything, min_size=1, max_size=8),
    raw=st.binary(max_size=300),
    received=st.floats(-1e12, 1e12),
    score=st.floats(allow_nan=True) | st.integers(-5, 5),
    name=texts,
)
def test_whatever_is_written_reads_back_to_the_same_digest(
    embedded_store: Store, drawn: list[Event], raw: bytes, received: float, score: float, name: str
) -> None:
    for table in ("events_data", "findings_data", "integrity_data"):
        embedded_store.client.command(f"TRUNCATE TABLE {table}")
    given = [Envelope(e, f"t{n % 2}", n % 3, n, received, raw, n % 2, "native") for n, e in enumerate(drawn)]
    writer = Linked(embedded_store, "w-1")
    finding = a_finding(1, score=score, p_value=score, reason=name, entities=(name, ""), evidence={name: score})
    writer.write(Batch([(envelope, name) for envelope in given], [finding]))
    proof = verified(embedded_store)
    assert (proof.problems, proof.rows) == ([], {"events_data": len(drawn), "findings_data": 1})


HOSTILE = (
    "it's",
    "back\\slash",
    "\\'",
    "new\nline",
    "nul\x00",
    "{x:String}",
    "%(x)s",
    "[a,'b']",
    "\\N",
    " ",
    "😀",
    "\x1b[0m",
)


@pytest.mark.parametrize("where", ["embedded_store", "server_store"])
def test_hostile_names_are_asked_for_like_any_other(where: str, request: pytest.FixtureRequest) -> None:
    """A name that the engine can't read in a question would be tried for ever, and nothing be stored behind it."""
    store: Store = request.getfixturevalue(where)
    events = [an_envelope(number, id=name, actor=Actor(name)) for number, name in enumerate(HOSTILE)]
    moved = [msgspec.structs.replace(envelope, topic=name) for envelope, name in zip(events, HOSTILE, strict=True)]
    findings = [a_finding(number, id=name) for number, name in enumerate(HOSTILE)]
    batch = Batch([(envelope, "scored") for envelope in events + moved], findings)
    for name in ("first", "second"):
        Linked(store, name).write(batch)
    assert kinds(store) == ["begin", "rows", "rows"], "the second wrote nothing"
    zombie(store, batch.events[:3])
    proof = verified(store)
    assert (proof.problems, proof.alike) == ([], 1)
    mutate(store, "DELETE FROM events_data WHERE principal = char(92, 39)")
    assert found(verified(store)) == {"missing"}


@pytest.mark.parametrize("table", [EVENTS, LINKS])
@pytest.mark.parametrize("fault", ["commit_then_drop", "unavailable", "refuse"])
def test_an_insert_that_was_not_heard_of_is_tried_again_under_the_same_link(
    server_store: Store, clickhouse_front: ClickHouseFront, table: str, fault: str
) -> None:
    writer = Linked(server_store)
    writer.write(Batch(rows(range(5))))
    getattr(clickhouse_front.faults, fault)(table, times=2)
    batch = Batch(rows(range(5, 15)), [a_finding(1)])
    with pytest.raises(SinkUnavailable):
        writer.sink.write(batch)
    anchor = writer.anchor()
    assert verified(server_store, [anchor]).problems == []
    clickhouse_front.faults.clear()
    writer.write(batch)
    assert kinds(server_store) == ["begin", "rows", "rows", "rows"]
    proof = verified(server_store, [anchor, writer.anchor()])
    assert (proof.problems, proof.unfinished, proof.alike) == ([], 0, 0)
    assert proof.rows == {"events_data": 15, "findings_data": 1}
    assert count(server_store, "events_data") == 15


@pytest.mark.parametrize("fault", ["commit_then_drop", "unavailable"])
def test_what_was_not_heard_of_is_looked_for_when_other_rows_come(
    server_store: Store, clickhouse_front: ClickHouseFront, fault: str
) -> None:
    writer = Linked(server_store)
    writer.write(Batch(rows(range(5))))
    getattr(clickhouse_front.faults, fault)(EVENTS, times=2)
    with pytest.raises(SinkUnavailable):
        writer.sink.write(Batch(rows(range(5, 15))))
    clickhouse_front.faults.clear()
    writer.write(Batch(findings=[a_finding(1)]))
    writer.write(Batch(rows(range(5, 12))))
    writer.write(Batch(rows(range(12, 20))))
    stored = fault == "commit_then_drop"
    assert ("void" in kinds(server_store)) is not stored
    proof = verified(server_store, [writer.anchor()])
    assert (proof.problems, proof.unfinished, proof.alike) == ([], 0, 0)
    assert proof.rows == {"events_data": 20, "findings_data": 1}


def test_a_void_that_was_not_heard_of_is_stored_before_anything_else(server_store: Store) -> None:
    server_store.client.command("ALTER TABLE events_data ADD CONSTRAINT no_nines CHECK NOT endsWith(id, '9')")
    writer = Linked(server_store)
    writer.write(Batch(rows(range(5))))
    server_store.client.command("ALTER TABLE integrity_data ADD CONSTRAINT later CHECK kind != 'void'")
    with pytest.raises(SinkUnavailable, match="can't be stored"):
        writer.sink.write_events(rows(range(5, 15)))
    with pytest.raises(SinkUnavailable, match="can't be stored"):
        writer.sink.write_findings([a_finding(1)])
    server_store.client.command("ALTER TABLE integrity_data DROP CONSTRAINT later")
    assert len(writer.sink.write_events(rows(range(5, 15)))) == 1
    assert kinds(server_store)[:4] == ["begin", "rows", "rows", "void"]
    proof = verified(server_store, [writer.anchor()])
    assert (proof.problems, proof.rows) == ([], {"events_data": 14})


def test_the_end_of_what_was_looked_at_is_told(embedded_store: Store) -> None:
    writer = Linked(embedded_store)
    everything(writer)
    assert verified(embedded_store).until == int(writer.clock.now * 1e6) < NOW
