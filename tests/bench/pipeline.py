"""All of it in one process: Kafka, decoding, every detector, alerts, the embedded event store, checkpoints, commits."""

import time

import msgspec

from tests.bench.live import Ground, Rate, Sample, Size, calm, deployment, done, rates, watched
from tests.support.service import Running, until


class Backlog(msgspec.Struct, frozen=True):
    """What `detector run` does with a backlog of so many messages, `hourly` of them in an hour of event time.

    `scored` is messages a second by part of the backlog; `whole` the same from its first message until everything is
    in the store, saved and committed. `cpu` is microseconds a message, all threads and the start included; `memory`
    is of the process at the end, in MiB.
    """

    messages: int
    hourly: int
    scored: Rate
    whole: float
    cpu: float
    memory: float
    checkpoints: int
    findings: int


class Pipeline(msgspec.Struct, frozen=True):
    """The mix, whose hours are nearly as full as live ones; and days of one company as they are, for who catches up."""

    mix: Backlog
    days: Backlog | None = None

    @property
    def rate(self) -> Rate:
        """Messages a second of the mix: what others are compared with."""
        return self.mix.scored


def measure(ground: Ground, size: Size) -> Pipeline:
    """Run it over both, or over the mix alone.

    Raises:
        RuntimeError: It ended, it was not done in time, or did not score every message.
    """
    mix = _run(ground, "mix", size.repetitions)
    if not size.days:
        return Pipeline(mix)
    return Pipeline(mix, _run(calm(ground, size.principals, size.days), "days", size.repetitions))


def _run(ground: Ground, name: str, repetitions: int) -> Backlog:
    served = deployment(ground, f"pipeline-{name}", events=ground.topic)
    with Running(served) as running:
        _ = running.where
        samples = watched(lambda: done(running), ground.messages, running)
        until(served.is_done, running)
        end = time.monotonic()
        scored = running.metric("detector_events_verdict_total", verdict="scored")
        if scored < 0.99 * ground.messages:
            raise RuntimeError(f"only {scored:.0f} of {ground.messages} messages were scored")
        found = Backlog(
            ground.messages,
            ground.hourly,
            Rate.of(rates(samples, repetitions)),
            round(ground.messages / (end - _began(samples)), 1),
            round(running.metric("process_cpu_seconds_total") / ground.messages * 1e6, 1),
            round(running.metric("process_resident_memory_bytes") / 2**20, 1),
            int(running.metric("detector_checkpoint_seconds_count")),
            int(running.metric("detector_findings_total")),
        )
        running.stop()
    return found


def _began(samples: list[Sample]) -> float:
    """The last look before the first message."""
    return max((sample.at for sample in samples if not sample.done), default=samples[0].at)


def table(pipeline: Pipeline, bare: Rate | None = None) -> str:
    """As Markdown; beside the rate of a bare consumer, if that was measured."""
    both = [one for one in (pipeline.mix, pipeline.days) if one is not None]
    shares = {} if bare is None else {"of bare `poll()`": [f"{one.scored.median / bare.median:.1%}" for one in both]}
    rows = {
        "messages": [f"{one.messages:,}" for one in both],
        "in an hour of event time": [f"{one.hourly:,}" for one in both],
        "messages/s": [f"{one.scored.median:,.0f}" for one in both],
        "worst to best part": [f"{one.scored.worst:,.0f} to {one.scored.best:,.0f}" for one in both],
        **shares,
        "messages/s until stored, saved and committed": [f"{one.whole:,.0f}" for one in both],
        "µs of CPU a message, all threads and the start": [f"{one.cpu:.0f}" for one in both],
        "resident memory, MiB": [f"{one.memory:,.0f}" for one in both],
        "findings": [f"{one.findings:,}" for one in both],
        "checkpoints": [f"{one.checkpoints}" for one in both],
    }
    names = ("the mix", "days as they are")[: len(both)]
    lines = [f"| `detector run`, one process | {' | '.join(names)} |", f"| --- |{' ---: |' * len(both)}"]
    return "\n".join([*lines, *(f"| {name} | {' | '.join(cells)} |" for name, cells in rows.items())])
