"""When rows expire: what each table's TTL is now, and whether a row's time is past a retention."""

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

from detector.store.client import Store

OURS: Final = re.compile(
    r"\(toDate32\(toStartOfMonth\(\w+\)\) \+ toIntervalMonth\(1\)\) \+ toIntervalDay\((?P<days>\d+)\)"
    r"(?: WHERE NOT held)?"
)
"""The TTL that the detector gives a table, as the engine tells it: so many days after a row's month."""

_ENGINES: Final = """
SELECT name, engine_full FROM system.tables
WHERE database = {database:String} AND name IN {names:Array(String)}
"""
_TTL: Final = re.compile(r" TTL (?P<ttl>.*?)(?: SETTINGS .*)?$")
_SLACK: Final = timedelta(hours=1)
"""Clocks differ, and the engine removes expired rows by its own."""


def ttls(store: Store, tables: Iterable[str]) -> dict[str, str]:
    """The TTL of each table, as the engine tells it; "" for none. Tables that are not there are left out."""
    found = {}
    for table, engine in store.client.query(
        _ENGINES, parameters={"database": store.database, "names": list(tables)}
    ).result_rows:
        match = _TTL.search(str(engine))
        found[str(table)] = match["ttl"] if match else ""
    return found


class Horizons:
    """Tells which rows may be gone: those of months that have been over for longer than their table keeps them.

    Args:
        retention: days by table; for ever if a table isn't named.
        now: microseconds since 1970.
    """

    def __init__(self, retention: Mapping[str, int | None], now: int) -> None:
        self._retention = retention
        self._now = _utc(now) + _SLACK

    def has_passed(self, table: str, time: int) -> bool:
        """Whether a row of that time (microseconds since 1970) has expired."""
        days = self._retention.get(table)
        if days is None:
            return False
        of = _utc(time)
        over = datetime(of.year + of.month // 12, of.month % 12 + 1, 1, tzinfo=UTC)
        return over + timedelta(days=days) <= self._now


def _utc(micros: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros)
