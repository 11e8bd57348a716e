"""Counting tests: what was held against a limit, by principal, channel and hour."""

from collections import Counter
from typing import Final

from detector.budget import PastScores
from detector.detectors.base import Context
from detector.principals import HourlyTest

IMPROBABLE: Final = 2.0
"""The score (-log10 of the p-value) from which a test is told as improbable: one in a hundred should be."""

Ended = Counter[tuple[str, bool]]
"""Tests whose hour is over, by channel and whether they were improbable."""


def count_tests(context: Context, past: PastScores, ended: Ended) -> None:
    """Note the scores of an event; the highest of an hour is one test, counted when the hour is over.

    Of tests beyond the limit one counts for each principal and day: who is told all day is one cause, and
    must not move the threshold of its peers. Nor must one of which an operator said what is much.
    """
    principal, hour = context.principal, context.now // 3600.0
    for channel, score, beyond in context.tests:
        if channel in context.limits:
            continue
        test = principal.tests.get(channel)
        if test is not None and score <= test.score and hour <= test.hour:
            continue
        if test is None:
            principal.tests[channel] = HourlyTest(hour, score, beyond)
        elif hour > test.hour:
            day = test.hour // 24.0
            if not (test.beyond and test.told_on == day):
                past.learn(principal.role, channel, test.score)
                ended[channel, test.score >= IMPROBABLE] += 1
            principal.tests[channel] = HourlyTest(hour, score, beyond, day if test.beyond else test.told_on)
        else:
            principal.tests[channel] = test._replace(score=score, beyond=beyond or test.beyond)
