"""What somebody does as a matter of course: acts done on several days, by the principal or by its peers."""

import re
from collections.abc import Iterable
from typing import Final, Literal

import msgspec

from detector.detectors.base import Context
from detector.detectors.rows import Row, count_on, current, is_milestone
from detector.events import Target
from detector.findings import Finding
from detector.severity import at_least
from detector.wording import plural

DAY: Final = 86400.0
# A habit that rests for longer has to be made anew: keys are changed every quarter of a year.
LASTS_DAYS: Final = 120.0
# What peers do is published by spans of so many days, so that it lapses as well: after one to two of them.
PERIOD_DAYS: Final = LASTS_DAYS / 2.0
# How much earlier in the day than the first time an act may come and still be of a later day.
SLACK_DAYS: Final = 0.25
KEPT_MOST: Final = 64
KIN_MOST: Final = 128
_KEY_MOST: Final = 160
# So many like acts of a day are told one by one, then every power of ten.
TOLD_MOST: Final = 10
# So many peers with a habit make it their role's; so many who did something at all make it common.
PEERS_LEAST: Final = 2
COMMON_LEAST: Final = 3
# Who did so many different things is one who sets up and clears away, such as a pipeline.
BROAD_LEAST: Final = 6

HABITS: Final = "habitual acts"
"""The name under which peers' habits are counted."""
DONE: Final = "acts done"
"""The name under which those are counted who did something at all."""

Standing = Literal["news", "common", "broad", "peers", "act", "habit"]
"""How an act stands to what was done before; the first that holds, from the last on.

`habit`: the principal does this by habit, to such targets. `act`: it does, to others. `peers`: several of its role
do by habit. `broad`: it has done many different things for long. `common`: several of its kind and role did it
lately. `news`: none of these.
"""


