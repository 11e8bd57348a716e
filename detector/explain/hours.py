"""What a principal did in the hours before a moment, as small bars."""

from datetime import datetime, timedelta
from statistics import median
from typing import Any, Final

from detector.audit.answer import Table, records
from detector.sparks import sparkline
from detector.store.client import Store
from detector.wording import number, size

HOURS: Final = 48

_HOURS: Final = """
SELECT intDiv(toUnixTimestamp(minute), 3600) AS hour, sum(m.events) AS events,
    sum(bytes_internal + bytes_approved) AS inside, sum(bytes_external + bytes_public + bytes_unknown) AS outside,
    sum(m.bytes_in) AS bytes_in, sum(m.records) AS records, sum(m.deletions) AS deletions, sum(m.denied) AS denied
FROM principal_minutes AS m
WHERE principal = {principal:String}
    AND minute > {since:DateTime64(6, 'UTC')} AND minute <= {until:DateTime64(6, 'UTC')}
GROUP BY hour
ORDER BY hour
"""
_METRICS: Final = (
    ("events", "acts", number),
    ("outside", "bytes sent outside", size),
    ("inside", "bytes sent inside", size),
    ("bytes_in", "bytes read", size),
    ("records", "records", number),
    ("deletions", "deletions", number),
    ("denied", "denied", number),
)


def before(store: Store, principal: str, until: datetime) -> Table:
    """A row for each thing that is counted: a bar an hour up to that of `until`, its last and its median hour."""
    last = int(until.timestamp() // 3600)
    bound = {"principal": principal, "since": until - timedelta(hours=HOURS), "until": until}
    found = {row["hour"]: row for row in records(store.client.query(_HOURS, parameters=bound))}
    rows: list[tuple[Any, ...]] = []
    for name, words, shown in _METRICS:
        values = [float(found[hour][name]) if hour in found else 0.0 for hour in range(last - HOURS + 1, last + 1)]
        earlier = [value for value in values[:-1] if value > 0]
        if any(values):
            usual = shown(median(earlier)) if earlier else "-"
            rows.append((words, sparkline(values), shown(values[-1]), usual, len(earlier), values))
    columns = ("of", "bars", "this_hour", "median_hour", "hours_with_any")
    table = Table("hours", f"{principal} in the last {HOURS} hours", (*columns, "values"), rows, shown=columns)
    table.note = "A bar an hour, the last one up to the event; the median is of earlier hours with any."
    return table
