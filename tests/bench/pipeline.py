"""All of it in one process: Kafka, decoding, every detector, alerts, the embedded event store, checkpoints, commits."""

import time

import msgspec

from tests.bench.live import Ground, Rate, Sample, deployment, done, rates, watched
from tests.support.service import Running, until


class Pipeline(msgspec.Struct, frozen=True):
    """What `detector run` does with a backlog.

    `scored` is messages a second by part of the backlog; `whole` the same from its first message until everything is
    in the store, saved and committed. `cpu` is microseconds a message, all threads and the start included; `memory`
    is of the process at the end, in MiB.
    """

    messages: int
    scored: Rate
    whole: float
    cpu: float
    memory: float
    checkpoints: int
    findings: int


def measure(ground: Ground, repetitions: int) -> Pipeline:
    """Run it over the backlog.

    Raises:
        RuntimeError: It ended, it was not done in time, or did not score every message.
    """
    served = deployment(ground, "pipeline", events=ground.topic)
    with Running(served) as running:
        _ = running.where
        samples = watched(lambda: done(running), ground.messages, running)
        until(served.is_done, running)
        end = time.monotonic()
        scored = running.metric("detector_events_verdict_total", verdict="scored")
        if scored < 0.99 * ground.messages:
            raise RuntimeError(f"only {scored:.0f} of {ground.messages} messages were scored")
        found = Pipeline(
            ground.messages,
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
    scored = pipeline.scored
    lines = [
        "| `detector run`, one process | |",
        "| --- | ---: |",
        f"| messages/s (worst to best part) | {scored.median:,.0f} ({scored.worst:,.0f} to {scored.best:,.0f}) |",
        *([f"| of bare `poll()` | {scored.median / bare.median:.1%} |"] if bare is not None else []),
        f"| messages/s until stored, saved and committed | {pipeline.whole:,.0f} |",
        f"| µs of CPU a message, all threads and the start | {pipeline.cpu:.0f} |",
        f"| resident memory, MiB | {pipeline.memory:,.0f} |",
    ]
    told = f"{pipeline.messages:,} messages, {pipeline.findings:,} findings, {pipeline.checkpoints} checkpoints."
    return "\n".join([*lines, "", told])
