"""The command line: `detector …`. Parses arguments and shows results; the work is done elsewhere."""

import logging
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from detector import VERSION, assembly, demo, evaluate, evaluation_screen, screens
from detector.checkpoint import CheckpointError
from detector.config import Config, ConfigError
from detector.config_file import load
from detector.decoding import Decoder
from detector.evaluation import summarise
from detector.formats import REGISTRY as FORMATS
from detector.kafka_settings import client_settings
from detector.logs import log_to_stderr
from detector.produce import Pace, ProduceError
from detector.produce import produce as publish
from detector.publishing import key_of, lines, time_of
from detector.replay import Replay
from detector.scenario import scenarios
from detector.service import Service, StageName, effective, open_store
from detector.sinks.base import Sink, SinkUnavailable
from detector.sinks.clickhouse import ClickHouseSink
from detector.sinks.files import NdjsonSink
from detector.sources.base import SourceError
from detector.sources.files import FileSource
from detector.store.errors import StoreError
from detector.topics import TopicError, TopicPlan, create_topics

app = typer.Typer(
    name="detector",
    help="Detects rogue AI agents in their logs: reads events, raises explained alerts.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
store_app = typer.Typer(help="The event store (ClickHouse, or chDB embedded).", no_args_is_help=True)
app.add_typer(store_app, name="store")

FAILED: Final = 1
KNOWN: Final = (
    CheckpointError,
    ConfigError,
    OSError,
    ProduceError,
    SinkUnavailable,
    SourceError,
    StoreError,
    TopicError,
)
"""Exceptions that tell a person what is wrong and what to do: shown in one line, without a traceback."""

ConfigOption = Annotated[
    Path | None, typer.Option("--config", "-c", help="Configuration (YAML); every setting has a default.")
]
FilesArgument = Annotated[list[str], typer.Argument(help="NDJSON files, plain or .gz; - for standard input.")]


@app.command()
def run(
    config: ConfigOption = None,
    stage: Annotated[
        StageName, typer.Option(help="Run both stages, or one of them (for splitting over processes).")
    ] = "both",
) -> None:
    """Run the service: Kafka in, findings and alerts out, until SIGTERM or Ctrl-C.

    On a signal it flushes its sinks, saves its state, commits, leaves the group and exits with 0. After a
    crash it goes on from its last checkpoint; nothing is lost, nothing counted twice.
    """
    log_to_stderr(logging.INFO)
    Service(load(config), stage).run()


@app.command()
def replay(
    files: FilesArgument,
    format_: Annotated[str, typer.Option("--format", "-f", help=f"Wire format: {', '.join(FORMATS)}.")] = "native",
    config: ConfigOption = None,
    findings: Annotated[str | None, typer.Option(help="Write findings there (NDJSON); - for stdout.")] = None,
    alerts: Annotated[str | None, typer.Option(help="Write each version of each alert there (NDJSON).")] = None,
    store: Annotated[str | None, typer.Option(help="Write all to this store, e.g. chdb:///tmp/store.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar, no tables.")] = False,
) -> None:
    """Run the same two stages over files; two replays of the same file give the same bytes."""
    log_to_stderr(logging.WARNING)
    if format_ not in FORMATS:
        raise typer.BadParameter(f"{format_!r} is not a format; known: {', '.join(FORMATS)}", param_hint="--format")
    settings = load(config)
    console = screens.stderr()
    with ExitStack() as stack:
        sinks: list[Sink] = []
        if findings or alerts:
            if findings == alerts != "-":
                raise typer.BadParameter(f"findings and alerts can't both go to {findings}", param_hint="--alerts")
            sinks.append(stack.enter_context(NdjsonSink(findings, alerts)))
        if store is not None:
            sinks.append(_store_sink(settings, store, stack))
        player = Replay(assembly.pipeline(settings), Decoder(format_), sinks)
        started = time.perf_counter()
        with _progress(quiet) as progress:
            for name in files:
                source = FileSource(name, time.time)
                player.run(source, _teller(progress, name, source))
        seconds = time.perf_counter() - started
    if quiet:
        return
    console.print(screens.replay_summary(player.result, seconds))
    if player.result.first_reject is not None:
        reject = player.result.first_reject
        console.print(
            f"first reject: line {reject.offset + 1}: {reject.reject.reason}: {reject.reject.detail}", markup=False
        )
    for alert in player.result.alerts.values():
        console.print(screens.story(alert))


@app.command(name="demo")
def demo_command(
    folder: Annotated[Path, typer.Argument(help="Folder of scenarios.")] = Path("sample_logs"),
    store: Annotated[str, typer.Option(help="Event store to write to.")] = "chdb://./var/demo/store",
) -> None:
    """Stream the sample scenarios through the real pipeline into an embedded event store."""
    log_to_stderr(logging.WARNING)
    settings, console = Config(), screens.stderr()
    found = scenarios(folder)
    started = time.perf_counter()
    with ExitStack() as stack:
        sinks = [_store_sink(settings, store, stack)]
        progress = stack.enter_context(_progress(quiet=False))
        outcomes = []
        for scenario in found:
            source = FileSource(scenario.events, time.time, topic=f"demo:{scenario.expected.scenario}")
            tell = _teller(progress, scenario.expected.scenario, source)
            outcomes.append(demo.play(scenario, source, sinks, settings, tell))
    events = sum(outcome.events for outcome in outcomes)
    seconds = time.perf_counter() - started
    console.print(f"{events:,} events of {len(found)} scenarios in {seconds:.1f} s, stored in {store}", markup=False)
    console.print(screens.demo_table(outcomes))
    console.print("Next (the command is in .venv/bin):")
    for line in demo.NEXT:
        console.print(f"  {line}", markup=False, highlight=False)
    if any(outcome.alert is None for outcome in outcomes):
        raise typer.Exit(FAILED)


@app.command(name="evaluate")
def evaluate_command(
    folders: Annotated[
        list[Path] | None, typer.Argument(help="Folders of scenarios; sample_logs if none is given.")
    ] = None,
    config: ConfigOption = None,
    json: Annotated[Path | None, typer.Option("--json", help="Write all numbers there, each run among them.")] = None,
) -> None:
    """Measure detection on labelled scenarios: what was caught, how soon, how grave, and the false alarms."""
    log_to_stderr(logging.WARNING)
    settings = load(config)
    outcomes = []
    with _progress(quiet=False) as progress:
        for scenario in (found for folder in folders or [Path("sample_logs")] for found in scenarios(folder)):
            source = FileSource(scenario.events, time.time)
            tell = _teller(progress, scenario.folder.name, source)
            outcomes.append(evaluate.run(evaluate.from_records(scenario, source, tell), settings))
    result = summarise(outcomes)
    if json is not None:
        json.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n")
    screens.stdout().print(evaluation_screen.evaluation_table(result))


@app.command(name="produce")
def produce_command(
    files: FilesArgument,
    config: ConfigOption = None,
    rate: Annotated[float | None, typer.Option(help="Messages a second; as fast as possible if not given.")] = None,
    speed: Annotated[float | None, typer.Option(help="In event time, so many times faster than it happened.")] = None,
) -> None:
    """Publish NDJSON events to the events topic, keyed by the principal they concern."""
    log_to_stderr(logging.WARNING)
    settings = load(config)
    try:
        pace = Pace(rate=rate, speedup=speed, time_of=time_of)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--rate, --speed") from error
    console = screens.stderr()
    with Progress(
        TextColumn("{task.description}"), TextColumn("{task.completed:,.0f} messages"), console=console
    ) as bar:
        task = bar.add_task(f"to {settings.kafka.topics.events}", total=None)
        done = publish(
            client_settings(settings.kafka),
            settings.kafka.topics.events,
            lines(files),
            key_of=key_of,
            pace=pace,
            on_progress=lambda count: bar.update(task, completed=count),
        )
    console.print(f"{done.sent} messages published in {done.seconds:.1f} s, {done.failed} failed")
    if done.failed:
        console.print(f"errors: {dict(done.errors)}", markup=False)
        raise typer.Exit(FAILED)


@app.command()
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
        events=names.events,
        findings=names.findings,
        alerts=names.alerts,
        rejects=names.rejects,
        partitions=partitions,
        replication_factor=replication,
    )
    reports = create_topics(client_settings(settings.kafka), plan)
    screens.stderr().print(screens.topics_table(reports))


