"""Faust-streaming, state in a table (changelog topic): `faust_app BOOTSTRAP TOPIC ALERTS COUNT PARTITIONS`."""

import os
import sys
import tempfile
from typing import Any

import faust  # type: ignore[import-not-found]

from tests.bench.peers.work import Meter, Plain, Trees, alert, decode


def main(bootstrap: str, topic: str, alerts: str, count: str, partitions: str) -> None:
    """Build the agent, and work until so many messages were taken in."""
    trees, meter = Trees(), Meter(int(count))
    app = faust.App(
        f"{alerts}-app", broker=f"kafka://{bootstrap}", topic_partitions=int(partitions),
        web_enabled=False, datadir=tempfile.mkdtemp(prefix="bench-faust-"), consumer_auto_offset_reset="earliest",
    )  # fmt: skip
    principals: Any = app.Table("principals", default=dict, partitions=int(partitions))
    sink = app.topic(alerts, value_serializer="raw", key_serializer="raw")

    async def score(stream: Any) -> None:
        async for key, value in stream.items():
            event = decode(value)
            known = principals[event.actor.id]
            rate, new = Plain.take(known, event)
            principals[event.actor.id] = known
            told = alert(event, rate, new, trees.take(event))
            if told is not None:
                await sink.send(key=key, value=told)
                meter.alerts += 1
            if meter.tick():
                meter.tell()
                os._exit(0)  # stopping in order takes it many seconds, and nothing of it is measured

    app.agent(app.topic(topic, value_serializer="raw", key_serializer="raw"))(score)
    faust.Worker(app, loglevel="ERROR", redirect_stdouts=False).execute_from_commandline()


if __name__ == "__main__":
    main(*sys.argv[1:])
