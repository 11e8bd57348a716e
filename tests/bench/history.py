"""What trying a configuration on stored history costs, beside replaying the same events from a file.

A company of the simulator is stored in an embedded event store, and written to a file. Then `detector replay` on the
file and `detector backtest` on the store, with two configurations, take turns, each a process as a user would start it.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from detector.events import Envelope, Event
from detector.sinks.clickhouse import ClickHouseSink
from detector.store.client import connect
from detector.store.migrate import migrate
from tests.bench.stream import days_of

PRINCIPALS: Final = 2_500
DAYS: Final = 15
"""A million events, and some."""

CONFIGS: Final = 2
_TRIED: Final = "detectors: {transfer_rate: {outside_p: 0.0001}, new_endpoint: {external_p: 0.01}}\n"
_PARTITIONS: Final = 6
_TOPIC: Final = "agent-events"
_SECONDS: Final = 7_200


class Spent(msgspec.Struct, frozen=True):
    """Seconds that a command took: on the clock, and of the processor, its own processes together."""

    wall: float
    cpu: float


class History(msgspec.Struct, frozen=True):
    """The median of the replays, and of the backtests of `CONFIGS` configurations.

    `cpu_ratio` is the processor's time of a backtest, by configuration, by that of the replay before it; `wall_ratio`
    the same on the clock. Both are the median over the rounds.
    """

    events: int
    replay: Spent
    backtest: Spent
    cpu_ratio: float
    wall_ratio: float
    rounds: int


def measure(principals: int = PRINCIPALS, days: int = DAYS, rounds: int = 3) -> History:
    """Store, write, then replay and backtest in turn.

    Args:
        principals: In the company.
        days: That it is stored for.
        rounds: Of both commands.

    Raises:
        RuntimeError: A command failed, or played something else than what was stored.
    """
    with tempfile.TemporaryDirectory(prefix="bench-history-") as name:
        folder = Path(name)
        (folder / "new.yaml").write_text(_TRIED, encoding="utf-8")
        # In a process of its own: an embedded store is open in one, and the backtest is another.
        events = int(_run([sys.executable, "-m", "tests.bench.history", name, str(principals), str(days)])[1])
        replays, backtests = [], []
        for _ in range(rounds):
            replays.append(_run(_command("replay", str(folder / "events.ndjson"), "--quiet"))[0])
            spent, said = _run(_command(
                "backtest", "--store", f"chdb://{folder}/store", "--config", str(folder / "new.yaml"),
                "--quiet", "--format", "json",
            ))  # fmt: skip
            backtests.append(spent)
            if f"{events:,} events" not in msgspec.json.decode(said)["facts"]["history"]:
                raise RuntimeError(f"another history was played than the {events:,} events: {said[:500]}")
    pairs = list(zip(replays, backtests, strict=True))
    return History(
        events,
        _median(replays),
        _median(backtests),
        round(statistics.median(after.cpu / before.cpu for before, after in pairs) / CONFIGS, 3),
        round(statistics.median(after.wall / before.wall for before, after in pairs) / CONFIGS, 3),
        rounds,
    )


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "detector", *arguments]


def _run(command: Sequence[str]) -> tuple[Spent, str]:
    """What a command took, it and its children, and what it printed.

    Raises:
        RuntimeError: It failed.
    """
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False, env=_environment())
    wall, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:4])} failed: {done.stderr[-1000:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Spent(round(wall, 2), round(cpu, 2)), done.stdout


def _environment() -> dict[str, str]:
    """Without what would set other settings."""
    return {name: value for name, value in os.environ.items() if not name.startswith("DETECTOR_")}


def _median(spent: Sequence[Spent]) -> Spent:
    return Spent(statistics.median(each.wall for each in spent), statistics.median(each.cpu for each in spent))


def fill(folder: str, principals: str, days: str) -> int:
    """Write the company's days to the file `events.ndjson` and to the store beside it; how many events they are.

    Raises:
        RuntimeError: The store refused some.
    """
    offsets = [0] * _PARTITIONS
    with connect(f"chdb://{folder}/store") as store, Path(folder, "events.ndjson").open("wb") as file:
        migrate(store)
        sink = ClickHouseSink(store.client, database=store.database)
        for day in range(int(days)):
            rows = [_placed(event, offsets) for event in days_of(int(principals), day, 1)]
            file.writelines(envelope.raw + b"\n" for envelope, _ in rows)
            for start in range(0, len(rows), ClickHouseSink.batch):
                if sink.write_events(rows[start : start + ClickHouseSink.batch]):
                    raise RuntimeError("the store refused events, so that something else would be measured")
    return sum(offsets)


def _placed(event: Event, offsets: list[int]) -> tuple[Envelope, str]:
    """As the scoring stage hands it over, at the next offset of its principal's partition."""
    partition = zlib.crc32(event.principal.encode()) % _PARTITIONS
    raw = msgspec.json.encode(event)
    envelope = Envelope(event, _TOPIC, partition, offsets[partition], event.time.timestamp() + 0.3, raw)
    offsets[partition] += 1
    return envelope, "scored"


def table(found: History) -> str:
    """As Markdown."""
    lines = [
        f"| {found.events:,} events | seconds of the processor | seconds on the clock |",
        "| --- | ---: | ---: |",
        f"| `detector replay` | {found.replay.cpu:,.1f} | {found.replay.wall:,.1f} |",
        f"| `detector backtest`, {CONFIGS} configurations | {found.backtest.cpu:,.1f} | {found.backtest.wall:,.1f} |",
        f"| a configuration of the backtest, of the replay | {found.cpu_ratio:.2f} | {found.wall_ratio:.2f} |",
    ]
    told = (
        f"Replayed from a file, tried on a store; medians of {found.rounds} rounds, in turn. On the clock the "
        "configurations are played at the same time, so it tells more about free cores."
    )
    return "\n".join([*lines, "", told])


if __name__ == "__main__":
    sys.stdout.write(f"{fill(*sys.argv[1:])}\n")
