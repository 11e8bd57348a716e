"""What somebody with all rights to the database can do to it, and what verification says of it."""

from collections.abc import Callable

import msgspec
import pytest

from detector.integrity.chain import void
from detector.integrity.tables import COVERED
from detector.sinks.base import Batch
from detector.store.client import Store
from tests.support.linked import NOW, Linked, everything, found, link_at, mutate, put_link, rewritten, rows, verified
from tests.support.nouns import a_finding

pytestmark = pytest.mark.chdb

Row = dict[str, object]


@pytest.fixture
def store(embedded_store: Store) -> Store:
    everything(writer := Linked(embedded_store))
    writer.anchor()
    assert verified(embedded_store, writer.anchored).sound
    return embedded_store


def count(store: Store, table: str) -> int:
    return int(store.client.query(f"SELECT count() FROM {table}").result_rows[0][0])  # noqa: S608


def test_what_was_only_written_is_sound(store: Store) -> None:
    proof = verified(store)
    assert proof.problems == []
    assert proof.rows == {
        "events_data": 40,
        "findings_data": 3,
        "alerts_data": 2,
        "exposures_data": 1,
        "operator_actions_data": 1,
        "config_versions_data": 1,
    }
    assert (proof.chains, proof.links, proof.alike, proof.unfinished, proof.unlinked) == (1, 10, 0, 0, {})


@pytest.mark.parametrize(
    ("table", "change"),
    [
        ("events_data", "bytes_out = bytes_out + 1 WHERE id = 'e13'"),
        ("events_data", "action = 'harmless' WHERE id = 'e13'"),
        ("events_data", "raw = '{}' WHERE id = 'e39'"),
        ("events_data", "target_container_size = 5 WHERE id = 'e0'"),
        ("events_data", "verdict = 'late' WHERE id = 'e0'"),
        ("findings_data", "severity = 'SEV4' WHERE id = 'f-1'"),
        ("findings_data", "entities = ['agent:', 'agent-1'] WHERE id = 'f-1'"),
        ("findings_data", "p_value = NULL WHERE id = 'f-1'"),
        ("alerts_data", "status = 'resolved' WHERE id = 'a-2'"),
        ("exposures_data", "readers = 1 WHERE id = 'x-1'"),
        ("operator_actions_data", "operator = 'nobody' WHERE id = 'o-1'"),
        ("config_versions_data", "body = '{}' WHERE 1"),
    ],
)
def test_one_altered_value_is_found(store: Store, table: str, change: str) -> None:
    mutate(store, f"ALTER TABLE {table} UPDATE {change}")
    proof = verified(store)
    assert found(proof) == {"altered"}
    assert [problem.table for problem in proof.problems] == [table]


@pytest.mark.parametrize("table", list(COVERED))
def test_a_row_that_is_gone_is_found(store: Store, table: str) -> None:
    key = {"events_data": "id = 'e17'", "findings_data": "id = 'f-2'", "alerts_data": "id = 'a-1'"}.get(table, "1")
    before = count(store, table)
    mutate(store, f"DELETE FROM {table} WHERE {key}")  # noqa: S608
    assert count(store, table) == before - 1
    (problem,) = verified(store).problems
    assert (problem.what, problem.table) == ("missing", table)
    named = {"events_data": "agent-events/0 at offset 17", "findings_data": "f-2", "alerts_data": "a-1"}
    assert named.get(table, "the first is that of the key") in problem.detail


def test_all_rows_of_a_table_gone_are_found(store: Store) -> None:
    store.client.command("TRUNCATE TABLE findings_data")
    assert found(verified(store)) == {"missing"}


def another(**changes: object) -> Callable[[Row], Row]:
    return lambda row: row | changes


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"written_by": "", "written_in": 0, "id": "x", "offset": 900}, "covered by no link"),
        ({"written_by": "", "written_in": 7, "id": "x", "offset": 900}, "no link 7 of ''"),
        ({"written_by": "w-1", "written_in": 900, "id": "x", "offset": 900}, "no link 900 of 'w-1'"),
        ({"written_by": "ghost", "written_in": 2, "id": "x", "offset": 900}, "no link 2 of 'ghost'"),
        ({"written_by": "w-1", "written_in": 5, "id": "x", "offset": 900}, "no link 5 of 'w-1'"),
        ({"written_by": "w-1", "written_in": 1, "id": "x", "offset": 900}, "no link 1 of 'w-1'"),
        ({"id": "x", "offset": 900}, "offset 900"),
        ({"id": "x", "offset": 15, "principal": "agent-2"}, "principal agent-2"),
        ({"id": "x", "offset": 15, "index": 1}, "index 1"),
        ({"id": "x", "time": 1_600_000_000_000_000}, "does not cover"),
    ],
)
def test_an_inserted_row_is_found_whatever_its_tag(store: Store, changes: Row, said: str) -> None:
    rewritten(store, "events_data", another(), "id = 'e12'")
    assert verified(store).sound, "the same row in another part is the same row"
    taken = store.client.query(
        "SELECT * FROM events_data WHERE id = 'e12'", query_formats={"String": "bytes", "DateTime64": "int"}
    )
    row = next(iter(taken.named_results())) | changes
    store.client.insert("events_data", [[v] for v in row.values()], column_names=list(row), column_oriented=True)
    proof = verified(store)
    assert found(proof) == {"inserted"}
    assert said in proof.problems[0].detail


