"""`detector store …`: the schema of the event store, its retention, and legal holds."""

import getpass
import logging
import time
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.table import Table

from detector import screens
from detector.audit.answer import moment
from detector.auditing import record_actions, seal_recorder
from detector.cli.common import ConfigOption
from detector.config import Config
from detector.config_base import ConfigError
from detector.config_file import load
from detector.config_versions import short_hash
from detector.event_store import opened
from detector.logs import log_to_stderr
from detector.records import OperatorAction
from detector.store import held_rows, holds
from detector.store.client import Store
from detector.store.errors import StoreError
from detector.wording import plural

UrlOption = Annotated[str | None, typer.Option(help="The store; that of the configuration if not given.")]
OperatorOption = Annotated[
    str | None, typer.Option(help="Who does it, for the record; the name you are logged in with if not given.")
]


def migrate(config: ConfigOption = None, url: UrlOption = None) -> None:
    """Bring the store's schema, retention and legal holds up to date. Safe to run again; the service does it too."""
    log_to_stderr(logging.INFO)
    settings = load(config)
    with _opened(settings, url) as store:
        console = screens.stderr()
        console.print(f"the schema of {store.url} is up to date", markup=False)
        for name, days in settings.store.retention.model_dump(exclude_none=True).items():
            console.print(f"  {name}: a month's are kept for {plural(days, 'day')} after it is over", markup=False)


def hold(
    reason: Annotated[str, typer.Option(help="Why: the case, the order, who asked for it.")],
    incident: Annotated[
        str | None, typer.Argument(help="An incident, by the id of its alert (a-…), with all that its principals did.")
    ] = None,
    principal: Annotated[str | None, typer.Option(help="What was done by this agent, person or service.")] = None,
    between: Annotated[
        tuple[str, str] | None,
        typer.Option(help="Only from a time to before another (ISO 8601, UTC if no zone is given).", metavar="FROM TO"),
    ] = None,
    operator: OperatorOption = None,
    config: ConfigOption = None,
    url: UrlOption = None,
) -> None:
    """Place a legal hold: what it covers is kept beyond its retention, until the hold is released.

    It covers an incident; or a principal; or a span of time, of a principal or of everybody. What is written later
    and covered is kept too.
    """
    log_to_stderr(logging.WARNING)
    since, until = (moment(between[0]), moment(between[1])) if between is not None else (None, None)
    scope = holds.Scope(incident=incident or "", principal=principal or "", since=since, until=until)
    settings, who = load(config), _operator(operator)
    try:
        action = holds.hold(scope, operator=who, reason=reason, now=_now(), config=short_hash(settings))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="INCIDENT, --principal, --between") from error
    with _opened(settings, url) as store:
        if scope.incident:
            holds.check_incident(store, scope.incident)
        changed = _apply(settings, url, store, action)
    console = screens.stdout()
    console.print(f"hold {action.id} is in force on {_what(scope)}", markup=False, highlight=False)
    for table, rows in changed.items():
        console.print(f"  {table.removesuffix('_data')}: {plural(rows, 'row')} held now", markup=False, highlight=False)
    if not changed:
        console.print("  no row is covered by it yet, or other holds cover them all", markup=False)


def release(
    hold_id: Annotated[
        str, typer.Argument(metavar="HOLD", help="The hold, by its id (h-…): see `detector store holds`.")
    ],
    reason: Annotated[str, typer.Option(help="Why: who lifted it.")],
    operator: OperatorOption = None,
    config: ConfigOption = None,
    url: UrlOption = None,
) -> None:
    """Release a legal hold: what no other hold covers expires as its table's retention says, at once if it is past."""
    log_to_stderr(logging.WARNING)
    settings, who = load(config), _operator(operator)
    with _opened(settings, url) as store:
        known = {placed.id: placed for placed in holds.every(store)}
        if hold_id not in known:
            raise StoreError(f"there is no hold {hold_id}: see `detector store holds`")
        if known[hold_id].released_at is not None:
            raise StoreError(f"the hold {hold_id} was released at {known[hold_id].released_at:%Y-%m-%d %H:%M} UTC")
        action = holds.release(hold_id, operator=who, reason=reason, now=_now(), config=short_hash(settings))
        changed = _apply(settings, url, store, action)
    console = screens.stdout()
    console.print(f"hold {hold_id} is released", markup=False, highlight=False)
    for table, rows in changed.items():
        name = table.removesuffix("_data")
        console.print(f"  {name}: {plural(rows, 'row')} held no longer", markup=False, highlight=False)


def show_holds(
    config: ConfigOption = None,
    url: UrlOption = None,
    every: Annotated[bool, typer.Option("--all", help="Those too that were released.")] = False,
) -> None:
    """The legal holds in force."""
    log_to_stderr(logging.WARNING)
    with _opened(load(config), url) as store:
        found = [placed for placed in holds.every(store) if every or placed.released_at is None]
    table = Table("hold", "what", "since", "by", "why", *(("released", "by", "why") if every else ()))
    for placed in found:
        row = [placed.id, _what(placed.scope), f"{placed.held_at:%Y-%m-%d %H:%M}", placed.held_by, placed.reason]
        if every:
            ended = "" if placed.released_at is None else f"{placed.released_at:%Y-%m-%d %H:%M}"
            row += [ended, placed.released_by, placed.release_reason]
        table.add_row(*map(screens.plain, row))
    screens.stdout().print(table if found else "nothing is held")


def _opened(settings: Config, url: str | None) -> Store:
    """The store that an option names, or the configuration."""
    named = url or settings.store.url
    if named is None:
        raise ConfigError("no store: give --url, or set store.url in the configuration")
    return opened(named, settings)


def _apply(settings: Config, url: str | None, store: Store, action: OperatorAction) -> dict[str, int]:
    """Record an action as a link of a chain of its own, anchored as configured; then mark what is held."""
    anchored = url in {None, settings.store.url}
    if not anchored and settings.audit.key is not None:
        screens.stderr().print(
            f"not anchored: the anchors that the configuration names are of {settings.store.url or 'another store'}; "
            "give a configuration whose store.url is this store",
            markup=False,
            highlight=False,
        )
    record_actions(settings, store, [action], anchored=anchored)
    recorder = seal_recorder(settings, store, action.operator, anchored=anchored)
    return held_rows.apply(store, cluster=settings.store.cluster, recorder=recorder)


def _what(scope: holds.Scope) -> str:
    if scope.incident:
        return f"the incident {scope.incident}"
    who = scope.principal or "everybody"
    since = "" if scope.since is None else f" from {scope.since:%Y-%m-%d %H:%M:%S}"
    until = "" if scope.until is None else f" to {scope.until:%Y-%m-%d %H:%M:%S}"
    return f"{who}{since}{until}"


def _operator(given: str | None) -> str:
    try:
        return given or getpass.getuser()
    except (OSError, KeyError) as error:
        raise typer.BadParameter("who does it? this account has no name", param_hint="--operator") from error


def _now() -> datetime:
    return datetime.fromtimestamp(time.time(), UTC)
