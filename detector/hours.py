"""Hours of the day and days of the week, by the clock on the wall of a time zone."""

import re
from datetime import datetime, tzinfo
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_MINUTES: Final = 1440

_BETWEEN: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-(?:([01]\d|2[0-3]):([0-5]\d)|24:00)")


class Hours(NamedTuple):
    """From one minute of the day up to another, on certain days; past midnight if the first is the later one.

    `days` are those on which the hours begin (0 is Monday); empty for every day. An hour that the clock repeats in
    autumn counts twice, one that it leaves out in spring never comes.

    >>> from datetime import UTC
    >>> night = Hours(*minutes_between("22:00-04:00"), days=frozenset({4}), zone=UTC)
    >>> friday_23, saturday_3 = (datetime(2026, 3, day, hour, tzinfo=UTC) for day, hour in ((6, 23), (7, 3)))
    >>> night.hold(friday_23.timestamp()), night.hold(saturday_3.timestamp())
    (True, True)
    """

    first: int
    last: int
    days: frozenset[int]
    zone: tzinfo

    def hold(self, now: float) -> bool:
        """Whether a moment (unix seconds) lies in the hours; none does that the calendar can't name."""
        try:
            local = datetime.fromtimestamp(now, self.zone)
        except (OverflowError, ValueError, OSError):
            return False
        minute, day = local.hour * 60 + local.minute, local.weekday()
        if self.first < self.last:
            within = self.first <= minute < self.last
        else:
            within = minute >= self.first or minute < self.last
            day = day if minute >= self.first else (day - 1) % 7
        return within and (not self.days or day in self.days)


def minutes_between(text: str) -> tuple[int, int]:
    """The minutes of the day in a text like `02:00-04:00`; midnight as an end is 24:00 or 00:00.

    >>> minutes_between("22:30-06:00"), minutes_between("18:00-24:00")
    ((1350, 360), (1080, 1440))

    Raises:
        ValueError: It is no such text, or names no time at all.
    """
    match = _BETWEEN.fullmatch(text)
    if match is None:
        raise ValueError(f"hours are written as `02:00-04:00`, found {text!r}")
    first = int(match[1]) * 60 + int(match[2])
    last = DAY_MINUTES if match[3] is None else int(match[3]) * 60 + int(match[4])
    if first == last:
        raise ValueError(f"{text!r} begins when it ends: leave it out for the whole day")
    return first, last


def time_zone(name: str) -> tzinfo:
    """The time zone of a name in the IANA database.

    Raises:
        ValueError: There is none, as far as this machine knows.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            f"no time zone is called {name!r}: write it as `Europe/Berlin` or `UTC` (the system's tzdata names them)"
        ) from None
