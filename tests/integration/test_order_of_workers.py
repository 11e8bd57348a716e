"""Four workers tell what one worker tells: the same alerts, version by version, of the same topic."""

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
import yaml

from detector.alerts import Alert
from detector.sources.kafka import ConsumerSettings
from tests.support.kafka import publish
from tests.support.service import Deployment, until
from tests.support.soak_stream import episode
from tests.support.workers import IMPATIENT, Worker, kill_all

pytestmark = [pytest.mark.kafka, pytest.mark.timeout(300)]

PARTITIONS: Final = 12
EPISODES: Final = 4
EXCHANGING: Final = {"scoring": {"peers_wait": 100.0}}
NAMES: Final = ("one", "two", "three", "four")

# A static member that is away for less than its session finds its partitions again; nobody is given up meanwhile.
PATIENCE: Final = msgspec.structs.replace(
    IMPATIENT, consumer=ConsumerSettings(session_timeout=30.0, heartbeat_interval=0.5, probe_after=1.0), order=60.0
)


@contextmanager
def working(deployment: Deployment, *names: str) -> Iterator[list[Worker]]:
    workers = [Worker(deployment, name, PATIENCE) for name in names]
    try:
        yield workers
    finally:
        kill_all(workers)


def deployed(bootstrap: str, folder: Path, **settings: Any) -> Deployment:
    folder.mkdir()
    state = {"url": f"file://{folder}/state", "every": 2.0}
    return Deployment(bootstrap, folder, store={"url": None}, state=state, **settings)


def by_itself(deployment: Deployment, topic: str) -> None:
    """Have a deployment read another's events."""
    settings = yaml.safe_load(deployment.config.read_text())
    settings["kafka"]["topics"]["events"] = deployment.topics["events"] = topic
    deployment.config.write_text(yaml.safe_dump(settings))


def told(deployment: Deployment) -> dict[tuple[str, int], Alert]:
    """The alerts, but for the name of the configuration that they were made under."""
    versions = deployment.alert_versions()
    return {version: msgspec.structs.replace(alert, config="") for version, alert in versions.items()}


def events() -> list[tuple[bytes | None, bytes]]:
    return list(itertools.chain.from_iterable(episode(number, 7) for number in range(EPISODES)))


@pytest.mark.parametrize("settings", [EXCHANGING], ids=["with the exchange of peers"])
def test_four_workers_tell_what_one_tells(kafka_bootstrap: str, tmp_path: Path, settings: dict[str, Any]) -> None:
    four = deployed(kafka_bootstrap, tmp_path / "four", **settings)
    four.command("topics", "--partitions", str(PARTITIONS))
    one = deployed(kafka_bootstrap, tmp_path / "one", **settings)
    topic = four.topics["events"]
    by_itself(one, topic)
    one.command("topics", "--partitions", str(PARTITIONS))
    # They share the partitions before there is anything to read, and are away while all of it is written.
    with working(four, *NAMES) as workers:
        until(lambda: all(len(worker.partitions(topic)) == PARTITIONS // len(NAMES) for worker in workers), workers[0])
    publish(kafka_bootstrap, topic, events())
    with working(four, *NAMES) as workers:
        until(four.is_done, workers[0])
        shares = [worker.metric("detector_events_total") for worker in workers]
        unsure = sum(worker.metric("detector_order_unsure_total") for worker in workers)
    with working(one, "one") as (worker,):
        until(one.is_done, worker)
        waited = worker.metric("detector_order_wait_seconds_sum")
    assert all(shares), "each of them found something to do"
    assert not unsure, "nobody was silent or too late"
    assert not waited, "who has all partitions waits for nobody"
    expected = told(one)
    assert len(expected) > 10
    assert told(four) == expected
