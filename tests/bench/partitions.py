"""What more partitions cost one process, and what the faster client gives: `detector run`, without an event store."""

import os
from collections.abc import Sequence
from typing import Final

import msgspec

from tests.bench.live import Ground, Rate, deployment, done, loaded, rates, watched
from tests.support.service import Running

COUNTS: Final = (1, 4, 16)
CLIENTS: Final = ("kafka-python", "confluent-kafka")
MOST: Final = 30_000
_PARTS: Final = 5


class Reading(msgspec.Struct, frozen=True):
    """One process, one client, so many partitions: messages a second by part of the backlog.

    `cpu` is microseconds a message, of all threads, from the first message on; `memory` resident MiB at the end.
    """

    partitions: int
    client: str
    rate: Rate
    cpu: float
    memory: float


class Partitions(msgspec.Struct, frozen=True):
    """All of them, over the same messages."""

    messages: int
    readings: list[Reading]


def measure(ground: Ground, counts: Sequence[int] = COUNTS) -> Partitions:
    """The beginning of the mix, in topics of so many partitions; of the most by the faster client, too."""
    messages = ground.file.read_bytes().splitlines()[:MOST]
    topics = {count: loaded(ground.bootstrap, messages, count) for count in counts}
    usual, fast = CLIENTS
    runs = [*((count, usual) for count in counts), (max(counts), fast)]
    readings = [_reading(ground, topics[count], len(messages), count, client) for count, client in runs]
    return Partitions(len(messages), readings)


def _reading(ground: Ground, topic: str, messages: int, count: int, client: str) -> Reading:
    served = deployment(
        ground._replace(partitions=count), f"{client}-{count}", events=topic, client=client, store={"url": None}
    )
    with Running(served) as running:
        _ = running.where
        started, samples = _cpu(running), watched(lambda: done(running), messages, running)
        cpu, memory = _cpu(running) - started, running.metric("process_resident_memory_bytes")
        running.stop()
    return Reading(
        count, client, Rate.of(rates(samples, _PARTS)), round(cpu / messages * 1e6, 1), round(memory / 2**20, 1)
    )


def _cpu(running: Running) -> float:
    return running.metric("process_cpu_seconds_total")


def table(found: Partitions) -> str:
    """As Markdown."""
    usual = {reading.partitions: reading.cpu for reading in found.readings if reading.client == CLIENTS[0]}
    lines = [
        "| partitions | client | messages/s | worst to best | µs of CPU a message | of kafka-python's | resident MiB |",
        "| ---: | --- | ---: | ---: | ---: | ---: | ---: |",
        *(_line(reading, usual[reading.partitions]) for reading in found.readings),
    ]
    told = f"{found.messages:,} messages, each time; one process on {os.cpu_count()} cores, no event store."
    return "\n".join([*lines, "", told])


def _line(reading: Reading, usual: float) -> str:
    rate = reading.rate
    cells = (
        f"{reading.partitions}", reading.client, f"{rate.median:,.0f}", f"{rate.worst:,.0f} to {rate.best:,.0f}",
        f"{reading.cpu:.0f}", f"{reading.cpu / usual:.2f}", f"{reading.memory:,.0f}",
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"
