"""Several workers of one service on one machine: processes in one consumer group, watched over by a parent."""

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Protocol

import msgspec
import structlog

from detector import cores
from detector.config import Config
from detector.config_base import ConfigError
from detector.os_signals import Signals, hangups_held

log = structlog.get_logger(__name__)

SHORT_LIFE: Final = 30.0
"""Seconds that a worker must have lived for its end to be taken for an accident."""

GIVE_UP: Final = 5
"""Short lives in a row, of one worker, after which there is no use in beginning another."""

PAUSES: Final = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds before a worker's next life, by the number of short ones before it."""


class Process(Protocol):
    """What is needed of `subprocess.Popen`."""

    def poll(self) -> int | None:
        """The exit status; None while it lives."""

    def send_signal(self, sig: int) -> None:
        """Signal it."""

    def wait(self, timeout: float | None = None) -> int:
        """Wait for its end."""

    def kill(self) -> None:
        """End it at once."""


class Plan(msgspec.Struct, frozen=True):
    """One worker: its number, what tells it from the others (environment variables), and where it is scraped.

    `core` is the only one that it runs on; None: wherever the system puts it.
    """

    number: int
    environment: Mapping[str, str]
    target: str
    core: int | None = None

    @property
    def port(self) -> int:
        """Where its metrics are."""
        return int(self.target.rpartition(":")[2])


def plan(config: Config, count: int, usable: Sequence[int] = ()) -> list[Plan]:
    """How `count` workers differ: a port for the metrics each, counted on from the configured one, and a member's name.

    Args:
        config: The configuration of all.
        count: How many.
        usable: Cores that they may be pinned to.

    Raises:
        ConfigError: The event store is embedded, which is one process's.
    """
    if count > 1 and (config.store.url or "").startswith("chdb:"):
        raise ConfigError(
            "an embedded event store is open in one process at a time: several workers need a server as `store.url`"
        )
    address, first, instance = config.metrics.address, config.metrics.port, config.kafka.instance_id
    ports = list(range(first, first + count)) if first else _free_ports(address, count)
    if ports[-1] > 65_535:
        raise ConfigError(f"`metrics.port` {first} leaves no room for {count} workers: each takes the next port")
    plans = []
    for number, (port, core) in enumerate(zip(ports, cores.one_each(count, usable), strict=True)):
        variables = {"DETECTOR_METRICS__PORT": str(port)}
        if instance is not None:
            variables["DETECTOR_KAFKA__INSTANCE_ID"] = f"{instance}-{number}"
        host = f"[{address}]" if ":" in address else address
        plans.append(Plan(number, variables, f"{host}:{port}", core))
    return plans


def _free_ports(address: str, count: int) -> list[int]:
    with ExitStack() as held:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        sockets = [held.enter_context(socket.create_server((address, 0), family=family)) for _ in range(count)]
        return sorted(one.getsockname()[1] for one in sockets)


def write_targets(path: Path, plans: Sequence[Plan]) -> None:
    """Where Prometheus finds the workers: a file for its `file_sd_configs`, replaced as a whole."""
    listed = [{"targets": [one.target], "labels": {"worker": str(one.number)}} for one in plans]
    unfinished = path.with_name(f"{path.name}.tmp")
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished.write_text(json.dumps(listed, indent=2) + "\n", encoding="utf-8")
    unfinished.replace(path)


