"""A message that decodes is no poison: whatever it says, it can be scored, saved, stored and told."""

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from detector import assembly, signals
from detector.alerts import Alert
from detector.charter import Charter
from detector.config import Charters, Config
from detector.events import Envelope, Event
from detector.findings import Finding
from detector.formats import REGISTRY
from detector.formats.parts import events_of
from detector.pipeline import Pipeline
from detector.sinks.base import Batch
from detector.sinks.clickhouse import ClickHouseSink
from detector.sinks.clickhouse_columns import EARLIEST, LATEST
from detector.store.client import Store
from tests.support import wild

CONFIG = Config(charters=Charters(agents={"agent-1": Charter(needs_approval=frozenset({"publish", "transfer"}))}))
PARTITION = ("events", 0)

wildly = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
histories = st.lists(wild.events(), min_size=1, max_size=12)


def decoded(events: list[Event]) -> list[Envelope]:
    """The events as they come from the wire, all of them arriving when the latest has happened."""
    now = max(event.time.timestamp() for event in events)
    envelopes = []
    for offset, event in enumerate(events):
        raw = msgspec.json.encode(event)
        known = REGISTRY["native"](raw)
        assert isinstance(known, tuple)
        envelopes += [Envelope(item, *PARTITION, offset, now, raw) for item in events_of(known)]
    return envelopes


def run(pipeline: Pipeline, envelopes: list[Envelope]) -> Batch:
    """All that comes of them."""
    batch = Batch()
    for envelope in envelopes:
        step = pipeline.step(envelope)
        assert step.verdict != "error"
        batch.events.append((envelope, step.verdict))
        batch.findings += step.findings
        batch.alerts += step.alerts
    return batch


@wildly
@given(histories)
def test_it_can_be_scored_and_told(events: list[Event]) -> None:
    batch = run(assembly.pipeline(CONFIG), decoded(events))
    for finding in batch.findings:
        assert isinstance(signals.decode(signals.encode(finding)), Finding)
    for alert in batch.alerts:
        assert msgspec.json.decode(msgspec.json.encode(alert), type=Alert) == alert


@wildly
@given(histories, histories)
def test_its_state_can_be_saved_and_restored(before: list[Event], after: list[Event]) -> None:
    first, second = assembly.pipeline(CONFIG), assembly.pipeline(CONFIG)
    envelopes = decoded(before + after)
    run(first, envelopes[: len(before)])
    saved = msgspec.msgpack.encode([first.scoring.snapshot(PARTITION), first.correlator.snapshot()])
    scoring, correlator = msgspec.msgpack.decode(saved)
    second.scoring.open(PARTITION, scoring)
    second.scoring.settle()
    second.correlator.restore(correlator)
    for envelope in envelopes[len(before) :]:
        scored = second.scoring.step(envelope)
        assert not scored.error
        assert scored == first.scoring.step(envelope)


@pytest.mark.chdb
@settings(wildly, max_examples=25)
@given(histories)
def test_it_can_be_stored(embedded_store: Store, events: list[Event]) -> None:
    """Only a time that the store can't hold is refused, and nothing else for its sake."""
    batch = run(assembly.pipeline(CONFIG), decoded(events))
    sink = ClickHouseSink(embedded_store.client, database=embedded_store.database)
    refused = sink.write(batch)
    timeless = [item for item in batch.events if not EARLIEST <= item[0].event.time <= LATEST]
    assert [r.item for r in refused if isinstance(r.item, tuple)] == timeless
    assert all("time is not within" in r.reason for r in refused)
