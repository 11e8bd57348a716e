"""What a soak does to the parts of a deployment, one fault at a time to each of them, in an order drawn from a seed."""

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, NamedTuple, Protocol

import msgspec
from kafka import errors

from deploy.kafka.broker import Broker
from tests.support.alertmanager import Alertmanager
from tests.support.clickhouse_front import ClickHouseFront
from tests.support.receiver import Answer, Receiver
from tests.support.workers import Worker

INSERT: Final = "INSERT INTO"


class Parts(Protocol):
    """What can be broken."""

    broker: Broker
    front: ClickHouseFront
    alertmanager: Alertmanager | None
    hook: Receiver
    workers: dict[str, Worker]

    def start_worker(self, name: str) -> None:
        """Begin a worker's next life."""


class Done(msgspec.Struct):
    """One fault: when it began (seconds after the first), what, to whom, for how long."""

    at: float
    kind: str
    target: str
    seconds: float


Act = Callable[[Parts, str, float, random.Random], None]


class Fault(NamedTuple):
    """A kind of fault: what it breaks ("worker" for any of them), between how many seconds, and how."""

    kind: str
    target: str
    shortest: float
    longest: float
    act: Act


def _kill_worker(parts: Parts, name: str, seconds: float, _: random.Random) -> None:
    parts.workers[name].kill()
    time.sleep(seconds)
    parts.start_worker(name)


def _restart_worker(parts: Parts, name: str, seconds: float, _: random.Random) -> None:
    worker = parts.workers[name]
    if worker.alive:
        worker.stop()
    time.sleep(seconds)
    parts.start_worker(name)


def _freeze_worker(parts: Parts, name: str, seconds: float, _: random.Random) -> None:
    worker = parts.workers[name]
    if worker.alive:
        worker.freeze()
        time.sleep(seconds)
        worker.thaw()


def _kill_broker(parts: Parts, _: str, seconds: float, __: random.Random) -> None:
    parts.broker.kill()
    time.sleep(seconds)
    parts.broker.start()


def _restart_broker(parts: Parts, _: str, seconds: float, __: random.Random) -> None:
    parts.broker.stop()
    time.sleep(seconds)
    parts.broker.start()


def _freeze(pid: int | None, seconds: float) -> None:
    if pid is not None:
        os.kill(pid, signal.SIGSTOP)
        time.sleep(seconds)
        os.kill(pid, signal.SIGCONT)


def _freeze_broker(parts: Parts, _: str, seconds: float, __: random.Random) -> None:
    _freeze(parts.broker.pid, seconds)


def _kill_store(parts: Parts, _: str, seconds: float, __: random.Random) -> None:
    parts.front.kill()
    time.sleep(seconds)
    parts.front.start()


def _freeze_store(parts: Parts, _: str, seconds: float, __: random.Random) -> None:
    _freeze(parts.front.pid, seconds)


def _trouble_store(parts: Parts, _: str, seconds: float, rng: random.Random) -> None:
    """Answers of every bad kind to the next inserts; those not asked for by the end are withdrawn."""
    faults, times = parts.front.faults, rng.randint(2, 12)
    orders: list[Callable[[], None]] = [
        partial(faults.commit_then_drop, INSERT, times=times),
        partial(faults.refuse, INSERT, times=times),
        partial(faults.error, INSERT, times=times),
        partial(faults.unavailable, INSERT, times=times),
        partial(faults.slow, INSERT, 1.0, times=3),
    ]
    for order in rng.sample(orders, 3):
        order()
    time.sleep(seconds)
    faults.clear()


def _restart_alertmanager(parts: Parts, _: str, seconds: float, __: random.Random) -> None:
    if parts.alertmanager is not None:
        parts.alertmanager.stop()
        time.sleep(seconds)
        parts.alertmanager.start()


def _trouble_hook(parts: Parts, _: str, seconds: float, rng: random.Random) -> None:
    parts.hook.answers += [Answer(rng.choice((500, 502, 503, 429))) for _ in range(rng.randint(2, 10))]
    time.sleep(seconds)
    parts.hook.answers.clear()


FAULTS: Final[Sequence[Fault]] = (
    Fault("kill -9", "worker", 0.0, 4.0, _kill_worker),
    Fault("SIGTERM and start", "worker", 0.0, 3.0, _restart_worker),
    Fault("freeze", "worker", 1.0, 12.0, _freeze_worker),
    Fault("kill -9", "broker", 0.5, 4.0, _kill_broker),
    Fault("restart", "broker", 0.0, 3.0, _restart_broker),
    Fault("freeze", "broker", 1.0, 6.0, _freeze_broker),
    Fault("kill -9", "store", 0.5, 8.0, _kill_store),
    Fault("freeze", "store", 1.0, 6.0, _freeze_store),
    Fault("bad answers", "store", 2.0, 8.0, _trouble_store),
    Fault("restart", "alertmanager", 0.0, 4.0, _restart_alertmanager),
    Fault("bad answers", "webhook", 1.0, 5.0, _trouble_hook),
)


class Mischief:
    """Draws faults from a seed and commits them, each in a thread of its own, no two on one target.

    Args:
        parts: What to break.
        seed: Of the draws: kinds, targets, lengths and pauses.
    """

    def __init__(self, parts: Parts, seed: int) -> None:
        self._parts = parts
        self._rng = random.Random(seed)
        self._began = time.monotonic()
        self._threads: dict[str, threading.Thread] = {}
        self._failures: list[str] = []
        self.done: list[Done] = []

    def busy(self, target: str) -> bool:
        """Whether a fault of it is under way."""
        thread = self._threads.get(target)
        return thread is not None and thread.is_alive()

    def strike(self) -> float:
        """Begin one more fault, if its target has none; the seconds to wait until the next."""
        rng = self._rng
        fault = rng.choice(FAULTS)
        names = sorted(self._parts.workers)
        target = rng.choice(names) if fault.target == "worker" else fault.target
        seconds, pause, own = rng.uniform(fault.shortest, fault.longest), rng.uniform(1.0, 5.0), rng.getrandbits(32)
        if not self.busy(target):
            self.done.append(Done(round(time.monotonic() - self._began, 1), fault.kind, target, round(seconds, 1)))
            thread = threading.Thread(target=self._commit, args=(fault, target, seconds, random.Random(own)))
            self._threads[target] = thread
            thread.start()
        return pause

    def _commit(self, fault: Fault, target: str, seconds: float, rng: random.Random) -> None:
        try:
            fault.act(self._parts, target, seconds, rng)
        except (OSError, RuntimeError, AssertionError, errors.KafkaError) as error:
            self._failures.append(f"{fault.kind} of {target}: {type(error).__name__}: {error}")

    def end(self) -> None:
        """Wait for those under way; nothing is broken after it.

        Raises:
            RuntimeError: A fault could not be committed, or mended again.
        """
        for thread in self._threads.values():
            thread.join(120)
        if self._failures:
            raise RuntimeError(f"the soak itself failed: {self._failures}")
