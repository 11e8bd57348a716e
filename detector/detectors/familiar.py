"""What somebody does as a matter of course: acts done on several days, by the principal or by its peers."""

from collections.abc import Iterable
from typing import Final

import msgspec

from detector.detectors.base import Context
from detector.detectors.rows import Row, count_on, current, is_milestone
from detector.findings import Finding
from detector.severity import at_least

DAY: Final = 86400.0
# A habit that rests for longer has to be made anew.
LASTS_DAYS: Final = 45.0
KEPT_MOST: Final = 64
_KEY_MOST: Final = 160
# So many like acts of a day are told one by one, then every power of ten.
TOLD_MOST: Final = 10

HABITS: Final = "habitual acts"
"""The name under which peers' habits are counted."""


class Days(msgspec.Struct, array_like=True):
    """On how many days an act was done, and the last of them (days from the epoch)."""

    count: int
    last: float


class Familiar(msgspec.Struct):
    """A principal's acts of consequence: the days they were done on, and how often today."""

    days: dict[str, Days] = {}
    today: dict[str, Row] = {}

    def known(self, key: str, now: float) -> int:
        """On how many earlier days the act was done; 0 if it rested for too long."""
        days = self.days.get(key[:_KEY_MOST])
        day = now // DAY
        if days is None or day - days.last > LASTS_DAYS:
            return 0
        return days.count - (days.last >= day)

    def is_habit(self, key: str, context: Context, least: int) -> bool:
        """Whether the principal did this on `least` days before, or somebody of its role does so by habit.

        Those without a role are no peers of each other.
        """
        role = context.principal.role
        if self.known(key, context.now) >= least:
            return True
        return bool(role) and context.priors.users(role, HABITS, key[:_KEY_MOST])[0] > 0

    def is_news(self, key: str, now: float) -> bool:
        """Whether one more such act today is worth telling."""
        count = current(self.today.get(key[:_KEY_MOST]), now, DAY).count + 1
        return count <= TOLD_MOST or is_milestone(count)

    def learn(self, key: str, context: Context, least: int) -> None:
        """Count the act: once a day as a habit, each time for today.

        It was told on the days before it became one, so a habit can't be slipped in unseen.
        """
        key, day = key[:_KEY_MOST], context.now // DAY
        count_on(self.today, key, context.now, DAY, KEPT_MOST)
        days = self.days.pop(key, None)
        if days is None or day - days.last > LASTS_DAYS:
            days = Days(0, day - 1.0)
        if day > days.last:
            days = Days(days.count + 1, day)
            if days.count == least:
                context.group.add_use(HABITS, key)
        self.days[key] = days
        if len(self.days) > KEPT_MOST:
            del self.days[next(iter(self.days))]


def others_flag(own: str, found: Iterable[Finding]) -> bool:
    """Whether a detector other than `own` flagged the event: then it must not become a habit."""
    return any(finding.detector != own and at_least(finding.severity, "SEV3") for finding in found)
