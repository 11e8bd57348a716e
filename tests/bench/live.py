"""What the benchmarks of the running service share: a real broker, the mix in a topic, the service over it."""

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import yaml

from deploy.kafka.broker import Broker
from detector.events import Event
from detector.produce import produce
from detector.publishing import key_of
from tests.bench.stream import MONDAY, copied, days_of
from tests.support.kafka import new_topic
from tests.support.service import Deployment, Running

PACE: Final = 24
"""The mix is a day of several companies within an hour: a stream of five thousand messages a second has eighteen
million of them in an hour of event time, and where an hour holds a thousand, what comes with its end is a large part of
what is done."""

BYTES: Final = 600
"""What an event is filled up to, as JSON: agents' logs say more than the simulator's."""

EVERY: Final = 0.2
"""Seconds between two looks at a process's metrics: each costs it a few milliseconds."""

CHECKPOINT: Final = 5.0
"""Seconds between checkpoints: six times as often as by default, so that each part of a rate has one."""

PATIENCE: Final = 600.0
_FILLING: Final = "agent-runtime/4.2.1 (linux; x86_64) tools/2026.3 region/eu-north-1 deployment/blue "


class Size(NamedTuple):
    """How much is measured: of principals of each company, of companies, of partitions; and how often.

    `days` are those of one company that are read as they are, beside the mix; 0: none.
    """

    principals: int
    companies: int
    days: int
    partitions: int
    repetitions: int


FULL: Final = Size(1_000, 5, 1, 12, 5)
QUICK: Final = Size(100, 4, 0, 4, 2)


class Ground(NamedTuple):
    """A broker with the mix in `topic` (lz4 batches), the same as NDJSON in `file`, and a folder for what comes.

    `hourly` is the number of messages in an hour of event time, on average.
    """

    bootstrap: str
    topic: str
    file: Path
    messages: int
    hourly: int
    partitions: int
    folder: Path


class Sample(NamedTuple):
    """So many messages were done at a time (seconds, steady)."""

    at: float
    done: float


class Rate(msgspec.Struct, frozen=True):
    """Messages a second: the median of repetitions, and the spread from worst to best."""

    median: float
    worst: float
    best: float

    @classmethod
    def of(cls, rates: Sequence[float]) -> "Rate":
        """The rate that repetitions came to.

        >>> Rate.of([3.0, 1.0, 2.0])
        Rate(median=2.0, worst=1.0, best=3.0)
        """
        ordered = sorted(rates)
        middle = len(ordered) // 2
        median = ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
        return cls(round(median, 1), round(ordered[0], 1), round(ordered[-1], 1))


