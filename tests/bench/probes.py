"""Probes: acts that must raise an alert each, sent one by one, and how long it took until it was there."""

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Final

import msgspec
from kafka import KafkaProducer

from detector.events import Actor, Event, Permission, Target
from tests.bench.load import PROBE

WAIT: Final = 30.0
_LOAD: Final = (sys.executable, "-m", "tests.bench.load")


class Latency(msgspec.Struct, frozen=True):
    """Seconds from before an event is sent: of `count` probes, of which `lost` were not seen within half a minute."""

    count: int
    lost: int
    p50: float
    p99: float
    most: float

    @classmethod
    def of(cls, sent: dict[str, float], seen: dict[str, float]) -> "Latency":
        """What the times of sending and seeing, by name, come to.

        >>> Latency.of({"a": 1.0, "b": 2.0, "c": 3.0}, {"a": 1.5, "b": 2.1})
        Latency(count=3, lost=1, p50=0.1, p99=0.5, most=0.5)
        """
        took = sorted(seen[name] - at for name, at in sent.items() if name in seen)
        if not took:
            raise RuntimeError(f"none of {len(sent)} probes was seen")
        return cls(len(sent), len(sent) - len(took), *(round(quantile(took, q), 4) for q in (0.5, 0.99, 1.0)))


def quantile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that so large a share of all does not exceed.

    >>> quantile([1.0, 2.0, 3.0, 4.0], 0.5), quantile([1.0, 2.0], 0.99)
    (2.0, 2.0)
    """
    return ordered[max(0, -int(-share * len(ordered) // 1) - 1)]


def probe(name: str, at: float) -> Event:
    """An opening of user data by a principal that nobody knows: an incident of its own."""
    return Event(
        id=name,
        time=datetime.fromtimestamp(at, UTC),
        kind="permission",
        action="set_policy",
        actor=Actor(id=name, kind="human", role="engineer"),
        target=Target(uri=f"warehouse://users/{name}", sensitivity="restricted"),
        permission=Permission("widen", f"all-of-{name}", "org", 4100, "read"),
    )


def send(bootstrap: str, topic: str, mark: str, count: int, every: float) -> dict[str, float]:
    """Send so many, `every` so many seconds; when each was, by its name.

    None waits for the one before, so that a slow one does not hide how slow the next would have been.
    """
    producer = KafkaProducer(bootstrap_servers=bootstrap, linger_ms=0, acks="all", compression_type="lz4")
    sent: dict[str, float] = {}
    try:
        producer.partitions_for(topic)
        began = time.monotonic()
        for number in range(count):
            time.sleep(max(0.0, began + number * every - time.monotonic()))
            name = f"{PROBE}{mark}-{number}"
            at = sent[name] = time.time()
            producer.send(topic, key=name.encode(), value=msgspec.json.encode(probe(name, at)))
        producer.flush(WAIT)
    finally:
        producer.close(WAIT)
    return sent


class Listener:
    """A process that sees probes come out; its lines are in a file."""

    def __init__(self, path: Path, process: subprocess.Popen[bytes]) -> None:
        self._path, self._process = path, process

    def seen(self, kind: str) -> dict[str, float]:
        """When each probe was seen, by its name; `kind` is "bare" or "alert"."""
        lines = [msgspec.json.decode(line) for line in self._path.read_bytes().splitlines(keepends=True)[1:]
                 if line.endswith(b"\n")]  # fmt: skip
        return {name: at for what, name, at in lines if what == kind}

    def wait(self, ready: bool = False, names: Sequence[str] = ()) -> None:
        """Wait until it listens, or until it saw the alerts of these, or for half a minute."""
        limit = time.monotonic() + WAIT
        while time.monotonic() < limit:
            if self._process.poll() is not None:
                raise RuntimeError("the listener ended; its words are on stderr")
            if (ready and self._path.stat().st_size) or (names and self.seen("alert").keys() >= set(names)):
                return
            time.sleep(0.1)


@contextmanager
def listening(bootstrap: str, events: str, alerts: str, path: Path) -> Iterator[Listener]:
    """A listener, for the time of the block."""
    with path.open("wb") as out, _process(out, "listen", bootstrap, events, alerts) as process:
        listener = Listener(path, process)
        listener.wait(ready=True)
        yield listener


@contextmanager
def loading(bootstrap: str, topic: str, file: Path, rate: float, seconds: float, mark: str) -> Iterator[None]:
    """Load beside the block, ended with it.

    Raises:
        RuntimeError: It ended before, and not in order.
    """
    given = (bootstrap, topic, str(file), f"{rate:.1f}", f"{seconds:.1f}", mark)
    with _process(subprocess.DEVNULL, "produce", *given) as process:
        yield
        if process.poll():
            raise RuntimeError("the load could not be produced; its words are on stderr")


@contextmanager
def _process(out: IO[bytes] | int, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([*_LOAD, *arguments], stdout=out)
    try:
        yield process
    finally:
        process.kill()
        process.wait(10)
