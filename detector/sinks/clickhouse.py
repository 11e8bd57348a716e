"""The event store as a sink: every event, finding, alert, exposure and reject, written once in effect.

Two things make a repeated write harmless. The tables keep one row for a key, and the views show no other; and
an insert carries a token made of its rows, by which the engine drops the whole insert when it comes again,
whether from a retry of ours or from the client's own after a lost connection.

With links, a third: what is stored is not written again at all, so that it stays as its link covers it.
"""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import attrgetter
from typing import Final, Generic, TypeVar

import msgspec

from detector.alerts import Alert
from detector.events import Envelope, Rejected
from detector.exposure_versions import ExposureVersion
from detector.findings import Finding
from detector.integrity.tables import COVERED
from detector.records import ConfigVersion, OperatorAction
from detector.sinks.base import Batch, Item, Noun, Refused, Sink, SinkRefused
from detector.sinks.clickhouse_columns import (
    EARLIEST,
    LATEST,
    Columns,
    action_columns,
    alert_columns,
    arrivals,
    config_columns,
    event_columns,
    exposure_columns,
    finding_columns,
    reject_columns,
)
from detector.sinks.clickhouse_insert import BAD_VALUE, Client, Inserter, bad_value
from detector.sinks.clickhouse_links import LinkWriter

# What the engine takes in one piece, all or nothing: it cuts larger inserts.
_MOST_ROWS: Final = 100_000
_MOST_BYTES: Final = 64 << 20

ItemT = TypeVar("ItemT", bound=Item)


@dataclass(frozen=True)
class _Table(Generic[ItemT]):
    """A table: how items become its columns, what its months go by, and what tells one write from another."""

    name: str
    columns: Callable[[Sequence[ItemT]], Columns]
    time: Callable[[ItemT], datetime]
    identity: tuple[str, ...] = ()
    """The columns that the token is made of; all of them when empty. Few and short for events: they are many."""
    arranged: Callable[[Sequence[ItemT]], list[ItemT]] | None = None
    """Items in the order of the rows of a link; None for a table that links don't cover."""

    def token(self, columns: Columns) -> str:
        """The same for the same rows in the same order, whenever and wherever they are written."""
        told = [columns[name] for name in self.identity or columns]
        return hashlib.blake2b(msgspec.msgpack.encode([self.name, told]), digest_size=16).hexdigest()


_PLACE: Final = attrgetter("topic", "partition", "offset", "index")


def _by_place(rows: Sequence[tuple[Envelope, str]]) -> list[tuple[Envelope, str]]:
    places = [_PLACE(envelope) for envelope, _ in rows]
    if len(set(places)) < len(rows):  # the rest of the table's key costs some time, and is seldom needed
        return sorted(rows, key=lambda row: (*_PLACE(row[0]), row[0].event.principal, row[0].event.time))
    return [rows[number] for number in sorted(range(len(rows)), key=places.__getitem__)]


_EVENTS: Final = _Table[tuple[Envelope, str]](
    "events_data",
    event_columns,
    lambda row: row[0].event.time,
    identity=("topic", "partition", "offset", "index", "id", "verdict"),
    arranged=_by_place,
)
_FINDINGS: Final = _Table[Finding](
    "findings_data",
    finding_columns,
    lambda finding: finding.time,
    arranged=lambda findings: sorted(findings, key=lambda finding: (finding.time, finding.id)),
)
_ALERTS: Final = _Table[Alert](
    "alerts_data",
    alert_columns,
    lambda alert: alert.opened_at,
    arranged=lambda alerts: sorted(alerts, key=lambda alert: (alert.id, alert.version)),
)
_EXPOSURES: Final = _Table[ExposureVersion](
    "exposures_data",
    exposure_columns,
    lambda version: version.opened_at,
    arranged=lambda versions: sorted(versions, key=lambda version: (version.id, version.version)),
)
_CONFIGS: Final = _Table[ConfigVersion](
    "config_versions_data",
    config_columns,
    lambda version: version.first_seen,
    arranged=lambda versions: sorted(versions, key=lambda version: (version.hash, version.first_seen)),
)
_ACTIONS: Final = _Table[OperatorAction](
    "operator_actions_data",
    action_columns,
    lambda action: action.time,
    arranged=lambda actions: sorted(actions, key=lambda action: (action.time, action.id)),
)
_REJECTS: Final = _Table[Rejected](
    "rejects_data",
    reject_columns,
    lambda rejected: datetime.fromtimestamp(arrivals([rejected.received_at])[0] / 1e6, UTC),
)


