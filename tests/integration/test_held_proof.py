"""What a legal hold keeps is proved by its seal when the other rows of its links have expired."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec
import pytest

from detector.events import Actor, Envelope
from detector.integrity.digest import canonical, digest
from detector.records import OperatorAction
from detector.sinks.base import Batch
from detector.store import held_rows, holds, retention
from detector.store.client import Store
from detector.store.holds import Scope
from detector.store.proof import Proof
from detector.store.seals import Details, Recorder
from tests.support.linked import Linked, found, mutate, rewritten, verified
from tests.support.nouns import a_finding, an_alert, an_envelope

pytestmark = pytest.mark.chdb

LONG_AGO: Final = datetime(2020, 5, 20, 12, 0, tzinfo=UTC)
NOW: Final = datetime(2026, 3, 2, 11, tzinfo=UTC)
SHORT: Final = {"events": 30, "findings": 30, "alerts": 30}
KEPT: Final = retention.days_by_table(SHORT)


class Held:
    """A store with four links of events of two principals each, and findings and alerts of both."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.writer = Linked(store)
        for number in range(4):
            self.writer.write(Batch([(act(5 * number + n), "scored") for n in range(5)]))
        of = [a_finding(n, time=LONG_AGO, principal=who) for n, who in enumerate(("kept", "other", "kept", "other"))]
        alerts = [
            an_alert(n, principals=(who,), opened_at=LONG_AGO, detected_at=LONG_AGO, updated_at=LONG_AGO)
            for n, who in enumerate(("kept", "other"))
        ]
        self.writer.write(Batch(findings=of, alerts=alerts))

    @property
    def recorder(self) -> Recorder:
        def record(actions: Sequence[OperatorAction]) -> None:
            self.writer.clock.now += 1.0
            assert not self.writer.sink.write_operator_actions(actions)

        return Recorder(record, "ann", lambda: datetime.fromtimestamp(self.writer.clock.now, UTC))

    def hold(self, scope: Scope) -> str:
        self.writer.clock.now += 1.0
        action = holds.hold(scope, operator="ann", reason="case 7", now=self.recorder.now())
        assert not self.writer.sink.write_operator_actions([action])
        held_rows.apply(self.store, recorder=self.recorder)
        return action.id

    def release(self, hold: str) -> None:
        self.writer.clock.now += 1.0
        action = holds.release(hold, operator="bo", reason="settled", now=self.recorder.now())
        assert not self.writer.sink.write_operator_actions([action])
        held_rows.apply(self.store, recorder=self.recorder)

    def expire(self) -> None:
        retention.apply(self.store, SHORT, recorder=self.recorder)
        for table in KEPT:
            self.store.client.command("OPTIMIZE TABLE {t:Identifier} FINAL", parameters={"t": table})

    def verified(self) -> Proof:
        return verified(self.store, retention=KEPT)

    def count(self, table: str) -> int:
        ask = "SELECT count() FROM {t:Identifier}"
        return int(self.store.client.query(ask, parameters={"t": table}).result_rows[0][0])


def act(number: int) -> Envelope:
    who = "kept" if number % 5 < 2 else "other"
    return an_envelope(number, time=LONG_AGO + timedelta(minutes=number), actor=Actor(who))


@pytest.fixture
def held(embedded_store: Store) -> Held:
    """What `kept` did is held, and the rest has expired."""
    held = Held(embedded_store)
    held.hold(Scope(principal="kept"))
    held.expire()
    assert [held.count(table) for table in ("events", "findings", "alerts")] == [8, 2, 1]
    return held


def test_what_is_held_is_proved_when_the_rest_of_its_links_has_expired(held: Held) -> None:
    proof = held.verified()
    assert proof.problems == []
    assert (proof.held, proof.expired) == (6, 0)
    assert (proof.rows["events_data"], proof.rows["findings_data"], proof.rows["alerts_data"]) == (8, 2, 1)


def test_a_seal_is_as_documented(held: Held) -> None:
    """By the letter of INTEGRITY.md: the digest of the sealed rows alone."""
    (text,) = held.store.client.query(
        "SELECT details FROM operator_actions WHERE action = 'seal' AND subject = 'held:findings_data'"
    ).result_rows[0]
    told = msgspec.json.decode(text, type=Details)
    (sealed,) = told.links
    assert (told.table, told.chain, sealed.count) == ("findings_data", "w-1", 2)
    names = ", ".join(f"`{name}`" for name in told.columns)
    rows = held.store.client.query(
        f"SELECT {names} FROM findings ORDER BY time, id",  # noqa: S608
        query_formats={"String": "bytes", "DateTime64": "int"},
    ).result_rows
    columns = {
        name: canonical(list(column)) for name, column in zip(told.columns, zip(*rows, strict=True), strict=True)
    }
    assert sealed.digest == digest("findings_data", columns, 1).of_all
    assert [key[1] for key in sealed.keys] == ["f-0", "f-2"]


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("events_data", "bytes_out = bytes_out + 1 WHERE id = 'e11'"),
        ("events_data", "raw = '{}' WHERE id = 'e15'"),
        ("findings_data", "severity = 'SEV4' WHERE id = 'f-2'"),
        ("alerts_data", "status = 'resolved' WHERE id = 'a-0'"),
    ],
)
def test_a_held_row_that_is_altered_is_found(held: Held, table: str, change: str) -> None:
    mutate(held.store, f"ALTER TABLE {table} UPDATE {change}")
    (problem,) = held.verified().problems
    assert (problem.what, problem.table) == ("altered", table)
    assert "legal hold" in problem.detail


