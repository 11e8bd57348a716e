"""What many principals cost: memory, the time to take them over, events a second; and how fast files are replayed.

A company of the simulator is scored for some days, copied under other names, saved, and taken over by a process of its
own. There each principal has an event, which reads it out of its row, and some of them have busy hours. No more are
held ready than by default: with more principals than that, those of an hour are read out of their rows in it.
`python -m tests.bench.growth hold FOLDER COPIES` and `... replay FILE...` are those processes.
"""

import gc
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any, Final

import msgspec

from detector import assembly, garbage
from detector.checkpoints import CheckpointStore, Piece
from detector.config import Config
from detector.events import Event
from detector.replay import Replay
from detector.saving import ROWS
from detector.scoring import Scoring
from detector.sources.files import read_records
from tests.bench.live import Rate, filled
from tests.bench.scoring import AT_WORK, PRINCIPALS, hours_of, new_scoring, one_each, renamed, run
from tests.bench.stream import PARTITION, copied, days_of, fresh

COPIES: Final = (1, 10, 100)
HUGE: Final = 1_000
HUGE_NEEDS: Final = 48 << 30
"""Bytes of free memory for the million, of a machine on which it is done in minutes."""

_SECONDS: Final = 900


class Held(msgspec.Struct, frozen=True):
    """So many principals in one process.

    `restore` is seconds to take them over; memory is resident bytes a principal, as rows and once all had an event:
    then so many are held `ready`, and the others are rows again. `total` is of the whole process, in MiB; `rate` is
    events a second of the scoring alone in busy hours, whose principals must be read out first if not all are ready;
    `pause` the longest that one event took (milliseconds of CPU) while all were woken, looking for garbage among it.
    """

    principals: int
    ready: int
    restore: float
    as_rows: float
    in_use: float
    total: float
    rate: Rate
    pause: float = 0.0


class Growth(msgspec.Struct, frozen=True):
    """By number of principals; files replayed through both stages, in events a second; and what was left out."""

    held: list[Held]
    replay: Rate
    left_out: str = ""


class _Company(msgspec.Struct, frozen=True):
    """What a partition knows of a company, and the busy hours that come next."""

    head: dict[str, Any]
    rows: list[bytes]
    hours: list[list[Event]]


def measure(
    principals: int = PRINCIPALS, copies: Sequence[int] = COPIES, history: int = 3, hours: int = 5, *, huge: bool = True
) -> Growth:
    """Each number of companies in a process of its own, then files.

    Args:
        principals: In the company.
        copies: Companies like it, one number after the other.
        history: Days that the company was known before.
        hours: Busy hours that are measured, and days that are replayed after a first one.
        huge: Whether a thousand companies come too, where there is the memory.
    """
    fits = _free() >= HUGE_NEEDS
    with tempfile.TemporaryDirectory(prefix="bench-growth-") as name:
        folder = Path(name)
        company = _company(principals, history, hours)
        (folder / "company").write_bytes(msgspec.msgpack.encode(company))
        held = []
        for count in [*copies, *([HUGE] if huge and fits else [])]:
            _save(folder / f"state-{count}", company, count)
            held.append(msgspec.json.decode(_printed("hold", name, str(count)), type=Held))
        files = []
        for day in range(hours + 1):
            files.append(folder / f"day-{day}.ndjson")
            files[-1].write_bytes(b"\n".join(map(filled, days_of(principals, day, 1))) + b"\n")
        rates = msgspec.json.decode(_printed("replay", *map(str, files)), type=list[float])
    left_out = f"1,000,000 principals: less than {HUGE_NEEDS >> 30} GiB are free." if huge and not fits else ""
    return Growth(held, Rate.of(rates[1:]), left_out)


def _company(principals: int, history: int, hours: int) -> _Company:
    scoring, _ = new_scoring()
    run(scoring, fresh(days_of(principals, 0, history)))
    head, kept = scoring.capture(PARTITION, whole=True)
    return _Company(head, kept.take(sys.maxsize), hours_of(days_of(principals, 7, 1), hours))


def _save(folder: Path, company: _Company, copies: int) -> None:
    """As a checkpoint of the scoring stage."""
    piece = Piece(company.head, whole=True)
    rows = (row for copy in range(copies) for row in renamed(company.rows, copy))
    while chunk := list(islice(rows, ROWS)):
        piece.add(chunk)
    CheckpointStore(str(folder), "score").save({PARTITION: (0, piece)})


def _printed(*arguments: str) -> bytes:
    command = [sys.executable, "-m", "tests.bench.growth", *arguments]
    return subprocess.run(command, stdout=subprocess.PIPE, timeout=_SECONDS, check=True).stdout