def test_a_row_that_is_shown_instead_of_another_is_found(store: Store) -> None:
    """An insert with the same key replaces a row without a DELETE or an UPDATE in any log."""
    taken = store.client.query(
        "SELECT * FROM events_data WHERE id = 'e12'", query_formats={"String": "bytes", "DateTime64": "int"}
    )
    row = next(iter(taken.named_results())) | {"bytes_out": 0, "action": b"nothing"}
    store.client.insert("events_data", [[v] for v in row.values()], column_names=list(row), column_oriented=True)
    assert count(store, "events") == 40
    assert found(verified(store)) == {"altered"}


def test_rows_that_changed_places_are_found(store: Store) -> None:
    places = {"e3": 4, "e4": 3}
    rewritten(store, "events_data", lambda row: row | {"offset": places[row["id"].decode()]}, "id IN ('e3', 'e4')")  # type: ignore[attr-defined]
    assert found(verified(store)) == {"altered"}


def test_rows_that_changed_links_are_found(store: Store) -> None:
    other = {2: 3, 3: 2}
    rewritten(store, "events_data", lambda row: row | {"written_in": other[row["written_in"]]}, "id IN ('e3', 'e14')")  # type: ignore[index]
    assert "inserted" in found(verified(store))


def test_values_that_moved_between_columns_are_found(store: Store) -> None:
    mutate(store, "ALTER TABLE events_data UPDATE session = actor_id, actor_id = session WHERE id = 'e5'")
    assert found(verified(store)) == {"altered"}


@pytest.mark.parametrize("sequence", [1, 2, 6])
def test_a_link_that_is_gone_is_found(store: Store, sequence: int) -> None:
    mutate(store, f"DELETE FROM integrity_data WHERE sequence = {sequence}")  # noqa: S608
    assert "broken" in found(verified(store))


@pytest.mark.parametrize(
    "change", ["`count` = 9", "digest = reverse(digest)", "written_at = written_at + 1", "members = '{}'"]
)
def test_an_altered_link_is_found(store: Store, change: str) -> None:
    mutate(store, f"ALTER TABLE integrity_data UPDATE {change} WHERE sequence = 3")
    assert "broken" in found(verified(store))


def test_links_that_changed_places_are_found(store: Store) -> None:
    rewritten(
        store, "integrity_data", lambda row: row | {"sequence": 5 - int(str(row["sequence"]))}, "sequence IN (2, 3)"
    )
    assert "broken" in found(verified(store))


def test_a_second_link_with_the_number_of_another_is_found(store: Store) -> None:
    store.client.command(
        "INSERT INTO integrity_data SELECT * REPLACE('00' AS link) FROM integrity_data WHERE sequence = 3"
    )
    assert "inserted" in found(verified(store))


def test_a_chain_cut_short_is_found_by_the_rows_that_are_left(store: Store) -> None:
    mutate(store, "DELETE FROM integrity_data WHERE sequence = 10")
    assert found(verified(store)) == {"inserted"}


def test_an_end_that_is_gone_with_its_rows_is_found_by_the_anchor_alone(embedded_store: Store) -> None:
    everything(writer := Linked(embedded_store))
    writer.anchor()
    mutate(embedded_store, "DELETE FROM integrity_data WHERE sequence = 10")
    mutate(embedded_store, "DELETE FROM events_data WHERE written_in = 10")
    assert verified(embedded_store).sound, "without anchors it can't be told"
    proof = verified(embedded_store, writer.anchored)
    assert found(proof) == {"truncated"}
    assert "ends at link 9: link 10, which was anchored, is gone" in proof.problems[0].detail


