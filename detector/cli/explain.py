"""Commands that look at one thing: `detector explain` and `detector baseline`."""

import logging
from typing import Annotated

import typer

from detector import baseline as baselines
from detector.audit.why_not import MOST
from detector.cli.audit_common import AnswerFormat, OutOption, StoreOption, TableOption, asked, tell
from detector.cli.common import ConfigOption
from detector.config_file import load
from detector.explain import answer as explanations
from detector.logs import log_to_stderr


def explain(
    identity: Annotated[
        str, typer.Argument(metavar="ALERT|FINDING|EVENT", help="Id of an alert (a-…), a finding (f-…) or an event.")
    ],
    limit: Annotated[int, typer.Option(min=1, help="Events to play again at most.")] = MOST,
    store: StoreOption = None,
    config: ConfigOption = None,
    format_: AnswerFormat = None,
    out: OutOption = None,
    table: TableOption = None,
) -> None:
    """The numbers behind an alert, a finding or an event, against the baseline, and what it would take to change it.

    The events before it are played again, under the configuration that was in force (or --config), so that each
    detector's score stands beside the limit that it was held against. An alert is explained by its gravest finding.

    Tables: numbers, detectors, hours, otherwise.
    """
    log_to_stderr(logging.WARNING)
    with asked(store, config) as opened:
        answer = explanations.answer(opened, identity, load(config) if config else None, limit)
    tell(answer, format_, out, table)


def baseline(
    principal: Annotated[str, typer.Argument(help="An agent, a person or a service, by id.")],
    config: ConfigOption = None,
    format_: AnswerFormat = None,
    out: OutOption = None,
    table: TableOption = None,
) -> None:
    """What the service believes normal is for a principal: rates by hour, endpoints, actions, and how sure it is.

    Read from the checkpoints that `state.url` names, as of the last one; the running service is not disturbed. Give
    the configuration that it runs with.

    Tables: rates, endpoints, actions, namespaces.
    """
    log_to_stderr(logging.ERROR)
    answer = baselines.answer(baselines.restored(load(config)), principal)
    tell(baselines.shortened(answer) if format_ in {None, "table"} and out is None else answer, format_, out, table)
