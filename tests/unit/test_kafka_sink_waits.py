"""The Kafka sink waits for acknowledgements that never come no longer than for one of them."""

import pytest
from kafka.errors import KafkaTimeoutError

from detector.sinks import kafka
from detector.sinks.base import Batch, SinkUnavailable
from detector.sinks.kafka import LATE_SECONDS, KafkaSink
from tests.support.nouns import a_finding


class Clock:
    """Time, which passes where somebody waits."""

    now = 100.0

    def monotonic(self) -> float:
        """Seconds."""
        return self.now


class Forgetful:
    """A producer, and each of its own futures, that never hears of what was sent."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.closed = False

    def send(self, **_: object) -> "Forgetful":
        """Take it."""
        return self

    def get(self, timeout: float) -> None:
        """In vain."""
        self.clock.now += timeout
        raise KafkaTimeoutError(f"Timeout after {timeout} secs.")

    def close(self, _: float) -> None:
        """Remember it."""
        self.closed = True


def test_many_messages_that_are_never_acknowledged_take_as_long_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    made: list[Forgetful] = []

    def opened(*_: object) -> Forgetful:
        made.append(Forgetful(clock))
        return made[-1]

    monkeypatch.setattr(kafka, "open_producer", opened)
    monkeypatch.setattr(kafka, "time", clock)
    sink = KafkaSink({}, {"signals": "findings"}, timeout=20.0)
    batch = Batch(findings=[a_finding(number) for number in range(100)])
    batch.signals.extend(batch.findings)
    with pytest.raises(SinkUnavailable, match="Timeout"):
        sink.write(batch)
    assert clock.now - 100.0 == 20.0 + LATE_SECONDS
    assert [producer.closed for producer in made] == [True], "the next try has another one"
    with pytest.raises(SinkUnavailable):
        sink.write(batch)
    assert len(made) == 2
