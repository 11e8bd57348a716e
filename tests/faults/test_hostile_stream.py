"""Hostile messages through the whole service on a real broker: it goes on, counts them, and tells what is wrong."""

import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec
import pytest
from kafka import KafkaAdminClient, KafkaProducer

from detector.events import Actor, Approval, Event, Target
from tests.support.service import Deployment, Running, until

pytestmark = [pytest.mark.kafka, pytest.mark.chdb, pytest.mark.timeout(300)]

HUGE: Final = 10_000_000
NOW: Final = datetime.now(UTC).replace(microsecond=0)


def hostile() -> list[bytes]:
    """What nobody should send, each refused for a reason of its own."""
    fuzz = random.Random(5)
    return [
        b"\x00" * HUGE,
        b'{"id":"' + b"x" * HUGE + b'"}',
        b"[" * 1_000_000,
        b'{"a":' * 200_000,
        b"",
        *(fuzz.randbytes(fuzz.randrange(1, 2000)) for _ in range(50)),
        *(b'{"id":"n","time":"2026-01-01T00:00:00Z","actor":{"id":"a"},"kind":"access","records":%s}' % number
          for number in (b"-1", b"NaN", b"1e308", b"1e999", b"99999999999999999999")),
    ]  # fmt: skip


def agent(seconds: float, name: str, **fields: object) -> Event:
    return Event(id=name, time=NOW + timedelta(seconds=seconds), actor=Actor(id="mail-1"), **fields)  # type: ignore[arg-type]


def events() -> list[Event]:
    """An agent that is stopped, tells itself to resume, and goes on; one event is of 2099, one comes twice."""
    agent_1 = Target(uri="mail-1", type="agent")
    stop = Event(
        id="stop", time=NOW, actor=Actor(id="ines", kind="human"), kind="control", action="stop", target=agent_1
    )
    far = msgspec.structs.replace(agent(0, "far", kind="access"), time=datetime(2099, 1, 1, tzinfo=UTC))
    resume = agent(10, "resume", kind="control", action="resume", target=agent_1, approval=Approval(id="A-1"))
    delete = agent(60, "delete", kind="delete", action="mail.delete", target=Target(uri="mail://ines/inbox"))
    return [stop, far, resume, delete, delete]


def publish(deployment: Deployment, messages: list[bytes]) -> None:
    producer = KafkaProducer(bootstrap_servers=deployment.bootstrap, max_request_size=2 * HUGE, acks="all")
    try:
        for message in messages:
            # The producer's own timestamp vouches for the year 2099, too: nobody is to believe it.
            stamp = 4_070_908_800_000 if b'"2099-' in message else None
            producer.send(deployment.topics["events"], key=b"mail-1", value=message, timestamp_ms=stamp).get(30)
    finally:
        producer.close(10)


def test_it_goes_on_counts_them_and_tells_who_forged_an_order(kafka_bootstrap: str, tmp_path: Path) -> None:
    deployment = Deployment(kafka_bootstrap, tmp_path)
    admin = KafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    configs = {"max.message.bytes": str(2 * HUGE), "message.timestamp.type": "CreateTime"}
    configs["message.timestamp.after.max.ms"] = str(2**63 - 1)
    try:
        plan = {"num_partitions": 1, "replication_factor": 1, "configs": configs}
        admin.create_topics({deployment.topics["events"]: plan}, wait_for_metadata=True)
    finally:
        admin.close()
    deployment.command("topics")
    refused = hostile()
    publish(deployment, [*refused, *map(msgspec.json.encode, events())])
    with Running(deployment) as service:
        until(lambda: service.metric("detector_events_verdict_total") == 5, service)
        assert service.metric("detector_rejects_total") == len(refused)
        assert service.metric("detector_events_verdict_total", verdict="scored") == 3
        assert service.metric("detector_events_verdict_total", verdict="future") == 1
        assert service.metric("detector_events_verdict_total", verdict="duplicate") == 1
        assert service.metric("detector_watermark_timestamp_seconds") == (NOW + timedelta(seconds=60)).timestamp()
        until(deployment.alert_versions, service)
        assert service.get("/healthz")[0] == 200
        assert service.stop() == 0
    found = deployment.query("SELECT rule, severity FROM findings WHERE detector = 'stop_violation' ORDER BY rule")
    assert found == [["after_stop", "SEV1"], ["forged_order", "SEV2"]]
    assert deployment.query("SELECT count(), uniqExact(offset) FROM rejects") == [[len(refused)] * 2]
