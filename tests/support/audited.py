"""A store with the sample scenarios in it, for the auditor's questions; and the samples as they are, to compare."""

import gzip
import uuid
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from detector import demo
from detector.auditing import LinkedStore
from detector.config import Config
from detector.scenario import Expectation, scenarios
from detector.sinks.base import Batch
from detector.sinks.clickhouse import ClickHouseSink
from detector.sources.files import FileSource
from detector.store.client import Store, connect
from detector.store.migrate import migrate
from tests.support.clickhouse_front import ClickHouseFront
from tests.support.nouns import an_envelope

SAMPLES: Final = Path(__file__).parents[2] / "sample_logs"
READ_AT: Final = 1_790_000_000.0
"""When the samples were read, by the clock of their reader: after all of them happened."""


@pytest.fixture(scope="module")
def audited(embedded_path: Path) -> Iterator[Store]:
    """An embedded store in which all four sample scenarios were played, as `detector demo` does it."""
    with connect(f"chdb://{embedded_path}?database=audited_{uuid.uuid4().hex[:8]}") as store:
        migrate(store)
        config = Config()
        sink = LinkedStore(config).sink(store)
        for scenario in scenarios(SAMPLES):
            source = FileSource(scenario.events, lambda: READ_AT, topic=f"demo:{scenario.expected.scenario}")
            demo.play(scenario, source, [sink], config, lambda: None)
        yield store
        store.client.command(f"DROP DATABASE {store.database}", use_database=False)


@pytest.fixture(scope="module")
def small(embedded_path: Path) -> Iterator[Store]:
    """An embedded store with five events of agent-1, for tests that change nothing in it."""
    with connect(f"chdb://{embedded_path}?database=small_{uuid.uuid4().hex[:8]}") as store:
        yield from _small(store)


@pytest.fixture(scope="module")
def small_server(clickhouse_front: ClickHouseFront) -> Iterator[Store]:
    """The same behind HTTP."""
    clickhouse_front.faults.clear()
    with connect(clickhouse_front.url(f"small_{uuid.uuid4().hex[:8]}")) as store:
        yield from _small(store)


def _small(store: Store) -> Iterator[Store]:
    migrate(store)
    sink = ClickHouseSink(store.client, database=store.database)
    sink.write(Batch(events=[(an_envelope(number), "scored") for number in range(5)]))
    yield store
    store.client.command(f"DROP DATABASE {store.database}", use_database=False)


def sample(name: str) -> list[dict[str, Any]]:
    """The events of a sample log as they stand in the file, in its order, times parsed; nothing of ours reads them."""
    lines = gzip.decompress((SAMPLES / name / "events.ndjson.gz").read_bytes()).splitlines()
    events = [msgspec.json.decode(line, type=dict[str, Any]) for line in lines]
    for event in events:
        event["time"] = datetime.fromisoformat(event["time"])
    return events


def expected_of(name: str) -> Expectation:
    """What the sample's `expected.yaml` says."""
    return next(each.expected for each in scenarios(SAMPLES) if each.expected.scenario == name)


def incident_of(store: Store, name: str) -> str:
    """The id of the gravest alert that a sample raised."""
    expected = expected_of(name)
    rows = store.client.query(
        "SELECT id FROM alerts_current WHERE severity = 'SEV1' AND detected_at >= {a:DateTime64(6, 'UTC')}"
        " AND opened_at <= {b:DateTime64(6, 'UTC')} ORDER BY opened_at LIMIT 1",
        parameters={"a": expected.incident.begins, "b": expected.incident.ends},
    ).result_rows
    return str(rows[0][0])
