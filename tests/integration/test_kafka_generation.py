"""The group's generation, by which a checkpoint of a member that was replaced is known: on the real broker."""

from collections.abc import Mapping

import pytest

from detector.sources.alignment import Partition
from detector.sources.kafka import KafkaSource
from tests.support.kafka import new_topic, unique
from tests.support.kafka_source import By, Listener, poll_until, source_of

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(120)]


class Noting(Listener):
    """Notes the generation in which each partition comes and goes."""

    def __init__(self) -> None:
        super().__init__()
        self.source: KafkaSource | None = None
        self.assigned_in: dict[Partition, int] = {}
        self.revoked_in: dict[Partition, int] = {}

    def on_assigned(self, partitions: list[Partition]) -> Mapping[Partition, int | None]:
        """Note it."""
        assert self.source is not None
        self.assigned_in.update(dict.fromkeys(partitions, self.source.generation()))
        return super().on_assigned(partitions)

    def on_revoked(self, partitions: list[Partition]) -> None:
        """Note it."""
        assert self.source is not None
        self.revoked_in.update(dict.fromkeys(partitions, self.source.generation()))
        super().on_revoked(partitions)


def test_who_takes_over_is_of_a_later_generation_than_who_gave_up(kafka_bootstrap: str, by: By) -> None:
    topic, group = new_topic(kafka_bootstrap, partitions=2), unique("group")
    old, new = Noting(), Noting()
    with source_of(by(kafka_bootstrap), topic, group, old) as first:
        old.source = first
        assert first.generation() == 0
        poll_until(lambda: len(old.owned) == 2, first)
        begun = first.generation()
        assert begun >= 1
        assert set(old.assigned_in.values()) == {begun}
        with source_of(by(kafka_bootstrap), topic, group, new) as second:
            new.source = second
            poll_until(lambda: len(new.owned) == 1 and len(old.owned) == 1, first, second)
            (moved,) = new.owned
            assert begun <= old.revoked_in[moved] < new.assigned_in[moved]
            last = second.generation()
        poll_until(lambda: len(old.owned) == 2, first)
        assert old.assigned_in[moved] > last
        assert first.generation() > begun
    assert first.generation() > begun, "what it was a member of last, also when it has left"