@app.command()
def check(config: ConfigOption = None) -> None:
    """Validate a configuration and show it as it takes effect; secrets show only by where they are kept."""
    settings = load(config)
    screens.stdout().print(screens.settings_table(effective(settings)))


@store_app.command(name="migrate")
def store_migrate(
    config: ConfigOption = None,
    url: Annotated[str | None, typer.Option(help="The store; that of the configuration if not given.")] = None,
) -> None:
    """Bring the store's schema up to date. Safe to run again; the service does it at its start too."""
    log_to_stderr(logging.INFO)
    settings = load(config)
    if url is not None:
        settings = settings.model_copy(update={"store": settings.store.model_copy(update={"url": url})})
    store = open_store(settings)
    if store is None:
        raise ConfigError("no store: give --url, or set store.url in the configuration")
    with store:
        screens.stderr().print(f"the schema of {store.url} is up to date", markup=False)


@app.callback(invoke_without_command=True)
def version(show: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False) -> None:
    """Detects rogue AI agents in their logs: reads events, raises explained alerts."""
    if show:
        typer.echo(VERSION)
        raise typer.Exit


def _store_sink(settings: Config, url: str, stack: ExitStack) -> Sink:
    with_url = settings.model_copy(update={"store": settings.store.model_copy(update={"url": url})})
    store = open_store(with_url)
    assert store is not None  # noqa: S101 - a URL was given
    stack.enter_context(store)
    return ClickHouseSink(store.client, database=store.database)


def _teller(progress: Progress, name: str, source: FileSource) -> Callable[[], None]:
    """A bar for one file, and what moves it on."""
    bar = progress.add_task(name, total=source.size)
    return lambda: progress.update(bar, completed=source.position)


def _progress(quiet: bool) -> Progress:
    console = screens.stderr()
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, disable=quiet or not console.is_terminal)


def main() -> None:
    """The program: known errors in one line on stderr, status 1; Ctrl-C is status 130."""
    try:
        app()
    except KNOWN as error:
        screens.stderr().print(f"detector: {error}", style="red", markup=False, highlight=False)
        sys.exit(FAILED)
    except KeyboardInterrupt:
        sys.exit(130)
