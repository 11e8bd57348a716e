"""Commands around the configuration: check, reload, config schema."""

import logging
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import typer

from detector import assembly, config_screen, reload_request, screens
from detector.cli.common import ConfigOption
from detector.config_base import ConfigError
from detector.config_file import load, read
from detector.logs import log_to_stderr

app = typer.Typer(help="The configuration: its schema.", no_args_is_help=True)


def check(
    config: ConfigOption = None,
    format_: Annotated[
        Literal["table", "yaml", "json"],
        typer.Option("--format", "-f", help="How to show it; yaml is a file that gives the same configuration again."),
    ] = "table",
) -> None:
    """Validate a configuration and show it as it takes effect, with where each value came from.

    A value comes from a line of a file, from an environment variable (DETECTOR_STATE__EVERY=60 sets state.every), or is
    the default. Secrets show only by where they are kept. A model that is named has to be one that can be used.
    """
    loaded = read(config, os.environ)
    assembly.challenger(loaded.config)
    if format_ == "table":
        screens.stdout().print(config_screen.settings_table(loaded))
    else:
        typer.echo(config_screen.as_yaml(loaded) if format_ == "yaml" else config_screen.as_json(loaded), nl=False)
    now = datetime.now(UTC)
    for kind, named in (("mute", loaded.config.mutes), ("override", loaded.config.overrides)):
        for one in named:
            if one.expires is not None and one.expires <= now:
                screens.stderr().print(screens.expired(kind, one.name, one.owner, one.expires))
    if (advice := config_screen.on_claimed_roles(loaded.config, now)) is not None:
        screens.stderr().print(screens.plain(advice), style="yellow", soft_wrap=True)


def reload(
    config: ConfigOption = None,
    url: Annotated[
        list[str] | None,
        typer.Option(help="Address of the service, or several; that of `metrics` in the configuration if not given."),
    ] = None,
    ca_file: Annotated[Path | None, typer.Option(help="CA certificates (PEM) to verify the service with.")] = None,
) -> None:
    """Ask the running service to read its configuration again; status 1 and the reasons if it can't take it.

    Thresholds, overrides, mutes, charters, labels, lists of destinations and all else that is judged by change between
    two batches: nothing is forgotten, nothing read twice. Connections, topics and the bounds of memory take a restart.
    What is wrong leaves the service as it is.
    """
    log_to_stderr(logging.WARNING)
    try:
        metrics = load(config).metrics
    except ConfigError as error:
        raise ConfigError(f"{error}\nthe service was not asked: it goes on with what it has") from None
    for where in url or [reload_request.address(metrics)]:
        worked, said = reload_request.ask(where, metrics, ca_file)
        if not worked:
            raise ConfigError(f"{said}\n{where} did not reload: it goes on with what it has")
        screens.stdout().print(screens.plain(said))


@app.command()
def schema(
    out: Annotated[Path | None, typer.Option(help="Write it there; to standard output if not given.")] = None,
) -> None:
    """Print the JSON Schema of the configuration, for editors that complete and check YAML.

    Most of them read it from a first line like `# yaml-language-server: $schema=detector.schema.json`.
    """
    if out is None:
        typer.echo(config_screen.schema(), nl=False)
    else:
        out.write_bytes(config_screen.schema())
