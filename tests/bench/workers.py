"""What a second worker adds, and more: `detector run --workers N` over a backlog, without an event store."""

import json
import os
import re
import statistics
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from tests.bench.live import PATIENCE, Ground, Rate, Sample, deployment, rates
from tests.support.service import Running

COUNTS: Final = (1, 2, 4)

SHARE: Final = 0.4
"""Of the backlog: enough to tell a rate, and before the first worker comes to its end."""

ROUNDS: Final = 3
"""Each number of workers in its turn, so often: what else the machine has to do changes within a minute."""

WARM: Final = 0.1
"""Of the backlog: the group comes together meanwhile. What comes then is the same for every number of workers."""

LOOK: Final = 0.5
"""Seconds between two looks: each costs every worker a few milliseconds."""

_SCORED: Final = re.compile(r"^detector_events_verdict_total\{.*?\} (\S+)$", re.MULTILINE)
_CPU: Final = re.compile(r"^process_cpu_seconds_total (\S+)$", re.MULTILINE)


class Look(NamedTuple):
    """At a time (seconds, steady) a worker had done so many messages, and taken so many seconds of a processor."""

    at: float
    done: float
    cpu: float


class Machine(NamedTuple):
    """At a time (seconds, steady) all cores together had idled for so many seconds since the machine began."""

    at: float
    idle: float


class Ran(NamedTuple):
    """What came of one run: messages a second, seconds of a processor a message, and cores that idled meanwhile."""

    rate: float
    cpu: float
    idle: float


class Scaled(msgspec.Struct, frozen=True):
    """So many workers: messages a second of all of them while all had work, over the rounds, and as a ratio to one.

    `cpu` is microseconds a message, of all workers and their threads, `used` the cores that they took, and `idle` those
    that nobody did: medians of the rounds.
    """

    workers: int
    rate: Rate
    ratio: float
    cpu: float
    used: float
    idle: float


class Workers(msgspec.Struct, frozen=True):
    """By number of workers, on so many cores. `hourly` is the backlog's messages by each hour of event time."""

    messages: int
    hourly: int
    partitions: int
    cores: int
    rounds: int
    scaled: list[Scaled]


def measure(ground: Ground, counts: Sequence[int] = COUNTS, rounds: int = ROUNDS) -> Workers:
    """Each number of workers over the backlog, from its beginning, in turn; more of them than cores only once."""
    cores = os.cpu_count() or 1
    runs: dict[int, list[Ran]] = {count: [] for count in counts}
    for turn in range(rounds):
        for count in counts:
            if not turn or count <= cores:
                runs[count].append(_run(ground, count, turn))
    scaled: list[Scaled] = []
    for count, found in runs.items():
        rate = Rate.of([run.rate for run in found])
        cpu, used, idle = (
            statistics.median(values) for values in zip(*((r.cpu, r.rate * r.cpu, r.idle) for r in found), strict=True)
        )
        one = scaled[0].rate.median if scaled else rate.median
        ratio = round(rate.median / one, 2)
        scaled.append(Scaled(count, rate, ratio, round(cpu * 1e6, 1), round(used, 2), round(idle, 2)))
    return Workers(ground.messages, ground.hourly, ground.partitions, cores, rounds, scaled)


def _run(ground: Ground, count: int, turn: int) -> Ran:
    served = deployment(ground, f"workers-{count}-{turn}", events=ground.topic, store={"url": None})
    listed = served.folder / "targets.json"
    with Running(served, "--workers", str(count), "--targets", str(listed)) as running:
        try:
            looked, machine = _looked(running, listed, SHARE * ground.messages)
        finally:
            running.stop()  # a parent that is killed would leave its workers behind
    samples = together(looked)
    done = samples[-1].done - samples[0].done
    skip = max(0.0, (WARM * ground.messages - samples[0].done) / done)
    idle = _idle(machine, samples[0].at, samples[-1].at)
    return Ran(rates(samples, 1, skip)[0], _cpu(looked, WARM * ground.messages), idle)


def _cpu(looked: Sequence[Sequence[Look]], warm: float) -> float:
    """Seconds of a processor a message, from the first look after so many messages on; of all if there was no later."""
    sums = [(sum(look.done for look in now), sum(look.cpu for look in now)) for now in zip(*looked, strict=True)]
    *earlier, (done, cpu) = sums
    before = next((look for look in earlier if look[0] >= warm), (0.0, 0.0))
    seconds: float = (cpu - before[1]) / (done - before[0])
    return seconds


def _idle(machine: Sequence[Machine], first: float, last: float) -> float:
    """Cores that idled between two times, on average."""
    within = [look for look in machine if first - LOOK <= look.at <= last]
    seconds = within[-1].at - within[0].at
    return (within[-1].idle - within[0].idle) / seconds if seconds else 0.0


def _machine() -> Machine:
    """Now."""
    idle = Path("/proc/stat").read_text().split(maxsplit=5)[4]
    return Machine(time.monotonic(), int(idle) / os.sysconf("SC_CLK_TCK"))


def _looked(running: Running, listed: Path, total: float) -> tuple[list[list[Look]], list[Machine]]:
    """How far each worker was, from look to look, until so many messages are done; and the machine beside them."""
    targets: list[str] = []
    looked: list[list[Look]] = []
    machine: list[Machine] = []
    limit = time.monotonic() + PATIENCE
    while sum(samples[-1].done for samples in looked) < total:
        if running.process.poll() is not None or time.monotonic() > limit:
            raise RuntimeError(f"the workers did not come to the end: {running.log[-2000:]}")
        time.sleep(LOOK)
        machine.append(_machine())
        if not targets and listed.exists():
            targets = [target for one in json.loads(listed.read_text()) for target in one["targets"]]
            looked = [[] for _ in targets]
        for target, samples in zip(targets, looked, strict=True):
            samples.append(Look(time.monotonic(), *_done(target)))
        if not targets:
            looked = []
    return looked, machine


def _done(target: str) -> tuple[float, float]:
    """Messages that a worker has scored, and its processor's seconds; none before it listens."""
    try:
        with urllib.request.urlopen(f"http://{target}/metrics", timeout=10) as answer:
            told = answer.read().decode()
    except urllib.error.URLError:
        return 0.0, 0.0
    return sum(map(float, _SCORED.findall(told))), sum(map(float, _CPU.findall(told)))


def together(looked: Sequence[Sequence[Sample | Look]]) -> list[Sample]:
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
    one = workers.scaled[0]
    lines = [
        "| workers | messages/s | worst to best | times one | µs of CPU a message | times one, a core each | cores |",
        "| ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
        *(_line(each, one, workers.cores) for each in workers.scaled),
    ]
    told = (
        f"{workers.messages:,} messages in {workers.partitions} partitions, {workers.hourly:,} of them in an hour of "
        f"event time; {workers.cores} cores, with the broker on them; no event store. Medians of {workers.rounds} "
        "rounds, in turn; more workers than cores ran once. Where there are just as many cores, each worker has one of "
        "its own. Cores: the workers', the broker's and others', idle."
    )
    return "\n".join([*lines, "", told])


def _line(each: Scaled, one: Scaled, cores: int) -> str:
    cells = (
        f"{each.workers}", f"{each.rate.median:,.0f}", f"{each.rate.worst:,.0f} to {each.rate.best:,.0f}",
        f"{each.ratio:.2f}", f"{each.cpu:.0f}", f"{each.workers * one.cpu / each.cpu:.2f}",
        f"{each.used:.2f}, {max(0.0, cores - each.used - each.idle):.2f}, {each.idle:.2f}",
    )  # fmt: skip
    return f"| {' | '.join(cells)} |"
