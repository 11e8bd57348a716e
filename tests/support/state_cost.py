"""What state costs: bytes a principal, and the seconds of saving and restoring. `python -m tests.support.state_cost`.

A company of the simulator is scored for two weeks. Its principals are copied under other names until there are as
many as asked for; these are saved, restored, touched by an event each, and saved again.
"""

import argparse
import gc
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import msgspec

from detector import assembly
from detector.checkpoints import CheckpointStore
from detector.config import Config
from detector.events import Actor, Envelope, Event
from detector.saving import Captured, Saving
from detector.scoring import Scoring
from detector.stages import SLICE_SECONDS
from tests.support.simulator.background import background
from tests.support.simulator.rhythm import Period
from tests.support.simulator.trail import utc
from tests.support.simulator.world import Population, build_world

PARTITION: Final = ("events", 0)
COMPANY: Final = 200
TWO_WEEKS: Final = Period(utc(2026, 3, 2), utc(2026, 3, 16))
EVERY: Final = 30.0


def tell(line: str) -> None:
    """Say it now."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def company() -> tuple[dict[str, Any], list[bytes]]:
    """What a partition knows after two weeks of the company: the small parts, and a row for each principal."""
    scoring = assembly.scoring(Config.model_validate({"scoring": {"max_principals": 1_000_000}}))
    scoring.open(PARTITION)
    for offset, event in enumerate(background(build_world(5, Population.of(COMPANY)), TWO_WEEKS)):
        scoring.step(Envelope(event, *PARTITION, offset, event.time.timestamp(), b""))
    head, principals = scoring.capture(PARTITION, whole=True)
    return head, principals.take(10**9)


def multiplied(rows: Sequence[bytes], count: int) -> list[bytes]:
    """As many principals as asked for: the given ones, over and over, under other names."""
    made = []
    for number in range(count):
        row: list[Any] = msgspec.msgpack.decode(rows[number % len(rows)])
        row[0] = f"{row[0]}-{number // len(rows)}"
        made.append(msgspec.msgpack.encode(row))
    return made


def one_each(rows: Sequence[bytes]) -> list[Envelope]:
    """One event of each principal."""
    events = []
    for offset, row in enumerate(rows):
        name, kind, role = msgspec.msgpack.decode(row)[:3]
        event = Event(id=f"e-{offset}", time=TWO_WEEKS.end, kind="access", actor=Actor(name, kind, role), action="read")
        events.append(Envelope(event, *PARTITION, offset, TWO_WEEKS.end.timestamp(), b""))
    return events


def save(kept: CheckpointStore, scoring: Scoring, *, whole: bool) -> float:
    """Save as a stage does, and tell what it took; the CPU seconds that the stage would have worked for it."""
    began, worked = time.perf_counter(), time.process_time()
    captured = Captured(*scoring.capture(PARTITION, whole=whole))
    with ThreadPoolExecutor(1) as background:
        saving = Saving(
            kept,
            {PARTITION: (0, 0.0)},
            {PARTITION: captured},
            whole={PARTITION} if whole else set(),
            generation=0,
            durable=lambda: True,
            background=background,
        )
        at_once, pauses = time.perf_counter() - began, []
        while saving.encoding:
            since = time.perf_counter()
            saving.go_on(SLICE_SECONDS)
            pauses.append(time.perf_counter() - since)
        worked, encoded = time.process_time() - worked, time.perf_counter()
        saving.wait(600.0)
        size = saving.result()
    tell(
        f"  saved {'whole' if whole else 'changes'}: {size / 1e6:.1f} MB, {worked:.2f} s of CPU "
        f"(pauses: {at_once * 1e3:.0f} ms, then {len(pauses)} of {max(pauses) * 1e3:.0f} ms at most), "
        f"written in {time.perf_counter() - encoded:.2f} s beside the stream"
    )
    return worked


def restore(folder: Path, config: Config) -> Scoring:
    """Take over what was saved, and tell what it took."""
    gc.collect()
    began = time.perf_counter()
    saved = CheckpointStore(str(folder), "score").load([PARTITION])[PARTITION]
    assert saved is not None
    whole, *changes = ({**part.head, "principals": part.rows} for part in saved.parts)
    scoring = assembly.scoring(config)
    scoring.open(PARTITION, whole, changes)
    scoring.settle()
    seconds, parts = time.perf_counter() - began, len(saved.parts)
    tell(f"  restored {scoring.principals:,} principals from {parts} pieces in {seconds:.2f} s")
    return scoring


def measure(head: dict[str, Any], company_rows: Sequence[bytes], count: int) -> None:
    """Save, restore, touch, save, restore."""
    config = Config.model_validate({"scoring": {"max_principals": 1_000_000}})
    rows = multiplied(company_rows, count)
    scoring = assembly.scoring(config)
    scoring.open(PARTITION, {**head, "principals": rows})
    tell(f"{count:,} principals")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        kept = CheckpointStore(name, "score")
        save(kept, scoring, whole=True)
        scoring = restore(folder, config)
        save(kept, scoring, whole=True)
        envelopes = one_each(rows)
        for what in ("first", "next"):
            began = time.process_time()
            for envelope in envelopes:
                scoring.step(msgspec.structs.replace(envelope, event=renamed(envelope.event, what)))
            tell(f"  the {what} event of each: {(time.process_time() - began) / count * 1e6:.0f} µs of CPU")
        worked = save(kept, scoring, whole=False)
        tell(f"  all of them changed within {EVERY:.0f} s: {worked / EVERY:.1%} of the time")
        del scoring
        restore(folder, config)


def renamed(event: Event, prefix: str) -> Event:
    """The event under another id."""
    return msgspec.structs.replace(event, id=f"{prefix}-{event.id}")


def main() -> None:
    """Print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--principals", type=int, nargs="+", default=[10_000, 100_000])
    head, rows = company()
    small = {name: len(msgspec.msgpack.encode(part)) for name, part in head.items()}
    sizes = [len(row) for row in rows]
    tell(f"a principal: {statistics.median(sizes):.0f} bytes at the median, {statistics.fmean(sizes):.0f} on average")
    tell("besides, a partition: " + ", ".join(f"{part} {size:,} bytes" for part, size in small.items() if size > 1000))
    for count in parser.parse_args().principals:
        measure(head, rows, count)


if __name__ == "__main__":
    main()
