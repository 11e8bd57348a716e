"""What decoding costs: microseconds a record by format, and as a ratio to `msgspec.json.decode` of the same bytes."""

import gc
import statistics
import time
from collections.abc import Callable
from typing import Final

import msgspec

from detector import garbage
from detector.formats import REGISTRY, Decode
from tests.bench.typical import messages

SECONDS: Final = 0.1


class Cost(msgspec.Struct, frozen=True):
    """Of one format: bytes and microseconds a record (median, and the spread from best to worst), and the ratio."""

    format: str
    bytes: int
    microseconds: float
    best: float
    worst: float
    ratio: float


@garbage.spared()  # as live
def measure(repetitions: int = 7) -> list[Cost]:
    """Every format in turn, again and again, so that what else the machine does falls on all alike."""
    chosen = messages()
    costs: dict[str, list[float]] = {name: [] for name in chosen}
    plain: dict[str, list[float]] = {name: [] for name in chosen}
    for _ in range(repetitions):
        for name, typical in chosen.items():
            costs[name].append(_cost(_decode(name), typical.raws) / typical.records)
            plain[name].append(_cost(msgspec.json.decode, typical.like) / typical.records)
    return [
        Cost(
            format=name,
            bytes=sum(map(len, typical.raws)) // len(typical.raws) // typical.records,
            microseconds=round(statistics.median(costs[name]), 2),
            best=round(min(costs[name]), 2),
            worst=round(max(costs[name]), 2),
            ratio=round(statistics.median(a / b for a, b in zip(costs[name], plain[name], strict=True)), 2),
        )
        for name, typical in chosen.items()
    ]


def _decode(name: str) -> Decode:
    return REGISTRY[name.partition(" ")[0]]


def _cost(decode: Callable[[bytes], object], messages: tuple[bytes, ...]) -> float:
    """Microseconds of CPU a message, over as many as fill `SECONDS`, each in its turn."""
    for raw in messages:
        decode(raw)
    gc.collect()
    rounds, begin = max(1, 20 // len(messages)), time.process_time()
    calls = 0
    while (spent := time.process_time() - begin) < SECONDS:
        for raw in messages * rounds:
            decode(raw)
        calls += len(messages) * rounds
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
