"""The Kafka source when things break: a silent broker, a restart, a damaged log."""

import threading
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from deploy.kafka.broker import Broker
from deploy.kafka.probe import free_port
from detector.sources.base import SourceError
from detector.sources.kafka import CommitRetry, ConsumerSettings, KafkaSource, SkippedRecord
from tests.support.kafka import drain, new_topic, publish, unique
from tests.support.kafka_source import By, Clock, Listener, read, source_of

pytestmark = pytest.mark.kafka


def test_an_outage_is_told_and_reading_goes_on_after_it(stoppable_broker: Broker, by: By) -> None:
    bootstrap, clock, listener = stoppable_broker.bootstrap, Clock(), Listener()
    topic = new_topic(bootstrap)
    publish(bootstrap, topic, [(None, b"before")])
    settings = ConsumerSettings(session_timeout=30.0, probe_after=5.0, probe_timeout=0.3, commit_timeout=0.5)
    with (
        capture_logs() as logs,
        source_of(by(bootstrap), topic, unique("group"), listener, clock=clock, settings=settings) as source,
    ):
        read(source, 1)
        source.poll(0.2)
        clock.now += 10
        assert source.poll(0.1) == {}
        assert source.outage_seconds() == 0.0, "silence with a sign of life is no outage"
        assert source.caught_up() == set(), "nobody looked for ten seconds: its end may be another"
        clock.now += 1
        source.poll(0.1)
        assert source.caught_up() == {(topic, 0)}

        stoppable_broker.kill()
        clock.now += 3.9
        source.poll(0.1)
        assert source.outage_seconds() == 0.0, "not asked again yet"
        clock.now += 0.2
        source.poll(0.1)
        clock.now += 60
        assert source.outage_seconds() == pytest.approx(65.1)
        assert source.lag() == {(topic, 0): 0}, "what was known last"
        with pytest.raises(CommitRetry):
            source.commit({(topic, 0): 1})

        stoppable_broker.start()
        publish(bootstrap, topic, [(None, b"after")])
        (records,) = read(source, 1, polls=150).values()
        assert source.outage_seconds() == 0.0
        assert source.caught_up() == set(), "the log's end is to be seen anew"

        source.commit({(topic, 0): 2})
    assert [(record.offset, record.value) for record in records] == [(1, b"after")]
    assert listener.calls == [("assigned", [(topic, 0)]), ("revoked", [(topic, 0)])]
    assert [record.value for record in drain(bootstrap, topic, 2)] == [b"before", b"after"], "kept on its disk"
    heard = [entry["event"] for entry in logs if entry["event"].startswith("broker_")]
    assert heard == ["broker_silent", "broker_answers"]


def test_damaged_records_are_told_and_passed_over(stoppable_broker: Broker, by: By) -> None:
    bootstrap = stoppable_broker.bootstrap
    topic = new_topic(bootstrap)
    for batch in ("good", "damaged", "fine"):
        publish(bootstrap, topic, [(None, f"{batch}-{n}".encode()) for n in range(5)])
    stoppable_broker.stop()
    flip(stoppable_broker.data / "log" / f"{topic}-0" / f"{0:020d}.log", b"damaged-2")
    stoppable_broker.start()
    skipped: list[SkippedRecord] = []
    settings = ConsumerSettings(session_timeout=6.0, max_poll_records=3)

    with source_of(by(bootstrap), topic, unique("group"), settings=settings, on_skip=skipped.append) as source:
        # The partition is paused between the error and its report, too: that must not lose it.
        got = read(source, 3)[topic, 0]
        source.pause([(topic, 0)])
        source.poll(0.1)
        source.resume([(topic, 0)])
        got += read(source, 7)[topic, 0]

    assert [record.value.decode() for record in got] == [f"{batch}-{n}" for batch in ("good", "fine") for n in range(5)]
    assert [(skip.topic, skip.partition, skip.offset) for skip in skipped] == [(topic, 0, n) for n in range(5, 10)]
    assert "crc" in skipped[0].reason.lower()


def flip(path: Path, marker: bytes) -> None:
    """Damage the bytes of a log segment where `marker` stands."""
    content = bytearray(path.read_bytes())
    content[content.index(marker)] ^= 0xFF
    path.write_bytes(content)


@pytest.mark.usefixtures("forgotten_sockets")
def test_without_a_broker_the_source_says_so_and_leaves_nothing_running(by: By) -> None:
    threads = threading.active_count()
    hasty = ConsumerSettings(start_timeout=0.3)

    with pytest.raises(SourceError, match=r"no Kafka broker could be used at 127\.0\.0\.1:\d+"):
        KafkaSource(by(f"127.0.0.1:{free_port()}"), ["agent-events"], "group", Listener(), Clock(), settings=hasty)

    assert threading.active_count() == threads
