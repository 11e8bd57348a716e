"""The soak: workers under load while everything they need is killed, frozen and restarted; then the reckoning.

`make soak MINUTES=20 [SEED=…]`, or `python -m tests.support.soak --minutes 20 --seed 1 --json FILE`. At the end the
event store, the topics, the webhook and Alertmanager are compared with a clean replay of what the broker's log holds
(see `tests.support.clean_replay`): lost 0, doubled 0, different 0, or the exit status is 1.

The workers exchange no knowledge of peers, since today that is done within a process: what scoring finds would
lawfully depend on who had which partitions when. Correlation puts what they found into the order of event time, but
waits only so long for a worker that is killed or frozen: it is held to what its topic says of that, and how its alerts
differ from those of one process that was never disturbed is told beside the verdict.
"""

import argparse
import contextlib
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
from rich.console import Console
from rich.table import Table

from deploy.kafka.broker import Broker
from detector.config_file import load
from detector.store.client import connect
from detector.store.migrate import migrate
from tests.support import clean_replay
from tests.support.alertmanager import Alertmanager, running_alertmanager
from tests.support.clean_replay import Difference, Expected
from tests.support.clickhouse_front import ClickHouseFront
from tests.support.receiver import Receiver, running_receiver
from tests.support.service import Deployment
from tests.support.soak_faults import Done, Mischief
from tests.support.soak_stream import Load, messages
from tests.support.workers import ALONE, Worker, kill_all

WORKERS: Final = ("worker-0", "worker-1", "worker-2")
DRAIN_SECONDS: Final = 240.0
HEARTBEAT: Final = 2.0
WIDTH: Final = 120


class Result(msgspec.Struct):
    """What a soak did and found; sizes in bytes, times in seconds."""

    seed: int
    minutes: float
    rate: float
    published: int
    in_the_log: int
    drained_seconds: float
    peak_memory: int
    faults: list[Done]
    ended_by_themselves: dict[str, int]
    differences: dict[str, Difference]
    alerts_of_one_process: Difference

    @property
    def clean(self) -> bool:
        """Nothing lost, doubled or different."""
        return all(difference.clean for difference in self.differences.values())


class Soak:
    """All the parts of one deployment, running."""

    def __init__(
        self, folder: Path, broker: Broker, front: ClickHouseFront, alertmanager: Alertmanager | None, hook: Receiver
    ) -> None:
        self.broker, self.front, self.alertmanager, self.hook = broker, front, alertmanager, hook
        secret = folder / "secret"
        secret.write_text("soak")
        self.url = front.url("soak")
        told: dict[str, Any] = {"webhook": {"url": hook.url, "secret": {"file": str(secret)}}}
        if alertmanager is not None:
            told["alertmanager"] = {"url": alertmanager.url, "heartbeat": HEARTBEAT}
        self.deployment = Deployment(
            broker.bootstrap,
            folder,
            store={"url": self.url},
            state={"url": f"file://{folder}/state", "every": 2.0},
            **{**ALONE, **told},
        )
        self.deployment.command("topics")
        with connect(self.url) as store:
            migrate(store)
        self.workers: dict[str, Worker] = {}
        self.lives: list[Worker] = []
        self.peak_memory = 0
        self.ended: Counter[str] = Counter()

    def start_worker(self, name: str) -> None:
        """Begin a worker's next life."""
        self.workers[name] = Worker(self.deployment, name)
        self.lives.append(self.workers[name])

    def watch(self, busy: Callable[[str], bool]) -> None:
        """Start again who ended by itself, as an operator's supervisor would, and note the memory of the others."""
        for name, worker in list(self.workers.items()):
            if busy(name):
                continue
            if worker.alive:
                self.peak_memory = max(self.peak_memory, memory_of(worker.process.pid))
            else:
                self.ended[last_words(worker)] += 1
                self.start_worker(name)

    def run(self, minutes: float, seed: int, rate: float) -> Result:
        """Load and faults for so long, then calm until everything is done; then compare."""
        topic = self.deployment.topics["events"]
        for name in WORKERS:
            self.start_worker(name)
        until(lambda: any(worker.ready for worker in self.workers.values()), 60.0, "no worker is ready")
        stream = Load(self.broker.bootstrap, topic, messages(seed), rate)
        stream.start()
        mischief = Mischief(self, seed)
        end, due = time.monotonic() + 60.0 * minutes, time.monotonic() + 2.0
        while (now := time.monotonic()) < end:
            if now >= due:
                due = now + mischief.strike()
            self.watch(mischief.busy)
            if not stream.is_alive():
                stream.stop()
            time.sleep(0.2)
        mischief.end()
        self.front.faults.clear()
        stream.stop()
        began = time.monotonic()
        self._drain()
        drained = time.monotonic() - began
        expected, alone = self._expected()
        differences = self._compare(expected)
        of_one = clean_replay.delivered(alone, map(msgspec.json.encode, expected.alerts.values()))
        return Result(
            seed=seed,
            minutes=minutes,
            rate=rate,
            published=stream.sent,
            in_the_log=len(expected.events) + len(expected.rejects),
            drained_seconds=round(drained, 1),
            peak_memory=self.peak_memory,
            faults=mischief.done,
            ended_by_themselves=dict(self.ended),
            differences=differences,
            alerts_of_one_process=of_one,
        )

    def _drain(self) -> None:
        def done() -> bool:
            self.watch(lambda _: False)
            return self.deployment.is_done() and any(worker.ready for worker in self.workers.values())

        until(done, DRAIN_SECONDS, "what is left was not worked off")

    def _expected(self) -> tuple[Expected, Expected]:
        config, events = load(self.deployment.config), clean_replay.read_log(self.deployment, "events")
        told = clean_replay.read_log(self.deployment, "findings")
        return clean_replay.replay(config, events, told), clean_replay.in_one_process(config, events)

    def _compare(self, expected: Expected) -> dict[str, Difference]:
        differences = {}
        if self.alertmanager is not None:
            differences["open in Alertmanager"] = self._open(self.alertmanager, expected)
        for worker in self.workers.values():
            worker.stop()
        posted = [request.body for request in self.hook.requests]
        return differences | clean_replay.reckon(self.deployment, self.url, posted)

    def _open(self, alertmanager: Alertmanager, expected: Expected) -> Difference:
        """What burns in Alertmanager, once what it was told before a crash has ended by itself."""

        def burning() -> list[str]:
            return [held["labels"]["incident"] for held in alertmanager.alerts()]

        with contextlib.suppress(TimeoutError):
            until(lambda: sorted(burning()) == sorted(expected.open), 12 * HEARTBEAT, "")
        return clean_replay.compare(dict.fromkeys(expected.open), ((name, None) for name in burning()), once=True)


