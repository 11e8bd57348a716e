"""Quix Streams, state in its store (RocksDB, changelog): `quix_app BOOTSTRAP TOPIC ALERTS COUNT PARTITIONS`."""

import sys
import tempfile
from typing import Any

from quixstreams import Application, State  # type: ignore[import-not-found]

from tests.bench.peers.work import Meter, Plain, Trees, alert, decode


def main(bootstrap: str, topic: str, alerts: str, count: str, _partitions: str) -> None:
    """Build the stream, and run it over so many messages."""
    trees, meter = Trees(), Meter(int(count))

    def score(value: bytes, state: State) -> bytes | None:
        event = decode(value)
        known: dict[str, Any] = state.get("principal", {})
        rate, new = Plain.take(known, event)
        state.set("principal", known)
        told = alert(event, rate, new, trees.take(event))
        meter.alerts += told is not None
        if meter.tick():
            meter.tell()
            app.stop()
        return told

    with tempfile.TemporaryDirectory(prefix="bench-quix-") as folder:
        app = Application(
            broker_address=bootstrap, consumer_group=f"{alerts}-group", auto_offset_reset="earliest", state_dir=folder,
            loglevel="WARNING",
        )  # fmt: skip
        source = app.topic(topic, value_deserializer="bytes", key_deserializer="bytes")
        sink = app.topic(alerts, value_serializer="bytes", key_serializer="bytes")
        stream = app.dataframe(source).apply(score, stateful=True)
        stream.filter(lambda told: told is not None).to_topic(sink)
        app.run()


if __name__ == "__main__":
    main(*sys.argv[1:])