def filled(event: Event) -> bytes:
    """The event as JSON of about `BYTES` bytes, with more about its client in its attributes."""
    plain = msgspec.json.encode(event)
    missing = BYTES - len(plain) - 40
    if missing <= 0:
        return plain
    more = (_FILLING * (missing // len(_FILLING) + 1))[:missing]
    return msgspec.json.encode(msgspec.structs.replace(event, attributes={**event.attributes, "client": more}))


@contextmanager
def ground(size: Size) -> Iterator[Ground]:
    """Start a broker and load the mix into a topic of it; all is gone at the end.

    Raises:
        MissingTool: No Java or no Maven.
        RuntimeError: Not everything was published.
    """
    messages = [filled(event) for event in busy(size.principals, size.companies)]
    with tempfile.TemporaryDirectory(prefix="bench-") as name, Broker() as broker:
        folder = Path(name)
        file = folder / "mix.ndjson"
        file.write_bytes(b"\n".join(messages) + b"\n")
        topic = loaded(broker.bootstrap, messages, size.partitions)
        hourly = round(len(messages) * PACE / 24)
        yield Ground(broker.bootstrap, topic, file, len(messages), hourly, size.partitions, folder)


def busy(principals: int, companies: int) -> Iterator[Event]:
    """A day of so many companies of so many principals each, `PACE` times as fast."""
    for event in days_of(principals, 0, 1):
        faster = msgspec.structs.replace(event, time=MONDAY + (event.time - MONDAY) / PACE)
        for copy in range(companies):
            yield copied(faster, copy)


def calm(ground: Ground, principals: int, days: int) -> Ground:
    """The days of one company as they are, in a topic beside the mix."""
    messages = [filled(event) for event in days_of(principals, 0, days)]
    topic = loaded(ground.bootstrap, messages, ground.partitions)
    return ground._replace(topic=topic, messages=len(messages), hourly=round(len(messages) / days / 24))


def loaded(bootstrap: str, messages: Sequence[bytes], partitions: int) -> str:
    """A new topic with these messages, in lz4 batches, keyed by their principals."""
    topic = new_topic(bootstrap, "bench", partitions=partitions, configs={"message.timestamp.type": "LogAppendTime"})
    done = produce({"bootstrap_servers": [bootstrap]}, topic, messages, key_of=key_of)
    if done.failed:
        raise RuntimeError(f"{done.failed} messages could not be published: {dict(done.errors)}")
    return topic


def deployment(
    ground: Ground, name: str, *, events: str | None = None, every: float = CHECKPOINT, **settings: Any
) -> Deployment:
    """The service's configuration in a folder of its own, its topics made; it reads `events`, or a new topic.

    Its checkpoints are so many seconds apart.
    """
    folder = ground.folder / name
    folder.mkdir()
    made = Deployment(ground.bootstrap, folder, state={"url": f"file://{folder}/state", "every": every}, **settings)
    configured = yaml.safe_load(made.config.read_text())
    del configured["kafka"]["instance_id"]
    if events is not None:
        made.topics["events"] = configured["kafka"]["topics"]["events"] = events
    made.config.write_text(yaml.safe_dump(configured))
    made.command("topics", "--partitions", str(ground.partitions))
    return made


def done(running: Running) -> float:
    """Messages that the process has scored so far."""
    return running.metric("detector_events_verdict_total")


def watched(look: Callable[[], float], total: int, running: Running | None = None) -> list[Sample]:
    """How far it was, from before its first message until all are done.

    Raises:
        RuntimeError: The process ended, or was not done after ten minutes.
    """
    samples = [Sample(time.monotonic(), look())]
    limit = samples[0].at + PATIENCE
    while samples[-1].done < total:
        if running is not None and running.process.poll() is not None:
            raise RuntimeError(f"the service ended: {running.log[-2000:]}")
        if samples[-1].at > limit:
            raise RuntimeError(f"{samples[-1].done:.0f} of {total} messages were done in {PATIENCE:.0f} s")
        time.sleep(EVERY)
        samples.append(Sample(time.monotonic(), look()))
    return samples


def rates(samples: Sequence[Sample], parts: int, skip: float = 0.1) -> list[float]:
    """Messages a second over so many equal parts of the messages; what comes before `skip` of them is warming up.

    >>> rates([Sample(0, 0), Sample(1, 10), Sample(2, 30), Sample(3, 50)], 2, skip=0.2)
    [20.0, 20.0]
    """
    first, last = samples[0].done, samples[-1].done
    begin = first + skip * (last - first)
    marks = [min(begin + (last - begin) * part / parts, last) for part in range(parts + 1)]  # rounding may pass it
    times = [_when(samples, mark) for mark in marks]
    return [(marks[part + 1] - marks[part]) / max(times[part + 1] - times[part], 1e-9) for part in range(parts)]


def _when(samples: Iterable[Sample], mark: float) -> float:
    """When so many were done, on a line between the two looks around it."""
    before: Sample | None = None
    for sample in samples:
        if sample.done >= mark:
            if before is None or sample.done == before.done:
                return sample.at
            return before.at + (sample.at - before.at) * (mark - before.done) / (sample.done - before.done)
        before = sample
    raise ValueError(f"{mark:.0f} messages were never done")