class ClickHouseSink(Sink):
    """Writes to the event store, one insert for each table and month, so that an insert is all or nothing.

    Args:
        client: a clickhouse-connect client; it stays the caller's to close, after this sink.
        database: where `detector store migrate` made the tables.
        name: the sink's name, to tell several stores apart.
        links: covers what is written by the links of a chain; none: rows are not covered.
    """

    accepts: frozenset[Noun] = frozenset(
        {"events", "findings", "alerts", "exposures", "rejects", "actions", "versions"}
    )

    batch = 8_000
    """Each insert leaves a part that is merged again and again: four times as many rows cost half as much each."""

    linger = 1.0
    """Seconds: one insert a second is what the engine is made for. Neither alerts nor checkpoints stop for it."""

    def __init__(
        self,
        client: Client,
        *,
        database: str = "detector",
        name: str = "clickhouse",
        links: LinkWriter | None = None,
    ) -> None:
        self.name = name
        self._inserter = Inserter(client, database)
        self._links = links
        self._closed = False

    def write(self, batch: Batch) -> list[Refused]:
        """Write the batch. See `Sink.write`; items that are to blame are found here, and returned."""
        return [
            *self.write_events(batch.events),
            *self.write_findings(batch.findings),
            *self.write_alerts(batch.alerts),
            *self.write_exposures(batch.exposures),
            *self.write_rejects(batch.rejects),
            *self.write_config_versions(batch.versions),
            *self.write_operator_actions(batch.actions),
        ]

    def write_events(self, rows: Sequence[tuple[Envelope, str]]) -> list[Refused]:
        """Write envelopes with their verdicts; returns and raises as `write`."""
        return self._write(_EVENTS, rows)

    def write_findings(self, findings: Sequence[Finding]) -> list[Refused]:
        """Write findings; returns and raises as `write`."""
        return self._write(_FINDINGS, findings)

    def write_alerts(self, alerts: Sequence[Alert]) -> list[Refused]:
        """Write versions of alerts; returns and raises as `write`."""
        return self._write(_ALERTS, alerts)

    def write_exposures(self, versions: Sequence[ExposureVersion]) -> list[Refused]:
        """Write versions of exposure windows; returns and raises as `write`."""
        return self._write(_EXPOSURES, versions)

    def write_rejects(self, rejects: Sequence[Rejected]) -> list[Refused]:
        """Write rejects; returns and raises as `write`."""
        return self._write(_REJECTS, rejects)

    def write_config_versions(self, versions: Sequence[ConfigVersion]) -> list[Refused]:
        """Write configurations that came into force; returns and raises as `write`."""
        return self._write(_CONFIGS, versions)

    def write_operator_actions(self, actions: Sequence[OperatorAction]) -> list[Refused]:
        """Write what operators did; returns and raises as `write`."""
        return self._write(_ACTIONS, actions)

    def close(self) -> None:
        """Refuse further writes. The client stays open."""
        self._closed = True

    def _write(self, table: _Table[ItemT], items: Sequence[ItemT]) -> list[Refused]:
        """Insert month by month; what is refused is halved until the rows to blame stand alone."""
        if self._closed:
            raise ValueError(f"the sink {self.name} is closed")
        refused: list[Refused] = []
        todo = [items] if items else []
        while todo:
            part = todo.pop()
            try:
                months = _by_month(part, table.time)
                if len(months) > 1:
                    todo.extend(reversed(months))
                elif _too_much(part):
                    todo.extend(reversed(_halves(part)))
                else:
                    self._insert(table, part)
            except SinkRefused as why:
                if len(part) == 1:
                    refused.append(Refused(part[0], str(why)))
                else:
                    todo.extend(reversed(_halves(part)))
        return refused

    def _insert(self, table: _Table[ItemT], items: Sequence[ItemT]) -> None:
        links, arranged = self._links, table.arranged
        try:
            if links is None or arranged is None:
                columns = table.columns(items)
                token = table.token(columns)
            else:
                columns = table.columns(arranged(items))
        except BAD_VALUE as error:
            raise bad_value(error) from error
        if links is None or arranged is None:
            self._inserter.insert(table.name, columns, token)
        else:
            links.insert(COVERED[table.name], columns)


def _halves(items: Sequence[ItemT]) -> list[Sequence[ItemT]]:
    middle = len(items) // 2
    return [items[:middle], items[middle:]]


def _too_much(items: Sequence[Item]) -> bool:
    """Whether the engine might store a part of it, and fail then."""
    if len(items) == 1:
        return False
    return len(items) > _MOST_ROWS or sum(len(i[0].raw) for i in items if isinstance(i, tuple)) > _MOST_BYTES


def _by_month(items: Sequence[ItemT], time: Callable[[ItemT], datetime]) -> list[Sequence[ItemT]]:
    """Parts that lie in one month (UTC) each; nearly always one, which costs a glance at each time."""
    try:
        times = [time(item) for item in items]
        first, last = min(times), max(times)
    except BAD_VALUE as error:
        raise bad_value(error) from error
    if first < EARLIEST or last > LATEST:
        raise SinkRefused(f"its time is not within what the store holds, {EARLIEST:%Y} to {LATEST:%Y}")
    if _month(first) == _month(last):
        return [items]
    months: defaultdict[tuple[int, int], list[ItemT]] = defaultdict(list)
    for item, when in zip(items, times, strict=True):
        months[_month(when)].append(item)
    return list(months.values())


def _month(time: datetime) -> tuple[int, int]:
    utc = time.astimezone(UTC)
    return utc.year, utc.month
