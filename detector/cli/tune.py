"""The command `detector tune`."""

import logging
import re
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Final, Literal

import typer

from detector import screens
from detector.audit.answer import Span
from detector.audit.show import to_screen
from detector.backtest.workers import play
from detector.cli import history_common as common
from detector.cli.audit_common import StoreOption, tell
from detector.cli.backtest import INTERRUPTED
from detector.cli.common import ConfigOption, known_format
from detector.config import Config
from detector.config_base import ConfigError
from detector.config_file import load, parse
from detector.logs import log_to_stderr
from detector.tune.answer import span_words, told
from detector.tune.fragment import fragment
from detector.tune.proposal import Proposal, base, propose
from detector.tune.record import TUNED, Recorder, Recording
from detector.tune.trials import Aim
from detector.wording import nearest

_BUDGET: Final = re.compile(r"(\d+(?:\.\d+)?)(?:/(day|week))?")


def tune(  # noqa: PLR0913, PLR0917 - one an option
    files: common.HistoryArgument = None,
    budget: Annotated[
        str, typer.Option("--budget", "-b", help="Alerts that people are willing to look at: `3/day`, `5/week`.")
    ] = "3/day",
    detector: Annotated[str | None, typer.Option(help=f"Tune one only: {', '.join(TUNED)}.")] = None,
    role: Annotated[str | None, typer.Option(help="Tune for the principals of one role only.")] = None,
    least: Annotated[
        float, typer.Option(min=1.0, help="No threshold below this score (-log10 of a p-value) is proposed.")
    ] = 3.0,
    config: ConfigOption = None,
    since: common.FromOption = None,
    until: common.ToOption = None,
    warm_up: common.WarmUpOption = common.WARM_UP,
    labels: common.LabelsOption = None,
    input_format: Annotated[
        str | None, typer.Option(help="Wire format of FILES; else that of the configuration.", callback=known_format)
    ] = None,
    topic: common.TopicOption = None,
    store: StoreOption = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Write the fragment there (YAML); else to standard output.")
    ] = None,
    chart: Annotated[
        Path | None, typer.Option(help="Draw the trade-off: a .png, or a .html with the fragment beside it.")
    ] = None,
    format_: Annotated[
        Literal["table", "json", "md"] | None,
        typer.Option("--format", "-f", help="Tell the numbers like this on standard output, with --out."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the days that are drawn for the ranges.")] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")] = False,
) -> None:
    """Propose thresholds that keep a budget of alerts a day, tried on history.

    History is played once to record every score, then some times more with thresholds chosen by these, until the
    alerts that come of it are as many as asked. What is proposed are `overrides:`, to be reviewed, put into the
    configuration and tried with `detector backtest`; no file that is there is changed.
    """
    log_to_stderr(logging.WARNING)
    _refuse(files, detector, out, chart)
    aim = Aim(_a_day(budget), detector or "", role or "", least)
    spans = common.span_of(since, until, warm_up)
    settings = base(load(config))
    with common.history(files, store, config, spans, topic, labels) as past:
        record = partial(_record, past=past, spans=spans, input_format=input_format, quiet=quiet)
        recording = record(settings)
        if not recording.played.counted:
            raise ConfigError(f"no events{spans[1].words} in {past.name}: are --from and --to right?")
        proposal = propose(recording, settings, past.known, aim, record, seed=seed)
    text = fragment(proposal, past.name, span_words(proposal))
    parse(text, str(out or "the proposal"))
    _draw(proposal, text, chart)
    answer = told(proposal, past.name)
    if out is None:
        to_screen(answer, screens.stderr())
        typer.echo(text, nl=False)
    else:
        out.write_text(text, encoding="utf-8")
        tell(answer, format_, None)


def _refuse(files: list[str] | None, detector: str | None, out: Path | None, chart: Path | None) -> None:
    """Refuse what can't be done, before history is played.

    Raises:
        typer.BadParameter, ConfigError: As the message says.
    """
    if detector is not None and detector not in TUNED:
        raise typer.BadParameter(f"{nearest(detector, TUNED)}; others have no scores to tune", param_hint="--detector")
    if "-" in (files or ()):
        raise typer.BadParameter("history is played several times: standard input can't be", param_hint="FILES")
    if chart is not None and chart.suffix.lower() not in {".png", ".html"}:
        raise typer.BadParameter(f"{chart.name} must end in .png or .html", param_hint="--chart")
    if out is not None and out.exists():
        raise ConfigError(f"{out} exists: a proposal is never written over a file; name another one")


def _record(
    config: Config, past: common.History, spans: tuple[datetime | None, Span], input_format: str | None, *, quiet: bool
) -> Recording:
    """Play history once.

    Raises:
        typer.Exit: Ctrl-C was pressed.
    """
    maker = partial(Recorder, config, past.since, past.known, input_format, spans[1])
    with common.bar("tune", past, quiet) as (moved, stopped):
        (recording,) = play(past.rows(), [maker], moved, stopped)
        if stopped():
            screens.stderr().print("interrupted: half a history proposes nothing", style="red")
            raise typer.Exit(INTERRUPTED)
    kept: Recording = recording
    return kept


def _draw(proposal: Proposal, text: str, path: Path | None) -> None:
    if path is None:
        return
    from detector.tune import chart  # noqa: PLC0415 - matplotlib takes a second to load

    if path.suffix.lower() == ".png":
        path.write_bytes(chart.png(proposal))
    else:
        path.write_text(chart.page(proposal, "What a budget of alerts costs and catches", text), encoding="utf-8")


def _a_day(text: str) -> float:
    match = _BUDGET.fullmatch(text.strip())
    if match is None or float(match[1]) <= 0:
        raise typer.BadParameter(f"{text!r}: write for example 3/day, 0.5/day or 5/week", param_hint="--budget")
    return float(match[1]) / (7.0 if match[2] == "week" else 1.0)
