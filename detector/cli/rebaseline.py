"""Command: rebaseline."""

import logging
import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import msgspec
import typer

from detector import screens
from detector.audit.answer import AuditError, Span, iso, moment
from detector.cli.audit_common import StoreOption, asked
from detector.cli.common import ConfigOption, whoami
from detector.config import Config
from detector.config_base import ConfigError
from detector.config_file import load
from detector.detectors import REGISTRY
from detector.events import Actor, Event, Target
from detector.findings import stable_id
from detector.history.rows import Decoders
from detector.history.stored import acts_of
from detector.kafka_settings import client_settings
from detector.logs import log_to_stderr
from detector.produce import ProduceError, produce
from detector.publishing import key_of
from detector.rebaseline import ORDER, has_baseline
from detector.relearning import ATTRIBUTE, EVENTS_MOST, PACKED_MOST, pack
from detector.store.client import Store
from detector.wording import number, plural

_DAYS: Final = re.compile(r"(\d+(?:\.\d+)?)d")

# Wire formats that read an order as it is written here.
_READ_ORDERS: Final = ("native", "auto", "cloudevents")


def rebaseline(  # noqa: PLR0913, PLR0917 - one an option
    principal: Annotated[str, typer.Argument(help="An agent, a person or a service, by id.")],
    reason: Annotated[str, typer.Option("--reason", "-r", help="Why, for whoever asks later.")],
    since: Annotated[
        str | None,
        typer.Option(help="Learn in its place what it did from then on: a time (ISO 8601), or days back (14d)."),
    ] = None,
    detector: Annotated[
        list[str] | None, typer.Option("--detector", "-d", help="Only what this one knows; may be given again.")
    ] = None,
    by: Annotated[str | None, typer.Option(help="Who says so; the user of this session if not given.")] = None,
    topic: Annotated[str | None, typer.Option(help="The topic of its events, where several are read.")] = None,
    store: StoreOption = None,
    config: ConfigOption = None,
) -> None:
    """Accept a lasting change: what is usual for a principal is learnt anew, from its peers' habits on.

    What a detector flags it does not learn, so a lasting change is reported once and stays strange. This forgets what
    the statistical detectors know of the principal; until they know more, it is judged by its peers, as a newcomer is.
    Stops, approvals and denials are never forgotten so.

    With --since it does not begin with nothing: what the event store holds of the principal from then on is learnt in
    the place of what is forgotten, also what was flagged, for you say that it is usual. Look at it first: `detector
    audit timeline`. It is made anew of these acts, as what was learnt can't be taken apart by time; those of the last
    seconds, which the store has not yet, are not among them. They travel in the order, so that each replay learns the
    same: 50,000 at most, and as many as a message of a megabyte holds (tens of thousands).

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
    where, learnt = topic or _topic(settings), ""
    if since is not None:
        span = Span(moment_before(since, now), now)
        with asked(store, config) as opened:
            acts = _acts(opened, settings, principal, span)
        order.attributes.update({"since": iso(span.since), ATTRIBUTE: _packed(acts)})
        learnt = f", from the {plural(len(acts), 'act')} since {iso(span.since)}"
    done = produce(client_settings(settings.kafka), where, [msgspec.json.encode(order)], key_of=key_of)
    if done.failed:
        raise ProduceError(f"the order was not taken by the topic {where}: {dict(done.errors)}")
    what = ", ".join(detector) if detector else "every statistical detector"
    done_so = f"learnt anew of {principal}: what is usual to {what}{learnt}: {order.id}"
    screens.stderr().print(done_so, markup=False, highlight=False)


def _acts(store: Store, settings: Config, principal: str, span: Span) -> list[Event]:
    """What the principal did in a span, as it was scored.

    Raises:
        ConfigError: Nothing, or too much.
    """
    rows = acts_of(store, principal, span, EVENTS_MOST + 1)
    if len(rows) > EVENTS_MOST:
        raise ConfigError(
            f"{principal} did more than {number(EVENTS_MOST)} acts since {iso(span.since)}, more than are learnt at "
            "once: give a later --since"
        )
    decoders = Decoders(settings)
    acts = [item.event for row in rows for item in decoders.envelopes(row) if item.event.principal == principal]
    if not acts:
        raise ConfigError(
            f"the store holds nothing that {principal} did since {iso(span.since)}: is the id right? Without --since "
            "it is learnt anew from nothing"
        )
    return acts


def _packed(acts: list[Event]) -> str:
    packed = pack(acts)
    if len(packed) > PACKED_MOST:
        fit = acts[-max(1, int(len(acts) * PACKED_MOST / len(packed) * 0.9)) :]
        raise ConfigError(
            f"{plural(len(acts), 'act')} are more than a message holds: give a later --since, such as "
            f"{iso(fit[0].time)}"
        )
    return packed


def moment_before(text: str, now: datetime) -> datetime:
    """A time from ISO 8601, UTC if no zone is given, or from days back.

    >>> moment_before("14d", datetime(2026, 3, 15, tzinfo=UTC)).isoformat()
    '2026-03-01T00:00:00+00:00'

    Raises:
        typer.BadParameter: It is neither, or has not come yet.
    """
    days = _DAYS.fullmatch(text)
    try:
        found = now - timedelta(days=min(float(days[1]), 3650.0)) if days is not None else moment(text)
    except AuditError as error:
        raise typer.BadParameter(f"{error}, or days back such as 14d", param_hint="--since") from None
    if found >= now:
        raise typer.BadParameter(f"{text!r} has not come yet", param_hint="--since")
    return found


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
