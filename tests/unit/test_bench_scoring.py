"""The benchmark of scoring measures what it says: the mix, every detector, events that were scored."""

from collections import Counter

import msgspec
import pytest

from detector.detectors import REGISTRY
from detector.events import Actor, Event, Target
from tests.bench.scoring import Cost, ScoringCosts, measure, new_scoring, run, table
from tests.bench.stream import MIX, copied, days_of, fresh
from tests.support.events import event, human


def test_a_day_has_the_shares_of_the_mix() -> None:
    day = days_of(100, 0, 1)
    kinds = Counter(one.kind for one in day)
    shares = {kinds_of: 100.0 * sum(kinds[kind] for kind in kinds_of) / len(day) for kinds_of in MIX}
    assert shares == pytest.approx(dict(MIX), abs=0.5)
    assert len({one.id for one in day}) == len(day)
    assert day == sorted(day, key=lambda one: one.time)


def test_a_copy_is_another_company() -> None:
    act, order = event(1, trace_id="t-1"), event(2, kind="control", action="stop", target=Target("agent-1"))
    assert copied(act, 0) is act
    assert (copied(act, 3).principal, copied(act, 3).actor.session) == ("agent-1-3", "s-1-3")
    assert copied(order, 3).principal == "agent-1-3"


def test_what_is_measured_is_as_decoded() -> None:
    act = event(1, actor=Actor(id="agent-1", role="assistant"))
    (envelope,) = fresh([act])
    assert envelope.event == act
    assert msgspec.json.decode(envelope.raw, type=Event) == act


def test_what_is_not_scored_is_not_measured() -> None:
    scoring, _ = new_scoring()
    envelopes = fresh([event(1, actor=human("ann"))] * 2)
    with pytest.raises(RuntimeError, match="duplicate"):
        run(scoring, envelopes)


def test_every_detector_is_told() -> None:
    costs = measure(repetitions=1, principals=60, copies=2, history=1)
    assert {cost.name for cost in costs.by_detector} == set(REGISTRY)
    assert costs.events > 1000
    assert costs.days.microseconds > sum(cost.microseconds for cost in costs.by_detector) / 3 > 0.0
    few, many = (int(cost.name.split()[0]) for cost in costs.by_principals)
    assert (few > 50, many) == (True, 2 * few)


def test_the_table_has_a_line_for_each() -> None:
    one = Cost("all", 12.34, 11.0, 13.0)
    told = table(ScoringCosts(1000, one, [one], [one, one], 1.1, 20.0)).splitlines()
    assert told[2] == "| all | 12.3 | 11.0 to 13.0 |"
    assert told[-1] == "1,000 events; the longest took 20.0 ms; growth 1.10 times."
