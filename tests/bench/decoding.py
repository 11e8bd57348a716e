"""What decoding costs: microseconds a record by format, and as a ratio to `msgspec.json.decode` of the same bytes."""

import gc
import statistics
import time
from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec

from detector.events import Reject
from detector.formats import REGISTRY
from tests.bench.typical import Typical, messages

SECONDS: Final = 0.25


class Cost(msgspec.Struct, frozen=True):
    """Of one format: bytes and microseconds a record (median, and the spread from best to worst), and the ratio."""

    format: str
    bytes: int
    microseconds: float
    best: float
    worst: float
    ratio: float


def measure(repetitions: int = 7) -> list[Cost]:
    """Every format in turn, again and again, so that what else the machine does falls on all alike."""
    chosen = messages()
    costs: dict[str, list[float]] = {name: [] for name in chosen}
    plain: dict[str, list[float]] = {name: [] for name in chosen}
    for _ in range(repetitions):
        for name, typical in chosen.items():
            costs[name].append(_cost(_decoding(name, typical)) / typical.records)
            plain[name].append(_cost(partial(msgspec.json.decode, typical.like)) / typical.records)
    return [
        Cost(
            format=name,
            bytes=len(typical.raw) // typical.records,
            microseconds=round(statistics.median(costs[name]), 2),
            best=round(min(costs[name]), 2),
            worst=round(max(costs[name]), 2),
            ratio=round(statistics.median(a / b for a, b in zip(costs[name], plain[name], strict=True)), 2),
        )
        for name, typical in chosen.items()
    ]


def _decoding(name: str, typical: Typical) -> Callable[[], object]:
    decode = REGISTRY[name.partition(" ")[0]]
    made = decode(typical.raw)
    if isinstance(made, Reject) or len(made) != typical.records:
        raise RuntimeError(f"the typical message of {name} is not understood: {made}")
    return partial(decode, typical.raw)


def _cost(work: Callable[[], object]) -> float:
    """Microseconds of CPU a call, over as many calls as fill `SECONDS`."""
    work()
    gc.collect()
    calls, begin = 0, time.process_time()
    while (spent := time.process_time() - begin) < SECONDS:
        for _ in range(20):
            work()
        calls += 20
    return spent / calls * 1e6


def table(costs: list[Cost]) -> str:
    """As Markdown."""
    lines = [
        "| format | bytes a record | µs a record | best to worst | times `msgspec.json.decode` |",
        "| --- | ---: | ---: | ---: | ---: |",
    ]
    lines += [
        f"| {c.format} | {c.bytes:,} | {c.microseconds:.1f} | {c.best:.1f} to {c.worst:.1f} | {c.ratio:.1f} |"
        for c in costs
    ]
    return "\n".join(lines)
