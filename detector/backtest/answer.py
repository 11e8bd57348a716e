"""What a backtest tells a person: how many alerts a day, which ones come and go, which incidents are caught."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from detector.audit.answer import Answer, Table, iso
from detector.backtest.compare import Caught, Change, Comparison, seconds_to
from detector.backtest.play import Played, Raised
from detector.severity import SEVERITIES, rank
from detector.wording import number, plural

_DAY_COLUMNS = ("before", "after", "before_a_day", "after_a_day", "change")
_ALERT = ("time", "severity", "title", "principal", "why", "reason", "id", "findings")


def told(comparison: Comparison, old: Played, new: Played, names: tuple[str, str]) -> Answer:
    """The answer.

    Args:
        comparison: What would change.
        old: What the configuration that is held against made of history.
        new: What the other one made of it.
        names: What the two are called.
    """
    facts: dict[str, Any] = {
        "new": names[1],
        "against": names[0],
        "history": _history(new),
        "alerts a day": f"{_rate(old)} → {_rate(new)}",
        "alerts": f"{len(old.alerts)} → {len(new.alerts)}: {len(comparison.gained)} gained, "
        f"{len(comparison.lost)} lost, {len(comparison.changed)} changed",
    }
    if comparison.caught:
        before, after = (sum(getattr(c, of) is not None for c in comparison.caught) for of in ("old", "new"))
        facts["known incidents"] = f"{len(comparison.caught)}, caught {before} → {after}"
    tables = [
        _counts("severities", "Alerts by severity", old, new, lambda alert: [alert.severity]),
        _counts("detectors", "Alerts by what they rest on", old, new, lambda alert: alert.detectors),
        _counts("roles", "Alerts by role", old, new, lambda alert: alert.roles or ("(none)",)),
        _changes("lost", "Lost: alerts that the new one does not raise", comparison.lost),
        _changes("gained", "Gained: alerts that only the new one raises", comparison.gained),
        _changed(comparison),
        _incidents(comparison.caught),
    ]
    return Answer(tables, facts, notes=_notes(new))


def _history(played: Played) -> str:
    if played.first is None or played.last is None:
        return "no events"
    warm = f", after {number(played.events - played.counted)} to warm up" if played.events > played.counted else ""
    return f"{plural(played.counted, 'event')} from {iso(played.first)} to {iso(played.last)}{warm}"


def _rate(played: Played) -> str:
    return f"{len(played.alerts) / len(played.days):.2f}" if played.days else "-"


def _notes(played: Played) -> list[str]:
    unread = f"{plural(played.unread, 'message')} could not be decoded and are left out." if played.unread else ""
    young = "Nothing was played before what counts: the first days are judged by young baselines."
    return [note for note in (unread, young if played.events == played.counted else "") if note]


def _counts(name: str, title: str, old: Played, new: Played, of: Callable[[Raised], Iterable[str]]) -> Table:
    """How many alerts there are by something, and a day; one that has several counts for each."""
    days = len(new.days)
    rows: list[tuple[Any, ...]] = []
    names = {key for played in (old, new) for alert in played.alerts for key in of(alert)}
    for key in sorted(names, key=lambda key: (key not in SEVERITIES, key)):
        before, after = (sum(key in of(alert) for alert in played.alerts) for played in (old, new))
        a_day = [round(count / days, 3) if days else None for count in (before, after)]
        rows.append((key, before, after, *a_day, after - before))
    columns = ("severity" if name == "severities" else name[:-1], *_DAY_COLUMNS)
    return Table(name, title, columns, rows)


def _changes(name: str, title: str, changes: Sequence[Change]) -> Table:
    return _alerts(name, title, [(change.alert, change.why) for change in changes])


def _alerts(name: str, title: str, alerts: Sequence[tuple[Raised, str]]) -> Table:
    rows: list[tuple[Any, ...]] = [
        (
            alert.detected_at,
            alert.severity,
            alert.title,
            ", ".join(alert.principals),
            why,
            alert.reason,
            alert.id,
            sorted(alert.finding_ids),
        )
        for alert, why in sorted(alerts, key=lambda one: (rank(one[0].severity), one[0].detected_at, one[0].id))
    ]
    columns = tuple("other" if column == "why" else column for column in _ALERT)
    table = Table(name, title, columns, rows, shown=("time", "severity", "title", "reason", "other"))
    table.note = "Other: what the other configuration made of it." if rows and any(why for _, why in alerts) else ""
    return table


def _changed(comparison: Comparison) -> Table:
    rows: list[tuple[Any, ...]] = [
        (
            pair.old.detected_at,
            pair.old.severity,
            pair.new.severity,
            pair.seconds,
            pair.new.title,
            pair.old.id,
            pair.new.id,
        )
        for pair in comparison.changed
    ]
    columns = ("time", "before", "after", "later", "title", "id_before", "id_after")
    table = Table("changed", "Changed: alerts of both, told otherwise", columns, rows, shown=columns[:5])
    table.note = "Later: seconds by which the new one tells it later; below 0: earlier." if rows else ""
    return table


def _incidents(caught: Sequence[Caught]) -> Table:
    rows: list[tuple[Any, ...]] = []
    for each in caught:
        before, after = (seconds_to(each.known, each.harm, alert) for alert in (each.old, each.new))
        later = None if before is None or after is None else round(after - before, 3)
        severities = [alert.severity if alert is not None else "missed" for alert in (each.old, each.new)]
        rows.append((each.known.name, each.harm, *severities, before, after, later))
    columns = ("incident", "harm", "before", "after", "delay_before", "delay_after", "later")
    table = Table("incidents", "Known incidents", columns, rows)
    table.note = "Delay: seconds from the first harm to the first alert; below 0: before it." if rows else ""
    return table
