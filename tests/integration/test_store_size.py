"""What an event takes on disk, by the engine's own count, of the simulator's mix."""

from datetime import timedelta
from typing import Final

import msgspec
import pytest

from detector.events import Envelope
from detector.store.client import Store
from tests.support.linked import Linked
from tests.support.simulator.background import background
from tests.support.simulator.rhythm import Period
from tests.support.simulator.trail import utc
from tests.support.simulator.world import build_world

pytestmark = pytest.mark.chdb

WITH_RAW: Final = 250.0
WITHOUT_RAW: Final = 120.0
SIZES: Final = """
SELECT sum(rows), sum(bytes_on_disk) FROM system.parts
WHERE active AND database = currentDatabase() AND table = {t:String}
"""
RAW: Final = """
SELECT sum(column_data_compressed_bytes) FROM system.parts_columns
WHERE active AND database = currentDatabase() AND table = 'events_data' AND column = 'raw'
"""


def size(store: Store, table: str) -> tuple[int, int]:
    ((rows, on_disk),) = store.client.query(SIZES, parameters={"t": table}).result_rows
    return int(rows), int(on_disk)


def test_an_event_takes_less_than_250_bytes_and_120_without_its_original(embedded_store: Store) -> None:
    """A week of a small company, in inserts of 500: many small parts, as a service leaves them, merged once."""
    begin = utc(2026, 3, 2)
    events = background(build_world(7), Period(begin, begin + timedelta(days=7)))
    encode = msgspec.json.Encoder().encode
    writer = Linked(embedded_store)
    rows = [
        (Envelope(event, "agent-events", 0, offset, event.time.timestamp() + 0.3, encode(event)), "scored")
        for offset, event in enumerate(events)
    ]
    for start in range(0, len(rows), 500):
        assert not writer.sink.write_events(rows[start : start + 500])
    # Of parts as small as these the engine does not count columns one by one.
    embedded_store.client.command("ALTER TABLE events_data MODIFY SETTING min_bytes_for_wide_part = 0")
    for table in ("events_data", "principal_minutes_data"):
        embedded_store.client.command("OPTIMIZE TABLE {t:Identifier} FINAL", parameters={"t": table})
    stored, on_disk = size(embedded_store, "events_data")
    assert stored == len(events) > 10_000
    sums, links = size(embedded_store, "principal_minutes_data")[1], size(embedded_store, "integrity_data")[1]
    raw = embedded_store.client.query(RAW).result_rows[0][0]
    assert (on_disk + sums + links) / stored < WITH_RAW
    assert (on_disk - raw + sums + links) / stored < WITHOUT_RAW
    assert raw / stored > 20, "the originals are there"
