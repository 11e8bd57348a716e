"""What alerts and events go to is away for long: memory stays bounded, the service says so, and all is made up for."""

import os
import time
from collections.abc import Callable, Iterator
from typing import Any, Final

import msgspec
import pytest

from deploy.kafka.broker import Broker
from detector.alerts import Alert
from detector.config_file import load as load_config
from detector.score_stage import TURN_MOST
from detector.sinks.runner import Limits
from detector.store.client import connect
from detector.store.migrate import migrate
from tests.support.clean_replay import assert_clean, read_log, replay
from tests.support.clickhouse_front import ClickHouseFront, Faults
from tests.support.kafka import drain, publish
from tests.support.kafka_source import EACH_CLIENT
from tests.support.receiver import Answer, Receiver
from tests.support.service import Deployment, until
from tests.support.soak_stream import Load, episode, messages
from tests.support.workers import IMPATIENT, Worker

OUTAGE_SECONDS: Final = float(os.environ.get("OUTAGE_SECONDS", "3"))
INSERT: Final = "INSERT INTO"
EVENTS: Final = "`events_data`"
ALWAYS: Final = 10**6
QUEUE: Final = 500
# A batch is taken while there is room, and may be of all that one turn of scoring let go.
MOST_QUEUED: Final = QUEUE + TURN_MOST
MOST_GROWTH: Final = 150 << 20

SHORT_QUEUE: Final = msgspec.structs.replace(
    IMPATIENT, limits=Limits(max_queue=QUEUE, backoff=IMPATIENT.limits.backoff)
)

pytestmark = [pytest.mark.kafka, pytest.mark.chdb, pytest.mark.timeout(180 + 2 * OUTAGE_SECONDS)]


@pytest.fixture
def load(deployment: Deployment) -> Iterator[Load]:
    """Three hundred messages a second."""
    load = Load(deployment.bootstrap, deployment.topics["events"], messages(2), 300)
    yield load
    if load.is_alive():
        load.stop()


class Watch:
    """The most of a worker's gauges over a time; `record` puts them into a report.

    That is `--junit-xml FILE -o junit_family=xunit1`.
    """

    def __init__(self, worker: Worker, sink: str, record: Callable[[str, object], None]) -> None:
        self.queued = self.memory = 0.0
        begun, deadline = worker.metric("process_resident_memory_bytes"), time.monotonic() + OUTAGE_SECONDS
        while time.monotonic() < deadline:
            self.queued = max(self.queued, worker.metric("detector_sink_queue_items", sink=sink))
            self.memory = max(self.memory, worker.metric("process_resident_memory_bytes") - begun)
            time.sleep(0.2)
        record("memory when it began, MiB", int(begun) >> 20)
        record("most memory beyond that, MiB", int(self.memory) >> 20)
        record("memory in the end, MiB", int(worker.metric("process_resident_memory_bytes")) >> 20)
        record("most items queued", int(self.queued))


def bodies(hook: Receiver) -> list[bytes]:
    return [request.body for request in hook.requests]