def until(condition: Callable[[], bool], seconds: float, otherwise: str) -> None:
    """Wait until it is so.

    Raises:
        TimeoutError: It was not after so many seconds.
    """
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{otherwise} after {seconds:.0f} s")
        time.sleep(0.5)


def memory_of(pid: int) -> int:
    """Resident bytes of a process; 0 when it is gone, or where there is no /proc."""
    try:
        found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0
    return int(found[1]) * 1024 if found else 0


def last_words(worker: Worker) -> str:
    """Why a worker ended, as it said itself, without what is different each time."""
    lines = [line for line in worker.log.splitlines() if line.startswith("detector:") or "stage_failed" in line]
    said = lines[-1] if lines else f"exit status {worker.process.returncode}"
    return re.sub(r"[0-9a-f]{6,}|\d+", "…", said)[:160]


@contextlib.contextmanager
def deployed(folder: Path) -> Iterator[Soak]:
    """A soak's parts, started here and ended here, none of them shared."""
    with contextlib.ExitStack() as stack:
        hook = stack.enter_context(running_receiver())
        alertmanager = None
        if shutil.which("prometheus-alertmanager") or os.environ.get("CI") == "true":
            (folder / "alertmanager").mkdir()
            alertmanager = stack.enter_context(running_alertmanager(folder / "alertmanager", hook.url))
        broker = stack.enter_context(Broker(folder / "kafka"))
        front = stack.enter_context(ClickHouseFront(folder / "front"))
        soak = Soak(folder, broker, front, alertmanager, stack.enter_context(running_receiver()))
        try:
            yield soak
        finally:
            kill_all(soak.lives)


def show(result: Result) -> None:
    """The result as two tables on standard output; what is wrong comes last."""
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    done = Table("fault", "times", "seconds in all", title=f"seed {result.seed}, {result.minutes:g} min")
    for kind in sorted({(fault.target, fault.kind) for fault in result.faults}):
        lengths = [fault.seconds for fault in result.faults if (fault.target, fault.kind) == kind]
        done.add_row(f"{kind[0]}: {kind[1]}", str(len(lengths)), f"{sum(lengths):.0f}")
    console.print(done)
    found = Table("where", "expected", "lost", "doubled", "different", "repeats told apart by id")
    for place, d in result.differences.items():
        found.add_row(place, *map(str, (d.expected, d.lost, d.doubled, d.different, d.repeats)))
    console.print(found)
    console.print(
        f"{result.published} messages published, {result.in_the_log} events and rejects in the log; all done "
        f"{result.drained_seconds:.0f} s after the last; a worker's memory at most {result.peak_memory >> 20} MiB"
    )
    for why, times in result.ended_by_themselves.items():
        console.print(f"{times} times a worker ended by itself: {why}", markup=False)
    one = result.alerts_of_one_process
    console.print(
        f"versions of alerts that one process without faults would tell: {one.expected}, of which {one.lost} were not "
        f"told and {one.different} otherwise: who is away for longer than findings wait leaves a gap in their order"
    )
    for place, d in result.differences.items():
        for example in d.examples:
            console.print(f"{place}: {example}", markup=False)
    console.print(f"\n{verdict(result)}", markup=False, style="bold green" if result.clean else "bold red")


def verdict(result: Result) -> str:
    """The reckoning in one line."""
    lost, doubled, different = (
        sum(getattr(difference, name) for difference in result.differences.values())
        for name in ("lost", "doubled", "different")
    )
    return (
        f"{'clean' if result.clean else 'NOT CLEAN'}: {result.in_the_log} messages, {len(result.faults)} faults, "
        f"{result.minutes:g} min, seed {result.seed}; lost {lost}, doubled {doubled}, different {different}"
    )


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rate", type=float, default=300.0, help="messages a second")
    parser.add_argument("--json", type=Path, help="file for the result")
    parser.add_argument("--keep", type=Path, help="folder for logs and data, kept (default: a temporary one)")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # what was started here is ended here
    with tempfile.TemporaryDirectory(prefix="soak-") as temporary:
        folder = args.keep or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        with deployed(folder.resolve()) as soak:
            result = soak.run(args.minutes, args.seed, args.rate)
    if args.json:
        args.json.write_bytes(msgspec.json.format(msgspec.json.encode(result)))
    show(result)
    return 0 if result.clean else 1


if __name__ == "__main__":
    sys.exit(main())
