"""What the store refuses becomes a reject, with its bytes, before it counts as dealt with."""

from typing import Final

import pytest

from detector.sinks.base import Batch, Noun, Refused, Sink, SinkUnavailable
from detector.sinks.refusals import ToRejects
from detector.sinks.runner import SinkRunner
from tests.support.nouns import a_finding, an_envelope

WHY: Final = "the store refused it"


class Kept(Sink):
    """Keeps rejects; `down` says that it can't."""

    name = "kept"
    accepts: frozenset[Noun] = frozenset({"rejects"})

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.down = False

    def write(self, batch: Batch) -> list[Refused]:
        """Keep them."""
        if self.down:
            raise SinkUnavailable("away")
        self.batches.append(batch)
        return []

    def close(self) -> None:
        """Nothing is held."""


def refused(*offsets: int) -> list[Refused]:
    return [Refused((an_envelope(offset), "scored"), WHY) for offset in offsets]


def offsets(sink: Kept) -> list[int]:
    return [rejected.offset for batch in sink.batches for rejected in batch.rejects]


def test_it_is_in_the_store_and_on_the_topic_when_the_call_returns() -> None:
    store, topic = Kept(), Kept()
    runner = SinkRunner(topic)
    runner.start()
    ToRejects(store, runner)("clickhouse", refused(3, 5))
    assert offsets(store) == offsets(topic) == [3, 5]
    (rejected, _) = store.batches[0].rejects
    assert (rejected.reject.reason, rejected.reject.detail) == ("not_storable", WHY)
    assert rejected.reject.raw == an_envelope(3).raw
    assert runner.close(5.0)


def test_what_has_no_bytes_of_its_own_is_no_reject() -> None:
    store, topic = Kept(), Kept()
    ToRejects(store, SinkRunner(topic))("clickhouse", [Refused(a_finding(1), WHY)])
    assert store.batches == topic.batches == []


def test_while_the_topic_is_away_it_is_unavailable_and_waits_there_once() -> None:
    store, topic = Kept(), Kept()
    topic.down = True
    runner = SinkRunner(topic, pause=lambda _: False)
    to_rejects = ToRejects(store, runner, seconds=0.05)
    runner.start()
    for _ in range(3):
        with pytest.raises(SinkUnavailable, match="topic of the rejects"):
            to_rejects("clickhouse", refused(3))
    topic.down = False
    to_rejects("clickhouse", refused(3))
    assert runner.close(5.0)
    assert offsets(topic) == [3]


def test_while_the_store_is_away_nothing_goes_to_the_topic() -> None:
    store, topic = Kept(), Kept()
    store.down = True
    with pytest.raises(SinkUnavailable, match="away"):
        ToRejects(store, SinkRunner(topic))("clickhouse", refused(3))
    assert topic.batches == []