@garbage.spared()
def hold(folder: str, copies: str) -> Held:
    """Take the principals over, wake them, and score busy hours of some of them; garbage is collected as live."""
    company = msgspec.msgpack.decode((Path(folder) / "company").read_bytes(), type=_Company)
    count = len(company.rows) * int(copies)
    scoring, _ = new_scoring()
    gc.collect()
    empty, began = _resident(), time.perf_counter()
    saved = CheckpointStore(f"{folder}/state-{copies}", "score").load([PARTITION])[PARTITION]
    if saved is None:
        raise RuntimeError("nothing was saved")
    whole, *changes = ({**part.head, "principals": part.rows.drain()} for part in saved.parts)
    del saved
    scoring.open(PARTITION, whole, changes)
    scoring.settle()
    restore = time.perf_counter() - began
    del whole
    gc.collect()
    as_rows = _resident()
    before = company.hours[0][0].time.replace(minute=0, second=0) - timedelta(minutes=5)
    events = one_each(company.rows, int(copies), before)
    pause = _wake(scoring, events)
    gc.collect()
    in_use, ready = _resident(), scoring.ready
    rates = [1e6 / run(scoring, fresh(hour)) for hour in _busy(company.hours, int(copies))]
    kept, used = (round(max(0, then - empty) / count, 1) for then in (as_rows, in_use))
    total = round(in_use / 2**20, 1)
    return Held(count, ready, round(restore, 3), kept, used, total, Rate.of(rates), round(pause, 1))


def _wake(scoring: Scoring, events: Iterator[Event]) -> float:
    """Score them; the longest that one took, in milliseconds of CPU."""
    longest = 0.0
    while some := fresh(islice(events, 1_000)):
        for envelope in some:
            began = time.thread_time()
            scoring.step(envelope)
            longest = max(longest, time.thread_time() - began)
    return longest * 1e3


def _busy(hours: Sequence[Sequence[Event]], copies: int) -> Iterator[list[Event]]:
    """In each hour other companies are at work."""
    for number, hour in enumerate(hours):
        at_work = [(number * AT_WORK + n) % copies for n in range(min(AT_WORK, copies))]
        yield [copied(event, copy) for event in hour for copy in at_work]


def replay(*files: str) -> list[float]:
    """Events a second of each file, read through both stages, one after the other; nothing is written."""
    config = Config()
    replayed = Replay(assembly.pipeline(config), assembly.decoder(config, "native"))
    rates = []
    with garbage.spared():
        for file in files:
            before, began = replayed.result.events, time.perf_counter()
            replayed.run(read_records(file, time.time))
            rates.append((replayed.result.events - before) / (time.perf_counter() - began))
    if replayed.result.rejects:
        raise RuntimeError(f"{replayed.result.rejects} events were rejected: {replayed.result.first_reject}")
    return rates


def _resident() -> int:
    """Bytes of this process in memory."""
    return _kibibytes(Path("/proc/self/status"), "VmRSS") << 10


def _free() -> int:
    """Bytes of memory that can still be had."""
    return _kibibytes(Path("/proc/meminfo"), "MemAvailable") << 10


def _kibibytes(path: Path, name: str) -> int:
    (line,) = (line for line in path.read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1])


def table(growth: Growth) -> str:
    """As Markdown."""
    lines = [
        "| principals | restored | kB each, rows | ready | kB each, used | MiB in all | scored/s | of fewest | pause |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        *(_line(held, growth.held[0]) for held in growth.held),
    ]
    replay = growth.replay
    told = (
        f"Files through both stages: {replay.median:,.0f} events/s ({replay.worst:,.0f} to {replay.best:,.0f}). "
        f"{growth.left_out}"
    )
    return "\n".join([*lines, "", told.strip()])


def _line(held: Held, fewest: Held) -> str:
    cells = (
        f"{held.principals:,}", f"{held.restore:.2f} s", f"{held.as_rows / 1e3:.1f}", f"{held.ready:,}",
        f"{held.in_use / 1e3:.1f}",
        f"{held.total:,.0f}", f"{held.rate.median:,.0f}", f"{held.rate.median / fewest.rate.median:.0%}",
        f"{held.pause:.0f} ms",
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"


_MODES: Final[Mapping[str, Callable[..., object]]] = {"hold": hold, "replay": replay}

if __name__ == "__main__":
    sys.stdout.write(msgspec.json.encode(_MODES[sys.argv[1]](*sys.argv[2:])).decode() + "\n")
