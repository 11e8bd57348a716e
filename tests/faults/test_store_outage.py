"""The event store goes away while events come in: the service says so, waits, and loses and doubles nothing."""

import gzip
from pathlib import Path
from typing import Final

import pytest

from detector.store.client import connect
from tests.support.clickhouse_front import ClickHouseFront
from tests.support.service import Deployment, Running, until

SAMPLE: Final = Path(__file__).parents[2] / "sample_logs" / "inbox_deletion" / "events.ndjson.gz"
EVENTS: Final = "`events_data`"  # as the client writes it in an insert
ALL: Final = 10**6
SECONDS: Final = 40.0

pytestmark = [pytest.mark.kafka, pytest.mark.chdb, pytest.mark.timeout(120)]


@pytest.fixture
def deployed(kafka_bootstrap: str, tmp_path: Path, url: str) -> Deployment:
    """Topics with a scenario's events in them, and the store of the front."""
    deployment = Deployment(kafka_bootstrap, tmp_path, store={"url": url})
    deployment.command("topics")
    deployment.command("produce", str(SAMPLE))
    return deployment


@pytest.fixture(scope="module")
def event_count() -> int:
    return len(gzip.decompress(SAMPLE.read_bytes()).splitlines())


def stored(url: str) -> tuple[int, ...]:
    """Rows, different ids, and different places among the events of a store."""
    with connect(url) as store:
        query = "SELECT count(), uniqExact(id), uniqExact(topic, partition, offset) FROM events_data"
        (row,) = store.client.query(query).result_rows
        return tuple(row)


def test_a_store_that_refuses_for_a_while_is_waited_for(
    deployed: Deployment, clickhouse_front: ClickHouseFront, url: str, event_count: int
) -> None:
    faults = clickhouse_front.faults
    faults.unavailable(EVENTS, times=ALL)
    with Running(deployed) as running:
        until(lambda: "clickhouse: the store can't take it now" in running.get("/readyz")[1], running, seconds=SECONDS)
        assert running.get("/readyz")[0] == 503
        assert running.get("/healthz")[0] == 200, "a restart would not help"
        assert running.metric("detector_sink_failures_total", sink="clickhouse", reason="unavailable") > 0
        assert not deployed.is_done(), "nothing is committed that is not stored"
        faults.clear()
        until(deployed.is_done, running, seconds=SECONDS)
        assert running.get("/readyz") == (200, "ok\n")
        assert running.stop() == 0
    assert stored(url) == (event_count,) * 3


def test_an_insert_whose_answer_is_lost_is_not_stored_twice(
    deployed: Deployment, clickhouse_front: ClickHouseFront, url: str, event_count: int
) -> None:
    faults = clickhouse_front.faults
    faults.commit_then_drop(EVENTS, times=3)
    with Running(deployed) as running:
        until(deployed.is_done, running, seconds=SECONDS)
        # The client tries each insert twice by itself, so that three lost answers are seen as one failure here.
        assert running.metric("detector_sink_failures_total", sink="clickhouse", reason="unavailable") > 0
        assert running.stop() == 0
    assert stored(url) == (event_count,) * 3
