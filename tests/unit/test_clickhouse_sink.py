"""The sink's own decisions, on a client that is told what to do: splitting, months, tokens, verdicts."""

import struct
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from clickhouse_connect.datatypes.base import ClickHouseType
from clickhouse_connect.driver.exceptions import DatabaseError, DataError, OperationalError, ProgrammingError

from detector.events import Envelope, Target
from detector.sinks.base import Batch, SinkUnavailable
from detector.sinks.clickhouse import ClickHouseSink
from tests.support.nouns import T0, a_finding, a_rejected, an_alert, an_envelope


class Context:
    """Types are of no interest to the fake."""

    column_types: Sequence[ClickHouseType] = ()


class FakeClient:
    """Takes every insert but those that hold an id it was told to choke on."""

    def __init__(self, chokes: dict[str, Exception] | None = None) -> None:
        self.chokes = chokes or {}
        self.inserts: list[tuple[str, dict[str, Sequence[Any]], dict[str, Any]]] = []
        self.described: list[str] = []

    def create_insert_context(self, table: str, column_names: Sequence[str], database: str) -> Context:
        """Count the question."""
        assert column_names
        assert database == "d"
        self.described.append(table)
        return Context()

    def insert(
        self,
        table: str,
        data: Sequence[Sequence[Any]],
        column_names: Sequence[str],
        database: str,
        column_types: Sequence[ClickHouseType],
        *,
        column_oriented: bool,
        settings: dict[str, Any],
    ) -> object:
        """Keep what came, or raise."""
        assert column_oriented
        assert database == "d"
        assert not column_types
        columns = dict(zip(column_names, data, strict=True))
        for one in columns.get("id", []):
            if one in self.chokes:
                raise self.chokes[one]
        self.inserts.append((table, columns, settings))
        return None

    def stored(self, table: str = "events_data") -> list[str]:
        """Ids that were taken, in order."""
        return [one for name, columns, _ in self.inserts if name == table for one in columns["id"]]

    def tokens(self) -> list[str]:
        """The token of every insert."""
        return [settings["insert_deduplication_token"] for _, _, settings in self.inserts]


def rows(*envelopes: Envelope) -> list[tuple[Envelope, str]]:
    return [(envelope, "scored") for envelope in envelopes]


BAD_DATA = [
    DatabaseError("Code: 469. (VIOLATED_CONSTRAINT)", code=469),
    DataError("Unable to create native array"),
    UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"),
    AttributeError("'int' object has no attribute 'encode'"),
    TypeError("an integer is required"),
    OverflowError("too large"),
    struct.error("required argument is not an integer"),
]


@pytest.mark.parametrize("error", BAD_DATA, ids=lambda error: type(error).__name__)
def test_only_the_row_to_blame_is_refused(error: Exception) -> None:
    client = FakeClient({"e5": error, "e11": error})
    given = rows(*(an_envelope(number) for number in range(16)))
    refused = ClickHouseSink(client, database="d").write(Batch(events=list(given)))
    assert [one.item for one in refused] == [given[5], given[11]]
    assert all(str(error) in one.reason for one in refused)
    assert sorted(client.stored()) == sorted(f"e{number}" for number in range(16) if number not in {5, 11})


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OperationalError("connection refused"), "can't take it now"),
        (DatabaseError("Code: 252. (TOO_MANY_PARTS)", code=252), "can't take it now"),
        (DatabaseError("Code: 516. (AUTHENTICATION_FAILED)", code=516), "can't take it now"),
        (DatabaseError("no code at all"), "can't take it now"),
        (ProgrammingError("The client has been closed"), "can't take it now"),
        (OSError(28, "No space left on device"), "No space left"),
        (DatabaseError("Code: 60. (UNKNOWN_TABLE)", code=60), "detector store migrate"),
    ],
)
def test_what_may_get_better_is_not_the_rows_fault(error: Exception, said: str) -> None:
    client = FakeClient({"e3": error})
    with pytest.raises(SinkUnavailable, match=said):
        ClickHouseSink(client, database="d").write_events(rows(an_envelope(2), an_envelope(3)))
    assert not client.stored()


def test_a_table_that_can_not_be_described_is_unavailable() -> None:
    class Down(FakeClient):
        def create_insert_context(self, table: str, column_names: Sequence[str], database: str) -> Context:
            raise DatabaseError(f"Code: 60. {database}.{table} {len(column_names)}", code=60)

    with pytest.raises(SinkUnavailable, match="detector store migrate"):
        ClickHouseSink(Down(), database="d").write_events(rows(an_envelope()))


