"""What a second worker adds, and more: `detector run --workers N` over a backlog, without an event store."""

import json
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from tests.bench.live import EVERY, PATIENCE, Ground, Rate, Sample, deployment, rates
from tests.support.service import Running

COUNTS: Final = (1, 2, 4)
SHARE: Final = 0.4
"""Of the backlog: enough to tell a rate, and before the first worker comes to its end."""

_SCORED: Final = re.compile(r"^detector_events_verdict_total\{.*?\} (\S+)$", re.MULTILINE)


class Scaled(msgspec.Struct, frozen=True):
    """So many workers: messages a second of all of them while all had work, and as a ratio to one."""

    workers: int
    rate: Rate
    ratio: float


class Workers(msgspec.Struct, frozen=True):
    """By number of workers, on so many cores."""

    messages: int
    partitions: int
    cores: int
    scaled: list[Scaled]


def measure(ground: Ground, repetitions: int, counts: Sequence[int] = COUNTS) -> Workers:
    """Each number of workers over the backlog, from its beginning."""
    found = {count: Rate.of(_rates(ground, count, repetitions)) for count in counts}
    one = found[counts[0]].median / counts[0]
    scaled = [Scaled(count, rate, round(rate.median / one, 2)) for count, rate in found.items()]
    return Workers(ground.messages, ground.partitions, os.cpu_count() or 1, scaled)


def _rates(ground: Ground, count: int, repetitions: int) -> list[float]:
    name = f"workers-{count}"
    served = deployment(ground, name, events=ground.topic, store={"url": None})
    listed = served.folder / "targets.json"
    with Running(served, "--workers", str(count), "--targets", str(listed)) as running:
        try:
            looked = _looked(running, listed, SHARE * ground.messages)
        finally:
            running.stop()  # a parent that is killed would leave its workers behind
    return rates(together(looked), repetitions)


def _looked(running: Running, listed: Path, total: float) -> list[list[Sample]]:
    """How far each worker was, from look to look, until so many messages are done."""
    targets: list[str] = []
    looked: list[list[Sample]] = []
    limit = time.monotonic() + PATIENCE
    while sum(samples[-1].done for samples in looked) < total:
        if running.process.poll() is not None or time.monotonic() > limit:
            raise RuntimeError(f"the workers did not come to the end: {running.log[-2000:]}")
        time.sleep(EVERY)
        if not targets and listed.exists():
            targets = [target for one in json.loads(listed.read_text()) for target in one["targets"]]
            looked = [[] for _ in targets]
        for target, samples in zip(targets, looked, strict=True):
            samples.append(Sample(time.monotonic(), _done(target)))
        if not targets:
            looked = []
    return looked


def _done(target: str) -> float:
    """Messages that a worker has scored; none before it listens."""
    try:
        with urllib.request.urlopen(f"http://{target}/metrics", timeout=10) as answer:
            return sum(map(float, _SCORED.findall(answer.read().decode())))
    except urllib.error.URLError:
        return 0.0


def together(looked: Sequence[Sequence[Sample]]) -> list[Sample]:
    """All workers as one, while each had work: none is still starting, none has come to the end of its partitions.

    Where there was no such time (a backlog of seconds), from the last look before anything was done.

    >>> first = [Sample(0, 0), Sample(1, 10), Sample(2, 20), Sample(3, 30), Sample(4, 30)]
    >>> second = [Sample(0, 0), Sample(1, 0), Sample(2, 10), Sample(3, 20), Sample(4, 30)]
    >>> [sample.done for sample in together([first, second])]
    [30, 50]
    """
    summed = [
        Sample(max(sample.at for sample in at_once), sum(sample.done for sample in at_once))
        for at_once in zip(*looked, strict=True)
    ]
    begun = max(next((n for n, sample in enumerate(samples) if sample.done), len(samples)) for samples in looked)
    ended = min(next(n for n, sample in enumerate(samples) if sample.done == samples[-1].done) for samples in looked)
    if begun < ended:
        return summed[begun : ended + 1]
    return summed[max((n for n, sample in enumerate(summed) if not sample.done), default=0) :]


def table(workers: Workers) -> str:
    """As Markdown."""
    lines = [
        "| workers | messages/s | worst to best | times one |",
        "| ---: | ---: | ---: | ---: |",
        *(
            f"| {one.workers} | {one.rate.median:,.0f} | {one.rate.worst:,.0f} to {one.rate.best:,.0f} "
            f"| {one.ratio:.2f} |"
            for one in workers.scaled
        ),
    ]
    told = f"{workers.messages:,} messages in {workers.partitions} partitions, {workers.cores} cores, no event store."
    return "\n".join([*lines, "", told])
