"""The command line: `detector …`. Parses arguments and shows results; the work is done elsewhere."""

import sys
from typing import Annotated

import typer

from detector import VERSION, screens
from detector.cli import (
    audit,
    audit_incident,
    audit_questions,
    audit_sql,
    backtest,
    configuring,
    explain,
    feedback,
    formats,
    live,
    offline,
    rebaseline,
    store,
    train,
    tune,
)
from detector.cli.common import FAILED, KNOWN

app = typer.Typer(
    name="detector",
    help="Detects rogue AI agents in their logs: reads events, raises explained alerts.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
store_app = typer.Typer(help="The event store (ClickHouse, or chDB embedded).", no_args_is_help=True)
for command in (
    *(live.run, offline.replay, offline.demo, offline.evaluate, train.train),
    *(backtest.backtest, tune.tune, explain.explain, explain.baseline),
    *(configuring.check, configuring.reload, feedback.feedback, rebaseline.rebaseline),
    *(live.produce, live.topics, formats.formats, formats.decode),
):
    app.command()(command)
store_app.command()(store.migrate)
store_app.command()(store.hold)
store_app.command()(store.release)
store_app.command("holds")(store.show_holds)
app.add_typer(store_app, name="store")
for question in (*audit_questions.COMMANDS, audit_incident.incident, audit_sql.sql):
    audit.app.command()(question)
app.add_typer(audit.app, name="audit")
app.add_typer(configuring.app, name="config")


@app.callback(invoke_without_command=True)
def version(show: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False) -> None:
    """Detects rogue AI agents in their logs: reads events, raises explained alerts."""
    if show:
        typer.echo(VERSION)
        raise typer.Exit


def main() -> None:
    """The program: known errors in one line on stderr, status 1; Ctrl-C is status 130."""
    try:
        app()
    except KNOWN as error:
        screens.stderr().print(screens.failure(error))
        sys.exit(FAILED)
    except KeyboardInterrupt:
        sys.exit(130)
