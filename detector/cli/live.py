"""Commands around the running service: run, produce, topics."""

import logging
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress, TextColumn

from detector import cores, garbage, screens
from detector.cli.common import FAILED, ConfigOption, FilesArgument
from detector.config_file import load
from detector.config_watch import FileWatch
from detector.kafka_settings import client_settings
from detector.logs import log_to_stderr
from detector.produce import Pace
from detector.produce import produce as publish
from detector.publishing import key_of, lines, time_of
from detector.service import Service, StageName
from detector.topics import TopicPlan, create_topics
from detector.workers import Supervisor, end_with_parent, plan, refuse_taken, spawn, write_targets


def run(
    config: ConfigOption = None,
    stage: Annotated[
        StageName, typer.Option(help="Run both stages, or one of them (for splitting over processes).")
    ] = "both",
    watch: Annotated[bool, typer.Option(help="Reload the configuration when its files change.")] = True,
    workers: Annotated[int, typer.Option(min=1, help="Processes that share the partitions, on this machine.")] = 1,
    pin: Annotated[
        bool, typer.Option(help="Give each worker a core of its own, where there are just as many as workers.")
    ] = True,
    targets: Annotated[
        Path | None, typer.Option(help="File to list the workers in, for Prometheus' file_sd_configs.")
    ] = None,
    worker: Annotated[int | None, typer.Option(hidden=True, help="Its number, if it is one of several.")] = None,
) -> None:
    """Run the service: Kafka in, findings and alerts out, until SIGTERM or Ctrl-C.

    On a signal it flushes its sinks, saves its state, commits, leaves the group and exits with 0. After a
    crash it goes on from its last checkpoint; nothing is lost, nothing counted twice. It reloads its configuration
    on SIGHUP, by `detector reload`, and when the files change.

    With several workers, each serves its metrics on a port of its own, counted on from `metrics.port`; one that ends
    is begun again. The event store must then be a server. Use --no-pin where something else on the machine is bound to
    single cores, too.
    """
    log_to_stderr(logging.INFO, worker=worker)
    if worker is not None:
        end_with_parent()
    if workers > 1 or targets is not None:
        raise typer.Exit(_supervise(config, stage, workers, targets, watch=watch, pin=pin))
    files = FileWatch(config) if config is not None and watch else None  # before they are read: no change is missed
    with garbage.spared():
        Service(load(config), stage, path=config, watch=files).run()


def _supervise(
    config: Path | None, stage: StageName, count: int, targets: Path | None, *, watch: bool, pin: bool
) -> int:
    settings = load(config)
    plans = plan(settings, count, cores.available() if pin else ())
    refuse_taken(plans, settings.metrics.address)
    if targets is not None:
        write_targets(targets, plans)
    arguments = ["--stage", stage, *([] if watch else ["--no-watch"])]
    return Supervisor(plans, spawn([*arguments, *(["--config", str(config)] if config is not None else [])])).run()


def produce(
    files: FilesArgument,
    config: ConfigOption = None,
    rate: Annotated[float | None, typer.Option(help="Messages a second; as fast as possible if not given.")] = None,
    speed: Annotated[float | None, typer.Option(help="In event time, so many times faster than it happened.")] = None,
    topic: Annotated[str | None, typer.Option(help="The topic; the first of those read if not given.")] = None,
) -> None:
    """Publish NDJSON events to an events topic, keyed by the principal they concern."""
    log_to_stderr(logging.WARNING)
    settings = load(config)
    topic = topic or settings.read[0].topic
    try:
        pace = Pace(rate=rate, speedup=speed, time_of=time_of)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--rate, --speed") from error
    console = screens.stderr()
    with Progress(
        TextColumn("{task.description}"), TextColumn("{task.completed:,.0f} messages"), console=console
    ) as bar:
        task = bar.add_task(f"to {topic}", total=None)
        done = publish(
            client_settings(settings.kafka),
            topic,
            lines(files),
            key_of=key_of,
            pace=pace,
            on_progress=lambda count: bar.update(task, completed=count),
        )
    console.print(f"{done.sent} messages published in {done.seconds:.1f} s, {done.failed} failed")
    if done.failed:
        console.print(f"errors: {dict(done.errors)}", markup=False)
        raise typer.Exit(FAILED)


def topics(
    config: ConfigOption = None,
    partitions: Annotated[int, typer.Option(min=1, help="Partitions of the events topic.")] = 6,
    replication: Annotated[int, typer.Option(min=1, help="Copies of each partition.")] = 1,
) -> None:
    """Create the topics with sane partitions and retention; what exists is compared and never changed."""
    log_to_stderr(logging.WARNING)
    settings = load(config)
    names = settings.kafka.topics
    plan = TopicPlan(
        events=tuple(source.topic for source in settings.read),
        findings=names.findings,
        alerts=names.alerts,
        rejects=names.rejects,
        adjustments=names.adjustments,
        peers=names.peers,
        anchors=settings.audit.anchor_topic,
        partitions=partitions,
        replication_factor=replication,
    )
    reports = create_topics(client_settings(settings.kafka), plan)
    screens.stderr().print(screens.topics_table(reports))
