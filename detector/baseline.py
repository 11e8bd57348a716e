"""What the service believes normal is for one principal, out of its saved checkpoints; nothing is written."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, Final

from detector import assembly
from detector.audit.answer import Answer, Table, iso
from detector.checkpoints import CheckpointError
from detector.checkpoints.survey import checkpoints
from detector.config import Config
from detector.detectors.behaviour import Behaviour, Watched
from detector.detectors.flows import Flows
from detector.detectors.new_endpoint import NewEndpoint
from detector.detectors.seen import REPORTED_FOR, Seen
from detector.detectors.transfer_rate import TransferRate
from detector.knowledge import Knowledge
from detector.principals import PrincipalState
from detector.scoring import Scoring
from detector.sparks import sparkline
from detector.wording import duration, number, plural, size
from models.sequence import EVERYWHERE

DAY: Final = 86400.0
HOUR: Final = 3600.0
ENDPOINTS_MOST: Final = 40
ACTIONS_MOST: Final = 20

# Which day of the week (the first day of unix time was a Thursday) stands for working days, and which for weekends.
_WEDNESDAY, _SATURDAY = 6, 2


def restored(config: Config) -> Scoring:
    """The first stage as it was saved last, in all partitions.

    Raises:
        CheckpointError: There are no checkpoints, or they are of another program or other settings.
    """
    scoring = assembly.scoring(config)
    for partition, saved in checkpoints(config.state.url, "score").items():
        snapshot, *changes = ({"principals": part.rows.drain()} | part.head["scoring"] for part in saved.parts)
        try:
            scoring.open(partition, snapshot, changes)
        except (ValueError, KeyError, TypeError) as error:
            raise CheckpointError(
                f"the saved state of {partition} can't be read ({error}): give the configuration, and run the version, "
                "that wrote it"
            ) from error
    scoring.settle()
    return scoring


def answer(scoring: Scoring, principal: str) -> Answer:
    """What is usual of a principal: its rates by hour, its endpoints, its actions, and what all that stands on.

    Raises:
        CheckpointError: It is not known, or can't be read.
    """
    try:
        known = scoring.remembered(principal)
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"what was saved of {principal} can't be read: {error}") from error
    if known is None:
        raise CheckpointError(
            f"nothing is known of {principal!r}: it did nothing yet, was forgotten (scoring.idle_days), or is written "
            "otherwise"
        )
    knowledge, now = scoring.knowledge, scoring.watermark
    flows: Flows = known.states.get(TransferRate.name) or Flows()
    facts = {
        "principal": f"{known.id} ({known.kind}, role {known.role or 'none'})",
        "as of": _at(now),
        "known since": f"{_at(known.first_seen)}, for {duration(known.last_seen - known.first_seen)}",
        "last seen": _at(known.last_seen),
        "events": known.events,
        "active hours": flows.hours,
        "peers": f"{plural(knowledge.priors.hours(known.role), 'active hour')} of its role",
        "under a stop": known.pinned,
    }
    tables = [_rates(known, flows, knowledge, now), _endpoints(known, knowledge, now), _actions(known)]
    return Answer([*tables, _namespaces(known, knowledge)], facts, notes=_notes(known))


def _at(time: float) -> str:
    return iso(datetime.fromtimestamp(time, UTC)) if time > 0 else "nothing yet"


def _rates(known: PrincipalState, flows: Flows, knowledge: Knowledge, now: float) -> Table:
    """A row a channel: what peaks are usual within a minute, at each hour of working days and weekends."""
    week = now // (7 * DAY) * 7 * DAY
    rows: list[tuple[Any, ...]] = []
    for name, channel in sorted(flows.channels.items()):
        prior = knowledge.priors.rate(known.role, name, len(channel.rate.params.half_lives))
        shown = size if name.startswith("bytes") else number
        by_hour = {
            day: [round(channel.rate.usual(week + day * DAY + HOUR * hour, prior)[0].peak, 1) for hour in range(24)]
            for day in (_WEDNESDAY, _SATURDAY)
        }
        usual = channel.rate.usual(now, prior)[0]
        rows.append(
            (
                name,
                f"{channel.hours} of {flows.hours}",
                shown(usual.peak),
                round(usual.factor, 1),
                round(usual.blocks, 1),
                round(usual.own, 2),
                sparkline(by_hour[_WEDNESDAY]),
                sparkline(by_hour[_SATURDAY]),
                by_hour[_WEDNESDAY],
                by_hour[_SATURDAY],
            )
        )
    columns = ("channel", "hours", "peak", "factor", "own_hours", "confidence", "working_day", "weekend")
    table = Table("rates", "Rates", (*columns, "working_day_hours", "weekend_hours"), rows, shown=columns)
    table.note = (
        "Peak: usual most within about a minute of an hour like the last one, give or take the factor. Confidence: the "
        "share of its own history (own hours, faded) beside its peers'. Days: the peak by hour, 00 to 23 UTC."
    )
    return table


def _endpoints(known: PrincipalState, knowledge: Knowledge, now: float) -> Table:
    """Endpoints that count as known, the last used first; then those that were reported or are on trial."""
    seen: Seen = known.states.get(NewEndpoint.name) or Seen()
    rows: list[tuple[Any, ...]] = []
    for namespace, novelty in sorted(seen.names.items()):
        for name, last in novelty.snapshot()[3].items():
            in_role, in_fleet = knowledge.priors.users(known.role, namespace, name)
            rows.append((namespace, name, "known", datetime.fromtimestamp(last, UTC), in_role, in_fleet))
    rows.sort(key=lambda row: (-row[3].timestamp(), row[0], row[1]))
    rows += _doubtful(seen, now)
    columns = ("namespace", "endpoint", "status", "last_use", "in_role", "in_fleet")
    table = Table("endpoints", "Endpoints", columns, rows)
    table.note = "In role, in fleet: principals that use it. Uses are counted by namespace, not for each endpoint."
    return table


def _doubtful(seen: Seen, now: float) -> Iterator[tuple[Any, ...]]:
    """What was reported within a day and what is on trial: neither is learnt as usual."""
    for status, since in (
        ("reported", {key: at for key, (at, _) in seen.reported.items()}),
        ("on trial", {key: trial.since for key, trial in seen.trials.items()}),
    ):
        for key, at in sorted(since.items()):
            if now - at < REPORTED_FOR:
                namespace, _, name = key.partition(" ")
                yield namespace, name, status, datetime.fromtimestamp(at, UTC), 0, 0


def _namespaces(known: PrincipalState, knowledge: Knowledge) -> Table:
    """How often it takes up new endpoints of each kind: what a further one is held against."""
    seen: Seen = known.states.get(NewEndpoint.name) or Seen()
    rows: list[tuple[Any, ...]] = [
        (
            namespace,
            round(novelty.distinct, 1),
            round(novelty.draws, 1),
            float(f"{novelty.probability_new(knowledge.priors.habit(known.role, 'bytes outside')):.3g}"),
        )
        for namespace, novelty in sorted(seen.names.items())
    ]
    table = Table("namespaces", "New endpoints", ("namespace", "distinct", "hourly_uses", "p_new"), rows)
    table.note = "P new: the probability that its next outside endpoint is one that it never used." if rows else ""
    return table


def _actions(known: PrincipalState) -> Table:
    """What it does, the most frequent first."""
    watched: Watched = known.states.get(Behaviour.name) or Watched()
    counts: dict[str, int] = next((row[3] for row in watched.actions.snapshot()[2] if row[0] == EVERYWHERE), {})
    total = sum(counts.values()) or 1
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    rows: list[tuple[Any, ...]] = [(name, count, round(count / total, 4)) for name, count in ranked]
    table = Table("actions", "Actions", ("action", "count", "share"), rows)
    table.note = f"Counts are halved every {watched.actions.params.memory:,} actions, so that old habits fade."
    return table


def _notes(known: PrincipalState) -> list[str]:
    missing = [each.name for each in (TransferRate, NewEndpoint, Behaviour) if each.name not in known.states]
    return [f"Nothing was learnt by {', '.join(missing)}: switched off, or nothing to look at."] if missing else []


def shortened(told: Answer, names: Iterable[str] = ("endpoints", "actions"), most: int = ENDPOINTS_MOST) -> Answer:
    """The answer with long tables cut, for a screen; what was cut is said."""
    for table in told.tables:
        if table.name in names and len(table.rows) > most:
            table.note = f"The first {most} of {number(len(table.rows))}; --format json has all. {table.note}"
            table.rows = table.rows[:most]
    return told
