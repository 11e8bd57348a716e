"""Commands over files: replay, demo, evaluate."""

import logging
import time
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from detector import assembly, evaluation_screen, garbage, screens
from detector import demo as samples
from detector import evaluate as labelled
from detector.cli.common import FAILED, ConfigOption, FilesArgument, FormatOption, progress_bar, store_sink, teller
from detector.config import Config
from detector.config_base import ConfigError
from detector.config_file import load
from detector.evaluation import Evaluation, summarise
from detector.logs import log_to_stderr
from detector.renderings import RENDERINGS, Rendering
from detector.replay import Replay
from detector.scenario import scenarios
from detector.sessions import SessionResult, evaluate_sessions, read_labels
from detector.sinks.base import Sink
from detector.sinks.files import NdjsonSink
from detector.sources.files import FileSource


def replay(  # noqa: PLR0913, PLR0917 - one an option
    files: FilesArgument,
    format_: FormatOption = None,
    config: ConfigOption = None,
    findings: Annotated[str | None, typer.Option(help="Write findings there (NDJSON); - for stdout.")] = None,
    alerts: Annotated[str | None, typer.Option(help="Write each version of each alert there (NDJSON).")] = None,
    alert_format: Annotated[
        Rendering, typer.Option(help="What findings and alerts are written as: ocsf is OCSF Detection Finding.")
    ] = "native",
    store: Annotated[str | None, typer.Option(help="Write all to this store, e.g. chdb:///tmp/store.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar, no tables.")] = False,
) -> None:
    """Run the same two stages over files; two replays of the same file give the same bytes."""
    log_to_stderr(logging.WARNING)
    settings = load(config)
    console = screens.stderr()
    with garbage.spared(), ExitStack() as stack:
        sinks: list[Sink] = []
        if findings or alerts:
            if findings == alerts != "-":
                raise typer.BadParameter(f"findings and alerts can't both go to {findings}", param_hint="--alerts")
            sinks.append(stack.enter_context(NdjsonSink(findings, alerts, encode=RENDERINGS[alert_format])))
        if store is not None:
            sinks.append(store_sink(settings, store, stack))
        player = Replay(assembly.pipeline(settings), assembly.decoder(settings, format_), sinks)
        started = time.perf_counter()
        with progress_bar(quiet) as progress:
            for name in files:
                source = FileSource(name, time.time)
                player.run(source, teller(progress, name, source))
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


def demo(
    folder: Annotated[Path, typer.Argument(help="Folder of scenarios.")] = Path("sample_logs"),
    store: Annotated[str, typer.Option(help="Event store to write to.")] = "chdb://./var/demo/store",
) -> None:
    """Stream the sample scenarios through the real pipeline into an embedded event store."""
    log_to_stderr(logging.WARNING)
    settings, console = Config(), screens.stderr()
    found = scenarios(folder)
    started = time.perf_counter()
    with ExitStack() as stack:
        sinks = [store_sink(settings, store, stack)]
        progress = stack.enter_context(progress_bar(quiet=False))
        outcomes = []
        for scenario in found:
            source = FileSource(scenario.events, time.time, topic=f"demo:{scenario.expected.scenario}")
            tell = teller(progress, scenario.expected.scenario, source)
            outcomes.append(samples.play(scenario, source, sinks, settings, tell))
    events = sum(outcome.events for outcome in outcomes)
    seconds = time.perf_counter() - started
    console.print(f"{events:,} events of {len(found)} scenarios in {seconds:.1f} s, stored in {store}", markup=False)
    console.print(screens.demo_table(outcomes))
    console.print("Next (the command is in .venv/bin):")
    for line in samples.NEXT:
        console.print(f"  {line}", markup=False, highlight=False)
    if any(outcome.alert is None for outcome in outcomes):
        raise typer.Exit(FAILED)


def evaluate(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="Folders of scenarios (sample_logs if none is given); with --labels, log files."),
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="Labels of sessions (JSON lines: session, compromised, attack_spans, phase).")
    ] = None,
    format_: FormatOption = None,
    config: ConfigOption = None,
    json: Annotated[Path | None, typer.Option("--json", help="Write all numbers there, each run among them.")] = None,
) -> None:
    """Measure detection on labelled scenarios, or on a log with labelled sessions.

    Of scenarios: what was caught, how soon, how grave, and the false alarms. Of sessions: how many of those
    that were taken over are flagged, at which share of the honest ones.
    """
    log_to_stderr(logging.WARNING)
    settings = load(config)
    result: Evaluation | SessionResult
    if labels is None:
        result = _scenarios(paths, settings)
        table = evaluation_screen.evaluation_table(result)
    else:
        result = _sessions(paths or [], labels, format_, settings)
        table = evaluation_screen.sessions_table(result)
    if json is not None:
        json.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n")
    screens.stdout().print(table)


def _scenarios(folders: list[Path] | None, settings: Config) -> Evaluation:
    outcomes = []
    with progress_bar(quiet=False) as progress:
        for scenario in (found for folder in folders or [Path("sample_logs")] for found in scenarios(folder)):
            source = FileSource(scenario.events, time.time)
            tell = teller(progress, scenario.folder.name, source)
            decoder = assembly.decoder(settings, "native")
            outcomes.append(labelled.run(labelled.from_records(scenario, source, decoder, tell), settings))
    return summarise(outcomes)


def _sessions(files: list[Path], labels: Path, format_: str | None, settings: Config) -> SessionResult:
    if not files:
        raise typer.BadParameter("with --labels, name the log files that the sessions are in", param_hint="FILES")
    try:
        known = read_labels(labels.read_bytes().splitlines())
    except ValueError as error:
        raise ConfigError(f"{labels}: {error}") from error
    with progress_bar(quiet=False) as progress:
        sources = [FileSource(file, time.time) for file in files]
        decoder = assembly.decoder(settings, format_)
        told = ((source, teller(progress, source.topic, source)) for source in sources)
        envelopes = chain.from_iterable(labelled.decoded(source, decoder, tell) for source, tell in told)
        return evaluate_sessions(envelopes, known, settings)
