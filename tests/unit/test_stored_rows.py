"""When the store is asked what it holds of a batch, and what is made of its answer."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from clickhouse_connect.driver.exceptions import OperationalError

from detector.integrity.chain import Run
from detector.integrity.tables import COVERED
from detector.sinks.base import SinkUnavailable
from detector.sinks.clickhouse_columns import Columns, event_columns, finding_columns
from detector.sinks.clickhouse_stored import Stored, runs
from tests.support.linked import Clock
from tests.support.nouns import a_finding, an_envelope

EVENTS, FINDINGS = COVERED["events_data"], COVERED["findings_data"]


class Asked:
    """Answers with the places it was told of."""

    def __init__(self, *there: Sequence[Any]) -> None:
        self.there = list(there)
        self.questions: list[dict[str, Any]] = []
        self.result_rows: list[Sequence[Any]] = self.there

    def query(self, query: str, *, parameters: dict[str, Any]) -> "Asked":
        assert query.count("SELECT") == 1
        self.questions.append(parameters)
        return self

    def create_insert_context(self, *_: Any) -> Any:
        raise AssertionError

    def insert(self, *_: Any, **__: Any) -> Any:
        raise AssertionError


def events(offsets: Sequence[int], partition: int = 0) -> Columns:
    envelopes = [msgspec.structs.replace(an_envelope(offset), partition=partition) for offset in offsets]
    return event_columns([(envelope, "scored") for envelope in envelopes])


def place(offset: int, partition: int = 0, name: str | None = None) -> tuple[Any, ...]:
    return "agent-events", partition, offset, 0, name or f"e{offset}"


def test_the_store_is_asked_at_first_sight_and_not_while_it_goes_on() -> None:
    asked, clock = Asked(), Clock()
    stored = Stored(asked, clock)
    for first in range(0, 50, 10):
        given = events(range(first, first + 10))
        assert stored.fresh(EVENTS, given) is None
        stored.wrote(EVENTS, given, known=False)
        clock.now += 1
    assert len(asked.questions) == 1
    assert (asked.questions[0]["first"], asked.questions[0]["last"]) == (0, 9)


@pytest.mark.parametrize(("pause", "offset", "questions"), [(1, 10, 1), (1, 12, 1), (1, 9, 2), (6, 10, 2), (-1, 10, 2)])
def test_it_is_asked_again_after_a_pause_and_when_offsets_go_back(pause: float, offset: int, questions: int) -> None:
    asked, clock = Asked(), Clock()
    stored = Stored(asked, clock)
    given = events(range(10))
    stored.fresh(EVENTS, given)
    stored.wrote(EVENTS, given, known=False)
    clock.now += pause
    stored.fresh(EVENTS, events([offset]))
    assert len(asked.questions) == questions


def test_it_is_asked_of_the_partitions_that_are_not_known_only() -> None:
    asked = Asked()
    stored = Stored(asked, Clock())
    stored.wrote(EVENTS, events([0]), known=False)
    both = {name: values + events([5, 6], 1)[name] for name, values in events([1, 2]).items()}
    stored.fresh(EVENTS, both)
    assert [question["partitions"] for question in asked.questions] == [[1]]
    assert (asked.questions[0]["first"], asked.questions[0]["last"]) == (5, 6)


def test_after_a_failure_it_is_asked_again() -> None:
    asked = Asked()
    stored = Stored(asked, Clock())
    stored.wrote(EVENTS, events([0]), known=False)
    stored.forget(EVENTS, events([1]))
    stored.fresh(EVENTS, events([1]))
    assert len(asked.questions) == 1


def test_as_long_as_something_is_there_it_goes_on_asking() -> None:
    asked = Asked(place(0), place(1), place(2))
    stored = Stored(asked, Clock())
    for offsets, fresh in (([0, 1], [False, False]), ([2, 3], [False, True]), ([4, 5], None), ([6], None)):
        given = events(offsets)
        flags = stored.fresh(EVENTS, given)
        assert flags == fresh
        stored.wrote(EVENTS, given, known=flags is not None)
    assert len(asked.questions) == 3


def test_only_the_event_at_its_place_is_the_same() -> None:
    asked = Asked(place(0, name="older"), place(1, partition=2), place(2))
    assert Stored(asked, Clock()).fresh(EVENTS, events([0, 1, 2])) == [True, True, False]


def test_the_second_of_one_key_is_not_written() -> None:
    assert Stored(Asked(), Clock()).fresh(EVENTS, events([0, 1, 1, 1, 2])) == [True, True, False, False, True]
    findings = finding_columns([a_finding(1), a_finding(1, score=2.0), a_finding(2)])
    assert Stored(Asked(), Clock()).fresh(FINDINGS, findings) == [True, False, True]


def test_of_findings_it_is_asked_each_time_in_pieces_that_fit() -> None:
    asked = Asked((a_finding(7).time.timestamp() * 1_000_000, "f-7"))
    stored = Stored(asked, Clock())
    given = finding_columns([a_finding(number) for number in range(1200)])
    flags = stored.fresh(FINDINGS, given)
    assert flags is not None
    assert [number for number, flag in enumerate(flags) if not flag] == [7]
    assert [len(question["names"]) for question in asked.questions] == [500, 500, 200]
    stored.wrote(FINDINGS, given, known=True)
    stored.fresh(FINDINGS, given)
    assert len(asked.questions) == 6


def test_many_long_names_of_principals_are_not_sent() -> None:
    asked = Asked()
    envelopes = [
        an_envelope(n, actor=msgspec.structs.replace(an_envelope().event.actor, id=f"{n:0300}")) for n in range(20)
    ]
    Stored(asked, Clock()).fresh(EVENTS, event_columns([(envelope, "scored") for envelope in envelopes]))
    assert "principals" not in asked.questions[0]
    Stored(asked, Clock()).fresh(EVENTS, events([1]))
    assert asked.questions[1]["principals"] == ["agent-1"]


def test_a_store_that_does_not_answer_is_unavailable() -> None:
    class Away(Asked):
        def query(self, query: str, *, parameters: dict[str, Any]) -> Asked:
            raise OperationalError(f"{query} {parameters}")

    with pytest.raises(SinkUnavailable, match="can't take it now"):
        Stored(Away(), Clock()).fresh(EVENTS, events([1]))


def test_runs_break_wherever_an_offset_is_left_out() -> None:
    given = {name: events([3, 4, 4, 5, 8])[name] + events([1], 1)[name] for name in event_columns([])}
    topic = "agent-events"
    assert runs(given) == (Run(topic, 0, 3, 5, 4), Run(topic, 0, 8, 8, 1), Run(topic, 1, 1, 1, 1))
