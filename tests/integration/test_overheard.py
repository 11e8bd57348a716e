"""What other workers send to correlation, as a worker overhears it on a real broker."""

import threading
from collections.abc import Iterator

import pytest

from detector import signals
from detector.places import Place, Progress
from detector.signals import Sent
from detector.sources.overheard import Overheard
from tests.support.kafka import new_topic, publish
from tests.support.nouns import a_finding
from tests.support.service import until

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(120)]

SENT = Sent(a_finding(1), Place(7.0, "events", 0), {"events": (1,)})


@pytest.fixture
def stop() -> Iterator[threading.Event]:
    stop = threading.Event()
    yield stop
    stop.set()


def test_it_begins_at_the_end_and_says_that_something_may_have_been_missed(
    kafka_bootstrap: str, stop: threading.Event
) -> None:
    topic = new_topic(kafka_bootstrap, "findings")
    messages = [signals.encode(signal) for signal in (SENT, Progress(), a_finding(2))]
    publish(kafka_bootstrap, topic, [(None, messages[0])])
    overheard = Overheard({"bootstrap_servers": kafka_bootstrap}, topic, stop)
    assert overheard.take() == []
    overheard.begin()
    overheard.begin()
    assert until(overheard.take) == [(0, None)]
    publish(kafka_bootstrap, topic, [(None, value) for value in (b"junk", *messages)])
    assert until(overheard.take) == [(2, SENT)], "only what asks others"
    assert overheard.take() == []
    stop.set()
    overheard.join(10)
    assert not overheard.is_alive()


def test_a_broker_that_is_not_there_is_waited_for(stop: threading.Event, forgotten_sockets: None) -> None:  # noqa: ARG001
    overheard = Overheard({"bootstrap_servers": "127.0.0.1:9", "bootstrap_timeout_ms": 200}, "findings", stop)
    overheard.begin()
    overheard.join(1.5)
    assert overheard.is_alive()
    assert overheard.take() == []
    stop.set()
    overheard.join(10)
    assert not overheard.is_alive()