@pytest.mark.parametrize(
    ("table", "which", "said"),
    [
        ("events_data", "id = 'e11'", "agent-events, 0, 11"),
        ("events_data", "written_in = (SELECT min(written_in) FROM events_data)", "2 of them are gone"),
        ("findings_data", "1", "2 of them are gone"),
        ("alerts_data", "id = 'a-0'", "a-0"),
    ],
    ids=["one", "all of a link", "all of a table", "the only one"],
)
def test_a_held_row_that_is_gone_is_found(held: Held, table: str, which: str, said: str) -> None:
    mutate(held.store, f"DELETE FROM {table} WHERE {which}")  # noqa: S608
    (problem,) = held.verified().problems
    assert (problem.what, problem.table) == ("missing", table)
    assert said in problem.detail


def test_a_row_that_lost_its_mark_and_expired_is_found(held: Held) -> None:
    """Who takes the mark off lets the engine itself remove the row."""
    mutate(held.store, "ALTER TABLE events_data UPDATE held = false WHERE id = 'e10'")
    held.store.client.command("OPTIMIZE TABLE events_data FINAL")
    assert held.count("events") == 7
    assert found(held.verified()) == {"missing"}


def test_a_row_in_the_place_of_an_expired_one_is_found(held: Held) -> None:
    taken = {"id": b"x", "offset": 900}
    rewritten(held.store, "events_data", lambda row: row, "id = 'e10'")
    assert held.verified().sound
    row = next(
        iter(
            held.store.client.query(
                "SELECT * FROM events_data WHERE id = 'e10'", query_formats={"String": "bytes", "DateTime64": "int"}
            ).named_results()
        )
    )
    put = row | taken
    held.store.client.insert("events_data", [[v] for v in put.values()], column_names=list(put), column_oriented=True)
    assert "inserted" in found(held.verified())


def test_a_seal_that_is_forged_or_taken_out_is_found(held: Held) -> None:
    mutate(held.store, "DELETE FROM operator_actions_data WHERE action = 'seal' AND subject = 'held:events_data'")
    assert ("missing", "operator_actions_data") in {(p.what, p.table) for p in held.verified().problems}


def test_a_seal_that_is_added_by_who_deletes_is_found(held: Held) -> None:
    taken = held.store.client.query(
        "SELECT * FROM operator_actions_data WHERE action = 'seal' AND subject = 'held:alerts_data'",
        query_formats={"String": "bytes", "DateTime64": "int"},
    )
    row = next(iter(taken.named_results()))
    told = msgspec.json.decode(row["details"])
    told["links"] = [[sequence, 0] for sequence, *_ in told["links"]]
    put = row | {"id": b"s-0", "time": row["time"] + 5_000_000, "details": msgspec.json.encode(told)}
    held.store.client.insert(
        "operator_actions_data", [[v] for v in put.values()], column_names=list(put), column_oriented=True
    )
    mutate(held.store, "DELETE FROM alerts_data WHERE id = 'a-0'")
    assert ("inserted", "operator_actions_data") in {(p.what, p.table) for p in held.verified().problems}


def test_what_is_released_may_go_and_what_another_hold_keeps_may_not(embedded_store: Store) -> None:
    held = Held(embedded_store)
    both = held.hold(Scope(until=LONG_AGO + timedelta(days=1)))
    held.hold(Scope(principal="kept", until=LONG_AGO + timedelta(minutes=10)))
    held.expire()
    assert held.count("events") == 20
    assert held.verified().sound
    held.release(both)
    assert held.verified().sound, "released, and not yet removed"
    held.expire()
    assert (held.count("events"), held.count("findings")) == (4, 2)
    proof = held.verified()
    assert (proof.problems, proof.rows["events_data"]) == ([], 4)
    mutate(embedded_store, "DELETE FROM events_data WHERE id = 'e6'")
    (problem,) = held.verified().problems
    assert problem.what == "missing"


def test_all_of_a_link_that_is_held_must_stay(embedded_store: Store) -> None:
    held = Held(embedded_store)
    held.hold(Scope(until=LONG_AGO + timedelta(days=1)))
    held.expire()
    assert held.count("events") == 20
    mutate(embedded_store, "DELETE FROM events_data WHERE id = 'e8'")
    (problem,) = held.verified().problems
    assert (problem.what, "5 rows under a legal hold, and 1 of them are gone" in problem.detail) == ("missing", True)


def test_what_was_altered_before_it_was_held_is_not_sealed(
    embedded_store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    held = Held(embedded_store)
    mutate(embedded_store, "ALTER TABLE events_data UPDATE bytes_out = 7 WHERE id = 'e11'")
    held.hold(Scope(principal="kept"))
    ask = "SELECT details FROM operator_actions WHERE action = 'seal' AND subject = 'held:events_data'"
    (text,) = embedded_store.client.query(ask).result_rows[0]
    assert len(msgspec.json.decode(text, type=Details).links) == 3
    assert "held_without_proof" in capsys.readouterr().out


def test_marks_that_stand_are_not_sealed_again(held: Held) -> None:
    before = held.count("operator_actions")
    assert held_rows.apply(held.store, recorder=held.recorder) == {}
    assert held.count("operator_actions") == before