TROUBLES: Final[dict[str, Callable[[Faults], None]]] = {
    "connections end without an answer": lambda faults: faults.refuse(INSERT, times=ALWAYS),
    "500": lambda faults: faults.error(INSERT, times=ALWAYS),
    "503": lambda faults: faults.unavailable(INSERT, times=ALWAYS),
    "out of memory": lambda faults: faults.error(INSERT, code=241, times=ALWAYS),
    "stored, and the answer lost": lambda faults: faults.commit_then_drop(INSERT, times=ALWAYS),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_the_store_is_in_trouble_for_long(
    deployment: Deployment,
    load: Load,
    url: str,
    hook: Receiver,
    clickhouse_front: ClickHouseFront,
    trouble: str,
    record_property: Callable[[str, object], None],
) -> None:
    with Worker(deployment, patience=SHORT_QUEUE) as worker:
        until(lambda: worker.ready, worker)
        load.start()
        until(lambda: worker.metric("detector_sink_items_total", sink="clickhouse", outcome="written") > 300, worker)
        # The store is in trouble: the service says so, and that a restart would not help.
        TROUBLES[trouble](clickhouse_front.faults)
        until(lambda: "clickhouse" in worker.get("/readyz")[1], worker, seconds=30)
        assert worker.get("/readyz")[0] == 503
        watch = Watch(worker, "clickhouse", record_property)
        assert worker.get("/healthz")[0] == 200
        assert worker.metric("detector_sink_up", sink="clickhouse") == 0
        assert worker.metric("detector_sink_failures_total", sink="clickhouse") > 0
        # What waits is bounded: the rest stays in Kafka.
        assert watch.queued <= MOST_QUEUED
        assert watch.memory < MOST_GROWTH
        until(lambda: worker.metric("detector_consumer_lag") > 0, worker, seconds=30)
        # The store is back: all is made up for.
        clickhouse_front.faults.clear()
        load.stop()
        until(deployment.is_done, worker, seconds=120 + OUTAGE_SECONDS)
        assert worker.get("/readyz") == (200, "ok\n")
        assert worker.stop() == 0
    assert_clean(deployment, url, bodies(hook))


def test_a_slow_store_holds_reading_back(
    deployment: Deployment,
    load: Load,
    url: str,
    hook: Receiver,
    clickhouse_front: ClickHouseFront,
    record_property: Callable[[str, object], None],
) -> None:
    with Worker(deployment, patience=SHORT_QUEUE) as worker:
        until(lambda: worker.ready, worker)
        clickhouse_front.faults.slow(INSERT, 1.5, times=ALWAYS)
        load.start()
        until(lambda: worker.metric("detector_sink_queue_items", sink="clickhouse") > 0, worker)
        watch = Watch(worker, "clickhouse", record_property)
        assert watch.queued <= MOST_QUEUED
        until(lambda: worker.metric("detector_consumer_lag") > 0, worker, seconds=30)
        assert worker.get("/healthz")[0] == 200
        clickhouse_front.faults.clear()
        load.stop()
        until(deployment.is_done, worker)
        assert worker.stop() == 0
    assert_clean(deployment, url, bodies(hook))


def incident() -> list[tuple[bytes | None, bytes]]:
    """An episode with its incident."""
    return list(episode(3, 5))


def test_alerts_leave_by_the_sinks_that_live(
    deployment: Deployment, url: str, hook: Receiver, clickhouse_front: ClickHouseFront
) -> None:
    """The store takes nothing from the start; its queue is full of events, and has no room for an alert."""
    messages = incident()
    tight = msgspec.structs.replace(
        IMPATIENT, limits=msgspec.structs.replace(IMPATIENT.limits, max_queue=len(messages) // 2)
    )
    with connect(url) as store:
        migrate(store)
    clickhouse_front.faults.unavailable(INSERT, times=ALWAYS)
    publish(deployment.bootstrap, deployment.topics["events"], messages)
    with Worker(deployment, patience=tight) as worker:
        until(lambda: worker.metric("detector_sink_queue_items", sink="clickhouse") > 0, worker)
        until(lambda: told(hook), worker, seconds=60)
        assert worker.metric("detector_sink_items_total", sink="clickhouse", outcome="written") == 0
        on_topic = {msgspec.json.decode(r.value, type=Alert).id for r in read_log(deployment, "alerts")}
        assert {alert for alert, _ in told(hook)} <= on_topic
        clickhouse_front.faults.clear()
        until(deployment.is_done, worker)
        assert worker.stop() == 0
    found = assert_clean(deployment, url, bodies(hook))
    assert found["alerts"].expected > 0


def told(hook: Receiver) -> set[tuple[str, int]]:
    """Id and version of each alert that was posted and taken."""
    alerts = [msgspec.json.decode(body, type=Alert) for body in bodies(hook)]
    return {(alert.id, alert.version) for alert in alerts}


def test_alertmanager_and_the_webhook_are_away(deployment: Deployment, url: str, hook: Receiver) -> None:
    """The topic and the store have the alerts meanwhile; the webhook gets each when it is back."""
    settings = deployment.config.read_text() + "alertmanager: {url: 'http://127.0.0.1:9/', heartbeat: 1.0}\n"
    deployment.config.write_text(settings)
    hook.answers = [Answer(503)] * ALWAYS
    publish(deployment.bootstrap, deployment.topics["events"], incident())
    with Worker(deployment) as worker:
        until(lambda: read_log(deployment, "alerts"), worker)
        until(lambda: "webhook" in worker.get("/readyz")[1], worker)
        code, why = worker.get("/readyz")
        assert (code, "alertmanager" in why, "webhook" in why) == (503, True, True)
        assert worker.get("/healthz")[0] == 200
        time.sleep(OUTAGE_SECONDS)
        # Who can't be told holds up nobody else.
        until(lambda: worker.metric("detector_consumer_lag") == 0, worker, seconds=30)
        assert worker.metric("detector_sink_up", sink="webhook") == 0
        with connect(url) as store:
            assert store.client.query("SELECT count() FROM alerts").result_rows[0][0] > 0
        expected = replay(
            load_config(deployment.config), read_log(deployment, "events"), read_log(deployment, "findings")
        )
        refused, hook.answers = len(hook.requests), []
        until(lambda: told_since(hook, refused) == set(expected.alerts), worker, seconds=30)
        worker.kill()


def told_since(hook: Receiver, count: int) -> set[tuple[str, int]]:
    alerts = [msgspec.json.decode(body, type=Alert) for body in bodies(hook)[count:]]
    return {(alert.id, alert.version) for alert in alerts}


@EACH_CLIENT
def test_the_broker_is_away(
    stoppable_broker: Broker,
    deployment: Deployment,
    load: Load,
    url: str,
    hook: Receiver,
    record_property: Callable[[str, object], None],
) -> None:
    """With it goes the coordinator of the groups."""
    with Worker(deployment, "one") as one, Worker(deployment, "two") as two:
        until(lambda: one.ready and two.ready, one)
        load.start()
        until(lambda: one.metric("detector_events_total") + two.metric("detector_events_total") > 300, one)
        stoppable_broker.kill()
        begun = one.metric("process_resident_memory_bytes")
        until(lambda: "kafka" in one.get("/readyz")[1].lower(), one, seconds=60)
        time.sleep(OUTAGE_SECONDS)
        assert one.get("/healthz")[0] == 200
        grown = one.metric("process_resident_memory_bytes") - begun
        record_property("memory grown by, MiB", int(grown) >> 20)
        assert grown < MOST_GROWTH
        stoppable_broker.start()
        seen = one.metric("detector_events_total") + two.metric("detector_events_total")
        until(lambda: one.metric("detector_events_total") + two.metric("detector_events_total") > seen + 300, one)
        load.stop()
        until(deployment.is_done, one)
        until(lambda: one.ready and two.ready, one)
        assert [one.stop(), two.stop()] == [0, 0]
    assert_clean(deployment, url, bodies(hook))


def test_one_row_that_the_store_refuses_goes_to_the_rejects_alone(deployment: Deployment, url: str) -> None:
    messages = incident()
    bad = msgspec.json.decode(messages[len(messages) // 2][1])["id"]
    with connect(url) as store:
        migrate(store)
        store.client.command(f"ALTER TABLE events_data ADD CONSTRAINT good CHECK id != '{bad}'")
    publish(deployment.bootstrap, deployment.topics["events"], messages)
    with Worker(deployment) as worker:
        until(deployment.is_done, worker)
        assert worker.metric("detector_sink_items_total", sink="clickhouse", outcome="refused") == 1
        assert worker.get("/readyz") == (200, "ok\n")
        assert worker.stop() == 0
    (rejected,) = drain(deployment.bootstrap, deployment.topics["rejects"], 1)
    headers: dict[str, Any] = dict(rejected.headers)
    assert (rejected.value, headers["reason"]) == (messages[len(messages) // 2][1], b"not_storable")
    assert b"VIOLATED_CONSTRAINT" in headers["detail"]
    with connect(url) as store:
        (counts,) = store.client.query("SELECT count(), uniqExact(id) FROM events").result_rows
        rows = store.client.query("SELECT reason, raw, offset FROM rejects").result_rows
    assert counts == (len(messages) - 1,) * 2
    (row,) = rows
    assert row[0] == "not_storable"
    assert row[2] == int(headers["offset"])