def test_an_end_that_is_gone_is_found_by_the_chain_that_follows(embedded_store: Store) -> None:
    everything(Linked(embedded_store))
    later = Linked(embedded_store, "w-2")
    later.clock.now += 100
    later.write(Batch(rows([50])))
    assert verified(embedded_store).sound
    mutate(embedded_store, "DELETE FROM integrity_data WHERE sequence = 10")
    mutate(embedded_store, "DELETE FROM events_data WHERE written_in = 10")
    assert found(verified(embedded_store)) == {"truncated"}


def test_a_store_written_anew_is_found_by_the_anchor_alone(embedded_store: Store) -> None:
    everything(writer := Linked(embedded_store))
    writer.anchor()
    for table in (*COVERED, "integrity_data"):
        embedded_store.client.command(f"TRUNCATE TABLE {table}")
    forger = Linked(embedded_store)
    forger.write(Batch(rows(range(30), action="harmless"), [a_finding(n) for n in range(3)]))
    forger.write(Batch(rows(range(30, 40))))
    forger.write(Batch(findings=[a_finding(n) for n in range(3, 9)]))
    for number in range(40, 46):
        forger.write(Batch(rows([number])))
    assert verified(embedded_store).sound, "without anchors it can't be told"
    proof = verified(embedded_store, writer.anchored)
    assert found(proof) == {"anchor"}
    assert "is not what was anchored" in proof.problems[0].detail


def test_rows_that_a_forged_void_takes_back_are_found(embedded_store: Store) -> None:
    writer = Linked(embedded_store)
    writer.write(Batch(rows(range(10))))
    writer.write(Batch(rows(range(10, 20))))
    writer.anchor()
    mutate(embedded_store, "DELETE FROM events_data WHERE written_in = 3")
    put_link(embedded_store, void(link_at(embedded_store, "w-1", 3), NOW))
    assert verified(embedded_store).sound, "without anchors it can't be told"
    assert found(verified(embedded_store, writer.anchored)) == {"inserted"}


def test_a_forged_link_that_says_nonsense_is_found_and_does_no_harm(store: Store) -> None:
    nonsense = {
        "": "{}",
        "no-json": "{",
        "no-runs": '{"columns":["id"],"first":0,"last":1}',
        "a-trillion": '{"columns":["id"],"first":0,"last":1,"runs":[["t",0,0,1000000000000,3]]}',
        "sql": '{"columns":["id`, 1 --"],"first":0,"last":1,"runs":[["t\') OR 1 --",0,0,2,3]]}',
    }
    head = link_at(store, "w-1", 10)
    for number, members in enumerate(nonsense.values(), 11):
        head = msgspec.structs.replace(
            head, sequence=number, previous=head.link, count=3, members=members, table="events_data"
        ).sealed()
        put_link(store, head)
    assert found(verified(store)) <= {"broken", "missing"}
    assert not verified(store).sound


def test_a_chain_that_nobody_anchored_is_told(store: Store) -> None:
    anchored = Linked(store, "w-1")
    ghost = Linked(store, "ghost")
    ghost.write(Batch(rows(range(100, 103))))
    proof = verified(store, anchored.anchored)
    assert proof.sound
    assert {(tail.chain, tail.rows) for tail in proof.tails} == {("w-1", 48), ("ghost", 3)}


def test_a_view_that_hides_rows_is_found(store: Store) -> None:
    store.client.command("CREATE OR REPLACE VIEW events AS SELECT * FROM events_data FINAL WHERE id != 'e13'")
    assert found(verified(store)) == {"missing"}


def test_only_the_first_problems_are_told_and_all_are_counted(store: Store) -> None:
    mutate(store, "ALTER TABLE events_data UPDATE bytes_in = 7 WHERE 1")
    proof = verified(store)
    assert proof.problem_count == 4
    assert not proof.sound
    assert proof.problems[0].sequence == 2
    assert "agent-events/0 at offsets 0 to 9" in proof.problems[0].detail


def test_the_first_altered_row_is_named_as_nearly_as_can_be(embedded_store: Store) -> None:
    writer = Linked(embedded_store)
    writer.write(Batch(rows(range(100)), [a_finding(number) for number in range(9)]))
    mutate(embedded_store, "ALTER TABLE events_data UPDATE action = 'x' WHERE `offset` IN (37, 90)")
    mutate(embedded_store, "ALTER TABLE findings_data UPDATE reason = 'x' WHERE id >= 'f-6'")
    events, findings = verified(embedded_store).problems
    assert "of the 32 from agent-events/0 offset 32 to agent-events/0 offset 63" in events.detail
    assert "id f-6, is not as written" in findings.detail
