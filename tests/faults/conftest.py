"""What the faults share: a store behind HTTP, and a deployment of workers that can be held to a clean replay."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from detector.store.client import connect
from tests.support.clickhouse_front import ClickHouseFront
from tests.support.receiver import Receiver, running_receiver
from tests.support.service import Deployment
from tests.support.store import unique_database
from tests.support.workers import ALONE


@pytest.fixture
def url(clickhouse_front: ClickHouseFront) -> Iterator[str]:
    """A store behind HTTP, with a database of its own."""
    clickhouse_front.faults.clear()
    database = unique_database()
    url = clickhouse_front.url(database)
    yield url
    clickhouse_front.faults.clear()
    with connect(url) as store:
        store.client.command(f"DROP DATABASE IF EXISTS {database}", use_database=False)


@pytest.fixture
def hook() -> Iterator[Receiver]:
    """Who alerts are posted to."""
    with running_receiver() as receiver:
        yield receiver


@pytest.fixture
def client() -> str:
    """What reads Kafka, unless a test asks for each client in turn."""
    return "kafka-python"


@pytest.fixture
def deployment(kafka_bootstrap: str, tmp_path: Path, url: str, hook: Receiver, client: str) -> Deployment:
    """Topics, a store and a webhook, for workers that find the same whatever partitions they have."""
    (tmp_path / "secret").write_text("faults")
    webhook = {"url": hook.url, "secret": {"file": str(tmp_path / "secret")}}
    deployment = Deployment(kafka_bootstrap, tmp_path, client=client, store={"url": url}, webhook=webhook, **ALONE)
    deployment.command("topics")
    return deployment
