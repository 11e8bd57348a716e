"""The load of a soak: the company's days with their incidents, one episode after the other, at a steady pace."""

import itertools
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Final

import msgspec
from kafka import KafkaProducer, errors

from detector.kafka_open import close_producer, open_client
from tests.support.simulator.rhythm import Period
from tests.support.simulator.scenarios import SCENARIOS
from tests.support.simulator.trail import utc

BEGIN: Final = utc(2021, 1, 4)
APART: Final = timedelta(days=14)
HISTORY: Final = timedelta(days=1)
TICK_SECONDS: Final = 0.2
JUNK_EVERY, AGAIN_EVERY = 997, 499

Message = tuple[bytes | None, bytes]


def episode(number: int, seed: int) -> Iterator[Message]:
    """One scenario's last days (key, event), moved to a fortnight of their own with their days of the week."""
    scenario = SCENARIOS[number % len(SCENARIOS)]
    weeks = (scenario.period.begin - (BEGIN + number * APART)) // timedelta(days=7)
    back = timedelta(days=7) * weeks
    start = scenario.start - back
    moved = replace(scenario, period=Period(start - HISTORY, scenario.period.end - back), start=start)
    for event in moved.run(seed * 10_000 + number)[0]:
        yield event.principal.encode(), msgspec.json.encode(event)


def messages(seed: int) -> Iterator[Message]:
    """Episodes without end; now and then something that nobody can decode, and an event that comes again."""
    stream = itertools.chain.from_iterable(episode(number, seed) for number in itertools.count())
    for number, message in enumerate(stream):
        yield message
        if number % JUNK_EVERY == JUNK_EVERY - 1:
            yield None, b"not an event %d" % number
        if number % AGAIN_EVERY == AGAIN_EVERY - 1:
            yield message


def _close(producer: KafkaProducer | None, seconds: float) -> None:
    if producer is not None:  # what a broker that is away did not acknowledge is published again
        close_producer(producer, seconds)


class Load(threading.Thread):
    """Publishes at a rate until it is told to stop. What the broker did not acknowledge is published again.

    So an outage may put an event into the log twice: what there is to be detected is what the log holds.
    """

    def __init__(self, bootstrap: str, topic: str, source: Iterator[Message], rate: float) -> None:
        super().__init__(name="load", daemon=True)
        self._client = {"bootstrap_servers": bootstrap, "acks": "all", "linger_ms": 5, "delivery_timeout_ms": 15_000}
        self._client |= {"request_timeout_ms": 7_000, "max_block_ms": 5_000, "reconnect_backoff_max_ms": 500}
        self._topic, self._source, self._rate = topic, source, rate
        self._enough = threading.Event()
        self.sent = 0
        self.failure: Exception | None = None

    def run(self) -> None:
        """Publish chunk after chunk; one is over when all of it is acknowledged."""
        producer: KafkaProducer | None = None
        try:
            while not self._enough.wait(TICK_SECONDS):
                chunk = list(itertools.islice(self._source, int(self._rate * TICK_SECONDS)))
                while chunk:
                    try:
                        producer = producer or open_client(KafkaProducer, self._client)
                        sent = [producer.send(self._topic, key=key, value=value) for key, value in chunk]
                        for future in sent:
                            future.get(20)
                        self.sent += len(chunk)
                        break
                    except errors.KafkaError:
                        _close(producer, 1.0)
                        producer = None
        except Exception as error:  # noqa: BLE001 - raised by `stop`
            self.failure = error
        finally:
            _close(producer, 5.0)

    def stop(self, timeout: float = 60.0) -> None:
        """End after the chunk under way.

        Raises:
            Exception: What ended it before.
        """
        self._enough.set()
        self.join(timeout)
        if self.failure is not None:
            raise self.failure
        assert not self.is_alive(), "the load did not end"