def refuse_taken(plans: Sequence[Plan], address: str) -> None:
    """Make sure that each worker's port is free, which none of them could tell as clearly.

    Raises:
        ConfigError: One is taken.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    for one in plans:
        try:
            socket.create_server((address, one.port), family=family).close()
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise ConfigError(
                    f"{one.target} is taken, where worker {one.number} would serve its metrics: is another service "
                    "there, or a worker of the last one that is still ending? Each worker takes the next port after "
                    "`metrics.port`"
                ) from None


def spawn(arguments: Sequence[str]) -> Callable[[Plan], Process]:
    """What begins a worker: `detector run` with these arguments, and what is its own in the environment.

    Its standard input is a pipe that nobody writes to, whose other end is this process's alone: see `end_with_parent`.
    """
    lifeline, _ = os.pipe()  # the other end is open as long as this process lives

    def begin(one: Plan) -> Process:
        command = [sys.executable, "-m", "detector", "run", *arguments, "--worker", str(one.number)]
        with hangups_held():
            process = subprocess.Popen(command, stdin=lifeline, env={**os.environ, **one.environment})  # noqa: S603 - us
        if one.core is not None:
            cores.pin(process.pid, one.core)
        return process

    return begin


def end_with_parent() -> None:
    """In a worker: end like on a SIGTERM once the parent is gone, since nobody would end it else."""

    def wait() -> None:
        while os.read(0, 1):
            pass
        log.error("parent_gone", why="the process that began this worker has ended")
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="parent", daemon=True).start()


class _Worker:
    """A worker over its lives."""

    def __init__(self, one: Plan, begin: Callable[[Plan], Process], now: float) -> None:
        self.plan = one
        self._begin = begin
        self.short_lives = 0
        self.due: float | None = None
        self.start(now)

    def start(self, now: float) -> None:
        self.began = now
        try:
            self.process = self._begin(self.plan)
            self.due = None
        except OSError as error:  # no process or memory left: as if it had ended at once
            log.error("worker_not_begun", worker=self.plan.number, why=error.strerror or str(error))  # noqa: TRY400
            self._rest(now)

    def look(self, now: float) -> None:
        """Note an end, and when to begin again."""
        if self.due is not None:
            if now >= self.due:
                self.start(now)
            return
        status = self.process.poll()
        if status is None:
            return
        log.error("worker_ended", worker=self.plan.number, status=status, seconds=round(now - self.began, 1))
        self._rest(now)

    def _rest(self, now: float) -> None:
        self.short_lives = self.short_lives + 1 if now - self.began < SHORT_LIFE else 1
        self.due = now + PAUSES[min(self.short_lives, len(PAUSES)) - 1]


class Supervisor:
    """Keeps workers alive until told to stop.

    A worker that ends by itself is begun again, after a pause that grows; one that can't live ends them all, since
    whatever it suffers from its peers will suffer from too. Signals go to all of them.

    Args:
        plans: The workers.
        begin: Begins one.
        patience: Seconds that they have from a signal to their end.
        clock, sleep: Time, monotonic, in seconds.
    """

    def __init__(
        self,
        plans: Sequence[Plan],
        begin: Callable[[Plan], Process],
        *,
        patience: float = 28.0,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._plans, self._begin = plans, begin
        self._patience, self._clock, self._sleep = patience, clock, sleep
        self._stop = threading.Event()
        self._workers: list[_Worker] = []

    def run(self) -> int:
        """Work until a signal: the exit status, 0 if all ended well."""
        taken = {signal.SIGTERM: self._end, signal.SIGINT: self._end, signal.SIGHUP: self._reload}
        failed, statuses = False, list[int]()
        with Signals(taken):
            try:
                for one in self._plans:
                    self._workers.append(_Worker(one, self._begin, self._clock()))
                pinned = [one.core for one in self._plans if one.core is not None]
                log.info("workers_started", targets=[one.target for one in self._plans], cores=pinned)
                while not (self._stop.is_set() or failed):
                    for worker in self._workers:
                        worker.look(self._clock())
                    failed = any(worker.short_lives >= GIVE_UP for worker in self._workers)
                    self._sleep(0.2)
                if failed:
                    log.error("workers_given_up", why=f"one of them ended {GIVE_UP} times within {SHORT_LIFE:.0f} s")
            finally:  # whatever happened here: none is left behind
                statuses = self._end_all()
        return 1 if failed or any(statuses) else 0

    def stop(self) -> None:
        """End the workers, from another thread."""
        self._stop.set()

    def _end_all(self) -> list[int]:
        """Ask all of them to end, and see to it that they do."""
        living = [worker for worker in self._workers if worker.due is None]
        for worker in living:
            _tell(worker.process, signal.SIGTERM)
        deadline = self._clock() + self._patience
        while any(worker.process.poll() is None for worker in living) and self._clock() < deadline:
            self._sleep(0.1)
        for worker in living:
            if worker.process.poll() is None:
                log.error("worker_killed", worker=worker.plan.number, why=f"it did not end in {self._patience:.0f} s")
                worker.process.kill()
        return [worker.process.wait() for worker in living]

    def _end(self, _: int) -> None:
        self._stop.set()

    def _reload(self, number: int) -> None:
        for worker in list(self._workers):
            if worker.due is None:
                _tell(worker.process, number)


def _tell(process: Process, number: int) -> None:
    try:
        process.send_signal(number)
    except ProcessLookupError:
        return  # it just ended
