"""The command `detector backtest`."""

import logging
from functools import partial
from pathlib import Path
from typing import Annotated, Final, Literal

import typer

from detector.backtest import answer as answers
from detector.backtest.compare import compare
from detector.backtest.play import Played, Player
from detector.backtest.workers import play
from detector.cli import history_common as common
from detector.cli.audit_common import OutOption, StoreOption, tell
from detector.cli.common import known_format
from detector.config import Config
from detector.config_file import load
from detector.config_versions import short_hash
from detector.logs import log_to_stderr

LOST: Final = 3
INTERRUPTED: Final = 130


def backtest(  # noqa: PLR0913, PLR0917 - one an option
    files: common.HistoryArgument = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="The configuration to try; the defaults if not given.")
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(help="What to hold it against; else what the store was last written under, or the defaults."),
    ] = None,
    since: common.FromOption = None,
    until: common.ToOption = None,
    warm_up: common.WarmUpOption = common.WARM_UP,
    labels: common.LabelsOption = None,
    fail_if_lost: Annotated[
        bool,
        typer.Option(
            "--fail-if-lost",
            help="Exit with status 3 if a known incident is caught no more or, where none is known, "
            "an alert of SEV2 or worse is lost.",
        ),
    ] = False,
    input_format: Annotated[
        str | None, typer.Option(help="Wire format of FILES; else that of the configuration.", callback=known_format)
    ] = None,
    topic: common.TopicOption = None,
    store: StoreOption = None,
    format_: Annotated[
        Literal["table", "json", "md"] | None, typer.Option("--format", "-f", help="How the result is told.")
    ] = None,
    out: OutOption = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
) -> None:
    """Play history through two configurations, and show what the new one would change.

    History is FILES, or the event store that --store or the configuration names. Both are played by the two stages
    that run live, each in a process of its own. Ctrl-C ends it early and tells what was played until then (status 130).
    Verdicts on alerts have no part in it: they end, and a threshold has to do without them.

    Tables: severities, detectors, roles, lost, gained, changed, incidents.
    """
    log_to_stderr(logging.WARNING)
    new = load(config)
    spans = common.span_of(since, until, warm_up)
    with common.history(files, store, against or config, spans, topic, labels) as past:
        old, old_name = _against(against, past)
        makers = [partial(Player, each, past.since, past.known, input_format, spans[1]) for each in (old, new)]
        alike = short_hash(old) == short_hash(new)
        with common.bar("backtest", past, quiet) as (moved, stopped):
            results: list[Played] = play(past.rows(), makers[1:] if alike else makers, moved, stopped)
            cut = stopped()
    before, after = results[0], results[-1]
    comparison = compare(before, after, old, new, past.known)
    name = f"{config or 'the defaults'} ({short_hash(new)})"
    told = answers.told(comparison, before, after, (old_name, name))
    told.facts["from"] = past.name
    told.notes += ["Both configurations are the same."] if alike else []
    told.notes += [common.cut_short(after.events)] if cut else []
    tell(told, format_, out)
    if cut:
        raise typer.Exit(INTERRUPTED)
    if fail_if_lost and comparison.worse:
        raise typer.Exit(LOST)


def _against(path: Path | None, past: common.History) -> tuple[Config, str]:
    if path is not None:
        old = load(path)
        return old, f"{path} ({short_hash(old)})"
    return past.in_force or (Config(), f"the defaults ({short_hash(Config())})")
