"""The event store is away when a worker starts: it comes up, says what it waits for, and makes up for it all."""

import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Final

import msgspec
import pytest

from tests.support.clean_replay import assert_clean
from tests.support.clickhouse_front import ClickHouseFront
from tests.support.kafka import publish
from tests.support.receiver import Receiver
from tests.support.service import Deployment, Running, until
from tests.support.soak_stream import episode, messages
from tests.support.store import unique_database
from tests.support.workers import IMPATIENT, Worker

ALWAYS: Final = 10**6
BACKLOG: Final = 8_000

# Half a second for a store that hangs.
SHORT: Final = msgspec.structs.replace(IMPATIENT, store=0.5)

pytestmark = [pytest.mark.kafka, pytest.mark.chdb, pytest.mark.timeout(240)]


@pytest.fixture
def front(tmp_path: Path) -> Iterator[ClickHouseFront]:
    """A server of the test's own, which it may end and start."""
    with ClickHouseFront(tmp_path / "front") as front:
        yield front


@pytest.fixture
def url(front: ClickHouseFront) -> str:
    """A database that nobody has made."""
    return front.url(unique_database())


TROUBLES: Final[dict[str, tuple[Callable[[ClickHouseFront], object], Callable[[ClickHouseFront], object], str]]] = {
    "nobody listens": (ClickHouseFront.kill, ClickHouseFront.start, "is it running"),
    "503": (
        lambda front: front.faults.unavailable("", times=ALWAYS),
        lambda front: front.faults.clear(),
        "HTTP status 503",
    ),
    "it hangs": (
        lambda front: front.faults.slow("", 5.0, times=2),
        lambda front: front.faults.clear(),
        "has not answered",
    ),
    "its schema can't be read": (
        lambda front: front.faults.error("schema_migrations", code=241, times=ALWAYS),
        lambda front: front.faults.clear(),
        "can't read the schema",
    ),
}  # fmt: skip


@pytest.mark.parametrize("trouble", TROUBLES)
def test_a_worker_starts_without_its_store(
    front: ClickHouseFront, deployment: Deployment, url: str, hook: Receiver, trouble: str
) -> None:
    harm, mend, said = TROUBLES[trouble]
    harm(front)
    publish(deployment.bootstrap, deployment.topics["events"], list(islice(messages(3), BACKLOG)))
    with Worker(deployment, patience=SHORT) as worker:
        # It is up, and not ready; a restart would not help.
        until(lambda: said in worker.get("/readyz")[1], worker, seconds=60)
        assert worker.get("/readyz")[0] == 503
        assert worker.get("/healthz")[0] == 200
        if trouble != "it hangs":
            until(lambda: read(worker) and read(worker) == read_later(worker), worker)
            # It holds back: what it has not read waits in Kafka, and nothing is committed that is not stored.
            assert read(worker) < BACKLOG
            assert not deployment.is_done()
        mend(front)
        until(deployment.is_done, worker)
        until(lambda: worker.get("/readyz") == (200, "ok\n"), worker, seconds=30)
        assert worker.said("store_migrated"), "the schema was made when the store answered"
        assert worker.stop() == 0
    found = assert_clean(deployment, url, [request.body for request in hook.requests])
    assert found["alerts"].expected > 0


def read(worker: Worker) -> float:
    """Events that were taken in."""
    return worker.metric("detector_events_total")


def read_later(worker: Worker) -> float:
    """Those that were a while later."""
    time.sleep(1.5)
    return read(worker)


def test_a_worker_without_its_store_ends_when_it_is_told_to(front: ClickHouseFront, deployment: Deployment) -> None:
    front.kill()
    publish(deployment.bootstrap, deployment.topics["events"], list(episode(3, 5)))
    with Worker(deployment, patience=SHORT) as worker:
        until(lambda: "is it running" in worker.get("/readyz")[1], worker, seconds=60)
        assert worker.stop() == 0


@pytest.mark.usefixtures("front")
def test_a_store_that_refuses_the_password_is_no_reason_to_wait(deployment: Deployment) -> None:
    settings = deployment.config.read_text().replace("http://default@", "http://somebody@")
    deployment.config.write_text(settings)
    with Running(deployment) as running:
        assert running.process.wait(60) == 1
        assert "refused the user or the password: check both" in running.log