class Days(msgspec.Struct, array_like=True):
    """On how many days an act was done, the last of them, when it was first done, and the last span published.

    All in days from the epoch but the span; `first` has the time of day.
    """

    count: int
    last: float
    first: float = 0.0
    published: int = -1

    def rests(self, now: float) -> bool:
        """Whether it was not done for so long that it is no habit any more."""
        return now // DAY - self.last > LASTS_DAYS

    def earlier(self, now: float) -> int:
        """On how many earlier days it was done; 0 if it rested for too long."""
        return 0 if self.rests(now) else self.count - (self.last >= now // DAY)

    def settled(self, now: float, least: int) -> bool:
        """Whether it was done on `least` days before, and first so long ago: two midnights are no three days."""
        return self.earlier(now) >= least and now / DAY - self.first >= least - SLACK_DAYS


def is_settled(days: dict[str, Days], key: str, now: float, least: int) -> bool:
    """Whether what has this key was done on `least` days before."""
    found = days.get(key[:_KEY_MOST])
    return found is not None and found.settled(now, least)


def count_day(days: dict[str, Days], key: str, context: Context, least: int, most: int, namespace: str = "") -> bool:
    """Count a day on which something was done, and publish to the peers in each span that it is a habit.

    Args:
        days: The days by key; past `most` keys, the one unused for longest is forgotten.
        key: What was done.
        context: Of the event.
        least: Days that make a habit.
        most: Keys kept.
        namespace: The name it is published under; "" not at all.

    Returns:
        Whether it was not done before in this span.
    """
    key, day, span = key[:_KEY_MOST], context.now // DAY, span_of(context.now)
    found = days.pop(key, None)
    fresh = found is None or found.last // PERIOD_DAYS < span
    if found is None or found.rests(context.now):
        found = Days(0, day - 1.0, context.now / DAY)
    if namespace and found.published < span and found.settled(context.now, least):
        context.group.add_use(namespace, f"{key} {span}")
        found.published = span
    if day > found.last:
        found.count, found.last = found.count + 1, day
    days[key] = found
    if len(days) > most:
        del days[next(iter(days))]
    return fresh


def span_of(now: float) -> int:
    """The number of the span that a time lies in."""
    return int(now // DAY // PERIOD_DAYS)


def users(context: Context, namespace: str, key: str) -> tuple[int, int]:
    """How many of the role, and of the whole fleet, were published under a key in this span or the last."""
    name, role, span = key[:_KEY_MOST], context.principal.role, span_of(context.now)
    both = [context.priors.users(role, namespace, f"{name} {number}") for number in (span - 1, span)]
    return max(of_role for of_role, _ in both), max(of_fleet for _, of_fleet in both)


class Familiar(msgspec.Struct):
    """A principal's acts of consequence: the days they were done on, how often today, and to what kin of targets."""

    days: dict[str, Days] = {}
    today: dict[str, Row] = {}
    kin: dict[str, Days] = {}

    def known(self, key: str, now: float) -> int:
        """On how many earlier days the act was done; 0 if it rested for too long."""
        days = self.days.get(key[:_KEY_MOST])
        return 0 if days is None else days.earlier(now)

    def standing(self, key: str, context: Context, least: int, kin: str = "") -> Standing:
        """How an act stands to what was done before.

        Args:
            key: The act.
            context: Of the event.
            least: Days that make a habit.
            kin: The kin of its target, by `kin_of`; "" if targets make no difference.
        """
        if is_settled(self.days, key, context.now, least):
            known = not kin or is_settled(self.kin, f"{key} {kin}", context.now, least)
            return "habit" if known else "act"
        # Those without a role are no peers of each other: what is common is all that they share.
        if context.principal.role and users(context, HABITS, key)[0] >= PEERS_LEAST:
            return "peers"
        long_ago = context.now / DAY - least
        if sum(days.first <= long_ago and not days.rests(context.now) for days in self.days.values()) >= BROAD_LEAST:
            return "broad"
        return "common" if users(context, DONE, _of_kind(key, context))[0] >= COMMON_LEAST else "news"

    def is_news(self, key: str, context: Context) -> bool:
        """Whether one more such act today is worth telling. What was approved uses up nothing of it."""
        count = current(self.today.get(_today(key, context)), context.now, DAY).count + 1
        return count <= TOLD_MOST or is_milestone(count)

    def is_first(self, key: str, context: Context) -> bool:
        """Whether this is the first such act today."""
        return current(self.today.get(_today(key, context)), context.now, DAY).count == 0

    def learn(self, key: str, context: Context, least: int, kin: str = "") -> None:
        """Count the act: once a day as a habit, each time for today.

        It was told on the days before it became one, so a habit can't be slipped in unseen. An approved act
        was told to nobody, so it makes none.
        """
        count_on(self.today, _today(key, context), context.now, DAY, KEPT_MOST)
        if context.answer == "approved":
            return
        if count_day(self.days, key, context, least, KEPT_MOST, HABITS):
            context.group.add_use(DONE, f"{_of_kind(key, context)} {span_of(context.now)}")
        if kin:
            count_day(self.kin, f"{key} {kin}", context, least, KIN_MOST)


def _of_kind(key: str, context: Context) -> str:
    """What agents do says nothing of people, and the other way round."""
    return f"{context.principal.kind} {key}"[:_KEY_MOST]


def _today(key: str, context: Context) -> str:
    return f"{key[:_KEY_MOST]} approved" if context.answer == "approved" else key[:_KEY_MOST]


_PLACE: Final = re.compile(r"[/:](?=[^/:]*$)")
_NUMBER: Final = re.compile(r"(?=[0-9a-f]*\d)[0-9a-f]{8,}|\d+")


def kin_of(target: Target | None) -> str:
    """A target's name without the numbers in its last part: what comes and goes by a plan has one name.

    >>> kin_of(Target("arn:aws:rds:us-east-1:111122223333:snapshot:orders-2026-03-02"))
    'arn:aws:rds:us-east-1:111122223333:snapshot:orders-#-#-#'
    >>> kin_of(Target("s3://scratch-7")), kin_of(Target("s3://prod-backups")), kin_of(None)
    ('s3://scratch-#', 's3://prod-backups', 'unnamed')
    """
    if target is None:
        return "unnamed"
    lower = target.uri.lower()
    place = _PLACE.search(lower)
    end = place.end() if place else 0
    return lower[:end] + _NUMBER.sub("#", lower[end:])


def days_before(count: int) -> str:
    """On how many days something was done before, in words.

    >>> days_before(0), days_before(2)
    ('on no day before', 'on 2 days before')
    """
    return f"on {plural(count, 'day')} before" if count else "on no day before"


def others_flag(own: str, found: Iterable[Finding]) -> bool:
    """Whether a detector other than `own` flagged the event: then it must not become a habit."""
    return any(finding.detector != own and at_least(finding.severity, "SEV3") for finding in found)
