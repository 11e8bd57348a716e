"""The service ends when it is told to, within its deadline, whatever hangs; and says when it hangs by itself."""

import os
import signal
import time
from pathlib import Path

import msgspec
import pytest
import yaml

from deploy.kafka.broker import Broker
from detector.patience import Patience
from tests.support.clean_replay import assert_clean
from tests.support.clickhouse_front import ClickHouseFront
from tests.support.kafka import publish
from tests.support.receiver import Receiver
from tests.support.service import Deployment, until
from tests.support.soak_stream import episode
from tests.support.workers import IMPATIENT, Worker

SHUTDOWN = 6.0
LATE = 10.0  # what a busy machine may take on top
HURRIED = msgspec.structs.replace(IMPATIENT, shutdown=SHUTDOWN, grace=2.0, stuck=3.0)

pytestmark = [pytest.mark.kafka, pytest.mark.chdb, pytest.mark.timeout(240)]


def posted(hook: Receiver) -> list[bytes]:
    return [request.body for request in hook.requests]


def finish(deployment: Deployment, url: str, hook: Receiver) -> None:
    """A next worker does what is left, and all is as it should be."""
    with Worker(deployment) as worker:
        until(lambda: worker.ready, worker)
        until(deployment.is_done, worker)
        assert worker.stop() == 0
    assert_clean(deployment, url, posted(hook))


def test_told_to_end_while_a_sink_hangs(
    deployment: Deployment, url: str, hook: Receiver, clickhouse_front: ClickHouseFront
) -> None:
    publish(deployment.bootstrap, deployment.topics["events"], episode(3, 5))
    with Worker(deployment, patience=HURRIED) as worker:
        until(lambda: worker.ready, worker)
        clickhouse_front.faults.slow("INSERT INTO", 3 * SHUTDOWN, times=10)
        until(lambda: worker.metric("detector_sink_queue_items", sink="clickhouse") > 0, worker)
        # The insert is under way, and no answer comes.
        began = time.monotonic()
        worker.stop()
        assert time.monotonic() - began < SHUTDOWN + LATE
        assert worker.said("sink_closed_with_items_pending") or worker.said("shutdown_overdue")
    clickhouse_front.faults.clear()
    finish(deployment, url, hook)


def test_told_to_end_amid_checkpoints_again_and_again(deployment: Deployment, url: str, hook: Receiver) -> None:
    settings = yaml.safe_load(deployment.config.read_text())
    settings["state"]["every"] = 0.01
    deployment.config.write_text(yaml.safe_dump(settings))
    events = list(episode(3, 5))
    for share in (0.1, 0.4, 0.7):
        publish(deployment.bootstrap, deployment.topics["events"], events[: len(events) // 3])
        del events[: len(events) // 3]
        with Worker(deployment) as worker:
            until(lambda worker=worker: worker.metric("detector_checkpoint_bytes_total") > 0, worker)  # type: ignore[misc]
            time.sleep(share)
            assert worker.stop() == 0
            assert not worker.said("shutdown_overdue")
    finish(deployment, url, hook)


def test_a_loop_that_hangs_is_told_and_does_not_outlive_the_deadline(
    deployment: Deployment, url: str, hook: Receiver
) -> None:
    """The state of one partition is on a disk that does not answer: here, a pipe that nobody writes to."""
    events, topic = list(episode(3, 5)), deployment.topics["events"]
    publish(deployment.bootstrap, topic, events[: len(events) // 2])
    with Worker(deployment) as worker:
        until(deployment.is_done, worker)
        assert worker.stop() == 0
    hanging = newest_manifest(deployment.folder / "state" / "score")
    payload = hanging.read_bytes()
    hanging.unlink()
    os.mkfifo(hanging)
    with Worker(deployment, patience=HURRIED) as worker:
        until(lambda: worker.said("service_started"), worker)
        until(lambda: worker.get("/healthz") == (503, "score is stuck\n"), worker, seconds=30)
        assert worker.get("/readyz")[0] == 503
        began = time.monotonic()
        assert worker.stop() == 1
        assert time.monotonic() - began < SHUTDOWN + LATE
        (overdue,) = worker.said("shutdown_overdue")
        assert "score" in overdue["threads"]
    hanging.unlink()
    hanging.write_bytes(payload)
    publish(deployment.bootstrap, topic, events[len(events) // 2 :])
    finish(deployment, url, hook)


@pytest.mark.parametrize(
    ("how", "client"),
    [(signal.SIGKILL, "kafka-python"), (signal.SIGSTOP, "kafka-python"), (signal.SIGSTOP, "confluent-kafka")],
    ids=["away", "silent", "silent to confluent-kafka"],
)
def test_told_to_end_without_kafka(tmp_path: Path, stoppable_broker: Broker, how: signal.Signals, client: str) -> None:
    """With findings that can't be sent, and nothing that could be committed: before the deadline, in order."""
    deployment = Deployment(stoppable_broker.bootstrap, tmp_path, client=client, store={"url": None})
    deployment.command("topics")
    publish(deployment.bootstrap, deployment.topics["events"], episode(3, 5))
    with Worker(deployment, patience=Patience()) as worker:
        until(lambda: worker.metric("detector_messages_total") > 0, worker)
        assert stoppable_broker.pid is not None
        os.kill(stoppable_broker.pid, how)
        assert worker.stop() == 0, worker.log[-3000:]
        stoppable_broker.kill()
        assert not worker.said("shutdown_overdue")
        assert "Traceback" not in worker.log


def newest_manifest(stage: Path) -> Path:
    """That of one of the partitions."""
    folder = max(stage.glob("*/*"), key=lambda path: len(list(path.iterdir())))
    return max(folder.glob("manifest-*.json"))