def test_each_table_is_described_once() -> None:
    client = FakeClient()
    sink = ClickHouseSink(client, database="d")
    for number in range(3):
        sink.write(Batch(rows(an_envelope(number)), [a_finding()], [an_alert()], [a_rejected()]))
    assert client.described == ["events_data", "findings_data", "alerts_data", "rejects_data"]
    assert len(client.inserts) == 12


def test_one_insert_for_each_month_by_utc() -> None:
    client = FakeClient()
    east = timezone(timedelta(hours=9))
    given = rows(
        an_envelope(0, time=datetime(2026, 3, 31, 23, 59, tzinfo=UTC)),
        an_envelope(1, time=datetime(2026, 4, 1, 8, 59, tzinfo=east)),  # still March
        an_envelope(2, time=datetime(2026, 4, 1, 9, 0, tzinfo=east)),
        an_envelope(3, time=datetime(2025, 4, 1, tzinfo=UTC)),
    )
    assert not ClickHouseSink(client, database="d").write_events(given)
    assert [columns["id"] for _, columns, _ in client.inserts] == [["e0", "e1"], ["e2"], ["e3"]]


@pytest.mark.parametrize("year", [1, 1899, 2300, 9999])
def test_a_time_that_the_store_can_not_hold_is_refused(year: int) -> None:
    client = FakeClient()
    given = rows(an_envelope(0), an_envelope(1, time=datetime(year, 6, 1, tzinfo=UTC)), an_envelope(2))
    refused = ClickHouseSink(client, database="d").write_events(given)
    assert [one.item for one in refused] == [given[1]]
    assert "1900 to 2299" in refused[0].reason
    assert client.stored() == ["e0", "e2"]


@pytest.mark.parametrize("received_at", [-1e15, 1e15, 1e300])
def test_a_reject_is_kept_whatever_its_time_of_arrival(received_at: float) -> None:
    client = FakeClient()
    rejected = a_rejected()
    assert not ClickHouseSink(client, database="d").write_rejects(
        [type(rejected)(rejected.reject, "t", 0, 1, received_at)]
    )
    assert len(client.inserts) == 1


def test_the_token_is_that_of_the_rows() -> None:
    def token(*envelopes: Envelope, verdict: str = "scored") -> str:
        client = FakeClient()
        ClickHouseSink(client, database="d").write_events([(envelope, verdict) for envelope in envelopes])
        return client.tokens()[0]

    first = token(an_envelope(1), an_envelope(2))
    assert first == token(an_envelope(1), an_envelope(2))
    others = [
        token(an_envelope(1)),
        token(an_envelope(2), an_envelope(1)),
        token(an_envelope(1), an_envelope(3)),
        token(an_envelope(1), an_envelope(2), verdict="late"),
        token(an_envelope(1, id="another"), an_envelope(2)),  # the topic was made anew
    ]
    assert len({first, *others}) == 6


def test_findings_that_differ_in_anything_have_another_token() -> None:
    """The engine drops an insert by its token alone: equal tokens for unequal rows would lose the second."""
    client = FakeClient()
    sink = ClickHouseSink(client, database="d")
    sink.write_findings([a_finding(score=1.0)])
    sink.write_findings([a_finding(score=2.0)])
    sink.write_findings([a_finding(evidence={"hosts": 3})])
    assert len(set(client.tokens())) == 3


def test_inserts_are_synchronous_whatever_the_server_prefers() -> None:
    client = FakeClient()
    ClickHouseSink(client, database="d").write_alerts([an_alert()])
    assert client.inserts[0][2]["async_insert"] == "0"


def test_nothing_is_written_for_an_empty_batch_or_after_close() -> None:
    client = FakeClient()
    sink = ClickHouseSink(client, database="d")
    assert sink.write(Batch()) == []
    sink.close()
    sink.close()
    with pytest.raises(ValueError, match="closed"):
        sink.write(Batch())
    with pytest.raises(ValueError, match="closed"):
        sink.write_events(rows(an_envelope()))
    assert not client.inserts


def test_attributes_that_are_no_json_are_refused() -> None:
    client = FakeClient()
    given = rows(an_envelope(0), an_envelope(1, attributes={}), an_envelope(2, target=Target("r")))
    given[1][0].event.attributes["x"] = object()
    refused = ClickHouseSink(client, database="d").write_events(given)
    assert [one.item for one in refused] == [given[1]]
    assert client.stored() == ["e0", "e2"]
    assert client.inserts[-1][1]["time"][-1] == (T0 + timedelta(seconds=2)).timestamp() * 1_000_000
