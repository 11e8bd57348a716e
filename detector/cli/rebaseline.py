"""Command: rebaseline."""

import logging
from datetime import UTC, datetime
from typing import Annotated, Final

import msgspec
import typer

from detector import screens
from detector.cli.common import ConfigOption, whoami
from detector.config import Config
from detector.config_base import ConfigError
from detector.config_file import load
from detector.detectors import REGISTRY
from detector.events import Actor, Event, Target
from detector.findings import stable_id
from detector.kafka_settings import client_settings
from detector.logs import log_to_stderr
from detector.produce import ProduceError, produce
from detector.publishing import key_of
from detector.rebaseline import ORDER, has_baseline

# Wire formats that read an order as it is written here.
_READ_ORDERS: Final = ("native", "auto", "cloudevents")


def rebaseline(
    principal: Annotated[str, typer.Argument(help="An agent, a person or a service, by id.")],
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why, for whoever asks later.")],
    detector: Annotated[
        list[str] | None, typer.Option("--detector", "-d", help="Only what this one knows; may be given again.")
    ] = None,
    by: Annotated[str | None, typer.Option(help="Who says so; the user of this session if not given.")] = None,
    topic: Annotated[str | None, typer.Option(help="The topic of its events, where several are read.")] = None,
    config: ConfigOption = None,
) -> None:
    """Accept a lasting change: what is usual for a principal is learnt anew, from its peers' habits on.

    What a detector flags it does not learn, so a lasting change is reported once and stays strange. This forgets what
    the statistical detectors know of the principal; until they know more, it is judged by its peers, as a newcomer is.
    Stops, approvals and denials are never forgotten so.

    It is an order like a stop: an event on the events topic, in order with what the principal does, kept in the store,
    and the same in every replay. It counts only from those whom `control.issuers` allows `rebaseline`.
    """
    log_to_stderr(logging.WARNING)
    _check_names(detector or [])
    settings = load(config)
    by, now = by or whoami(), datetime.now(UTC)
    order = Event(
        id=stable_id("o", principal, by, now.isoformat()),
        time=now,
        actor=Actor(id=by, kind="human"),
        kind="control",
        action=ORDER,
        target=Target(uri=principal, type="agent"),
        attributes={"detectors": detector or [], "reason": reason},
    )
    if not settings.control.hears(order):
        raise ConfigError(
            f"an order of {by} to forget what is usual for {principal} would not count: `control.issuers` needs one "
            f'with `ids: ["{by}"]` and `orders: [rebaseline]` (and those who give other orders, if there were none)'
        )
    where = topic or _topic(settings)
    done = produce(client_settings(settings.kafka), where, [msgspec.json.encode(order)], key_of=key_of)
    if done.failed:
        raise ProduceError(f"the order was not taken by the topic {where}: {dict(done.errors)}")
    what = ", ".join(detector) if detector else "every statistical detector"
    done_so = f"learnt anew of {principal}: what is usual to {what}: {order.id}"
    screens.stderr().print(done_so, markup=False, highlight=False)


def _check_names(detectors: list[str]) -> None:
    known = [name for name, one in REGISTRY.items() if has_baseline(one)]
    wrong = [name for name in detectors if name not in known]
    if wrong:
        raise typer.BadParameter(f"{wrong[0]} has no baseline; {', '.join(known)} have one", param_hint="--detector")


def _topic(settings: Config) -> str:
    fit = [source.topic for source in settings.read if source.format in _READ_ORDERS]
    if len(fit) == 1:
        return fit[0]
    if not fit:
        formats = ", ".join(sorted({source.format for source in settings.read}))
        raise ConfigError(f"no topic that is read takes orders: {formats} can't hold one; `auto` reads any message")
    raise ConfigError(f"which topic holds its events? give --topic: {', '.join(fit)}")
