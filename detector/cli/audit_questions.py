"""The auditor's questions as commands: `detector audit timeline`, `exposure`, `access`, `why`, `egress`, `coverage`."""

import logging
from typing import Annotated

import typer

from detector.audit import access as access_question
from detector.audit import coverage as coverage_question
from detector.audit import egress as egress_question
from detector.audit import exposure as exposure_question
from detector.audit import incident as incidents
from detector.audit import timeline as timelines
from detector.audit import why as why_question
from detector.audit import why_not as why_not_question
from detector.audit.answer import moment
from detector.cli.audit_common import (
    AnswerFormat,
    OutOption,
    SinceOption,
    StoreOption,
    TableOption,
    UntilOption,
    asked,
    span_of,
    tell,
)
from detector.cli.common import ConfigOption
from detector.config_file import load
from detector.logs import log_to_stderr


def timeline(  # noqa: PLR0913, PLR0917 - one an option
    principal: Annotated[str | None, typer.Option(help="An agent, a person or a service, by id.")] = None,
    session: Annotated[str | None, typer.Option(help="A run or conversation, by id.")] = None,
    incident: Annotated[str | None, typer.Option(help="An incident, by the id of its alert (a-…).")] = None,
    since: SinceOption = None,
    until: UntilOption = None,
    limit: Annotated[int, typer.Option(min=1, help="How many events at most, the earliest ones.")] = timelines.MOST,
    store: StoreOption = None,
    config: ConfigOption = None,
    format_: AnswerFormat = None,
    out: OutOption = None,
) -> None:
    """What happened, in order: the acts of a principal, a session or an incident, with findings and alerts between."""
    log_to_stderr(logging.WARNING)
    given = [name for name in (principal, session, incident) if name is not None]
    if len(given) != 1:
        raise typer.BadParameter("give one of them", param_hint="--principal, --session, --incident")
    if incident is not None and (since or until):
        raise typer.BadParameter("an incident has its own span", param_hint="--since, --until")
    span = span_of(since, until)
    with asked(store, config) as opened:
        if principal is not None:
            answer = timelines.of_principal(opened, principal, span, limit)
        elif session is not None:
            answer = timelines.of_session(opened, session, span, limit)
        else:
            answer = incidents.in_order(opened, incidents.gather(opened, given[0]))
    tell(answer, format_, out)


def exposure(  # noqa: PLR0913, PLR0917 - one an option
    resource: Annotated[str, typer.Option("--resource", "-r", help="Its URI, exactly; all if not given.")] = "",
    only_open: Annotated[bool, typer.Option("--open", help="Those that stand open.")] = False,
    since: SinceOption = None,
    until: UntilOption = None,
    store: StoreOption = None,
    config: ConfigOption = None,
    format_: AnswerFormat = None,
    out: OutOption = None,
    table: TableOption = None,
) -> None:
    """Windows in which sensitive data stood open to more people than before, and who read it meanwhile.

    Tables: windows, reads.
    """
    log_to_stderr(logging.WARNING)
    span = span_of(since, until)
    with asked(store, config) as opened:
        answer = exposure_question.answer(opened, resource=resource, only_open=only_open, span=span)
    tell(answer, format_, out, table)


def access(
    resource: Annotated[str, typer.Option("--resource", "-r", help="Its URI, exactly.")],
    between: Annotated[
        tuple[str, str] | None, typer.Option(help="Two times (ISO 8601, UTC if no zone is given): from A, before B.")
    ] = None,
    store: StoreOption = None,
    config: ConfigOption = None,
    format_: AnswerFormat = None,
    out: OutOption = None,
    table: TableOption = None,
) -> None:
    """Who read or changed a resource, how much, and by which permission.

    Tables: access, changes (of its permissions).
    """
    log_to_stderr(logging.WARNING)
    span = span_of(*(between or (None, None)))
    with asked(store, config) as opened:
        answer = access_question.answer(opened, resource, span)
    tell(answer, format_, out, table)


def why(
    identity: Annotated[str, typer.Argument(metavar="ALERT|FINDING", help="Id of an alert (a-…) or a finding (f-…).")],
    store: StoreOption = None,
    config: ConfigOption = None,
    format_: AnswerFormat = None,
    out: OutOption = None,
    table: TableOption = None,
) -> None:
    """Why there is an alert or a finding: scores, evidence, suppressions, and the configuration in force.

    Tables: findings, versions or alerts, settings.
    """
    log_to_stderr(logging.WARNING)
    with asked(store, config) as opened:
        answer = why_question.answer(opened, identity)
    tell(answer, format_, out, table)


def why_not(
    event: Annotated[str, typer.Argument(metavar="EVENT", help="Id of an event.")],
    limit: Annotated[int, typer.Option(min=1, help="Events to play again at most.")] = why_not_question.MOST,
    store: StoreOption = None,
    config: ConfigOption = None,
    format_: AnswerFormat = None,
    out: OutOption = None,
    table: TableOption = None,
) -> None:
    """Why an event raised no alert: each detector's score against its limit, and what suppressed it.

    The events before it are played again, under the configuration that was in force (or --config), and the answer
    says how exact that is. Tables: detectors, findings.
    """
    log_to_stderr(logging.WARNING)
    with asked(store, config) as opened:
        answer = why_not_question.answer(opened, event, load(config) if config else None, limit)
    tell(answer, format_, out, table)


def egress(
    principal: Annotated[str, typer.Option("--principal", "-p", help="Whose data, by id.")],
    since: SinceOption = None,
    until: UntilOption = None,
    store: StoreOption = None,
    config: ConfigOption = None,
    format_: AnswerFormat = None,
    out: OutOption = None,
) -> None:
    """Where the data of a principal went: volumes by destination, the new ones marked."""
    log_to_stderr(logging.WARNING)
    span = span_of(since, until)
    with asked(store, config) as opened:
        answer = egress_question.answer(opened, principal, span)
    tell(answer, format_, out)


def coverage(  # noqa: PLR0913, PLR0917 - one an option
    since: SinceOption = None,
    until: UntilOption = None,
    silence: Annotated[
        float, typer.Option(min=0, help="Seconds without an event below which nothing counts as silent.")
    ] = coverage_question.SILENCE,
    now: Annotated[str | None, typer.Option(help="Count silence up to then; to the latest event if not given.")] = None,
    store: StoreOption = None,
    config: ConfigOption = None,
    format_: AnswerFormat = None,
    out: OutOption = None,
    table: TableOption = None,
) -> None:
    """What the log does not hold: missing offsets, sources and agents that fell silent, what was refused.

    Tables: partitions, gaps, silent, rejects, verdicts.
    """
    log_to_stderr(logging.WARNING)
    span = span_of(since, until)
    with asked(store, config) as opened:
        answer = coverage_question.answer(opened, span, silence=silence, now=moment(now) if now else None)
    tell(answer, format_, out, table)


COMMANDS = (timeline, exposure, access, why, why_not, egress, coverage)
