"""Overrides: whom they hold for, when, what they change, and that they change nothing else."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from detector import assembly
from detector.config import Config
from detector.detectors import REGISTRY, build
from detector.detectors.base import Detector
from detector.events import Event
from detector.findings import Finding
from detector.hours import Hours, minutes_between, time_zone
from detector.in_force import IN_FORCE_MOST, PRINCIPALS_MOST, SCOPES_MOST, SLOTS_MOST, InForce, Overrides
from detector.overrides import Override
from detector.scoring import Scoring
from tests.support.detections import PARTITION, found_by

TESTS = 8  # where the tests in progress stand in a principal's row
NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)


def override(**fields: Any) -> Override:
    return Override.model_validate({"name": "o", "reason": "a drill", "roles": ["assistant"], **fields})


def stage(*orders: Override, name: str = "transfer_rate") -> Scoring:
    made = Scoring([REGISTRY[name].for_examples()], overrides=orders)
    made.open(PARTITION)
    return made


def burst(name: str = "transfer_rate") -> Sequence[Event]:
    """A history whose last event is found by the detector, by the score that `loud` says."""
    return REGISTRY[name].examples()[0].events


def last(scoring: Scoring, events: Sequence[Event]) -> tuple[Finding, ...]:
    return found_by(scoring, events)[-1]


LOUD = last(stage(), burst())[0].score


# --- hours


def at(text: str, zone: str = "UTC") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=time_zone(zone)).timestamp()


@pytest.mark.parametrize(
    ("when", "holds"),
    [
        ("2026-03-06T21:59:59", False),
        ("2026-03-06T22:00:00", True),  # a Friday
        ("2026-03-07T03:59:59", True),  # begun on the Friday
        ("2026-03-07T04:00:00", False),
        ("2026-03-07T22:00:00", False),  # a Saturday
        ("2026-03-06T03:00:00", False),  # begun on the Thursday
    ],
)
def test_hours_over_midnight_belong_to_the_day_on_which_they_begin(when: str, holds: bool) -> None:
    first, until = minutes_between("22:00-04:00")
    assert Hours(first, until, frozenset({4}), UTC).hold(at(when)) is holds


def test_hours_are_those_of_the_zone_in_summer_and_in_winter() -> None:
    night = Hours(*minutes_between("02:00-04:00"), frozenset(), time_zone("Europe/Berlin"))
    assert [night.hold(at(f"2026-01-15T0{hour}:30:00")) for hour in range(5)] == [False, True, True, False, False]
    assert [night.hold(at(f"2026-07-15T0{hour}:30:00")) for hour in range(5)] == [True, True, False, False, False]


def test_an_hour_that_the_clock_repeats_counts_twice() -> None:
    hour = Hours(*minutes_between("02:00-03:00"), frozenset(), time_zone("Europe/Berlin"))
    autumn = at("2026-10-25T00:00:00")
    assert sum(hour.hold(autumn + 60.0 * minute) for minute in range(240)) == 120
    spring = at("2026-03-29T00:00:00")
    assert sum(hour.hold(spring + 60.0 * minute) for minute in range(240)) == 0


def test_what_the_calendar_cannot_name_is_in_no_hours() -> None:
    assert Hours(0, 1440, frozenset(), time_zone("Asia/Tokyo")).hold(253402300799.0) is False
    assert Hours(0, 1440, frozenset(), UTC).hold(1e300) is False


# --- who and when


def names(orders: Sequence[Override], principal: str, role: str, now: datetime) -> list[str]:
    """Which hold, told by what they do to `transfer_rate`."""
    held = Overrides(orders, build()).at(principal, role, now.timestamp())
    return [] if held is None else held.names["transfer_rate"]


def test_each_list_that_is_given_must_fit() -> None:
    orders = [
        override(name="role", roles=["backup"], threshold=5),
        override(name="who", roles=[], principals=["svc-*", "bot-7"], threshold=5),
        override(name="both", roles=["backup"], principals=["svc-*"], threshold=5),
        override(name="other detector", roles=[], detectors=["mass_*"], threshold=5),
    ]
    assert names(orders, "svc-1", "backup", NOON) == ["role", "who", "both"]
    assert names(orders, "bot-7", "assistant", NOON) == ["who"]
    assert names(orders, "bot-77", "backup", NOON) == ["role"]
    held = Overrides(orders, build()).at("x", "y", NOON.timestamp())
    assert held is not None
    assert held.names == {"mass_deletion": ["other detector"]}
    assert Overrides(orders[:3], build()).at("x", "y", NOON.timestamp()) is None


def test_it_ends_to_the_second_and_what_was_before_is_remembered_rightly() -> None:
    ends = NOON + timedelta(seconds=30)
    orders = Overrides([override(threshold=5, expires=ends.isoformat())], build())

    def holds(seconds: float) -> bool:
        return orders.at("a", "assistant", NOON.timestamp() + seconds) is not None

    assert [holds(second) for second in (-1, 0, 29.9, 30, 31, 29.9, 90, 0)] == [
        *(True, True, True, False, False, True, False, True)
    ]


def test_hours_come_and_go_for_each_principal_alike() -> None:
    orders = Overrides([override(threshold=5, between="12:00-12:02")], build())
    found = [
        orders.at(name, "assistant", NOON.timestamp() + second) is not None
        for second in (-1, 0, 119, 120)
        for name in "ab"
    ]
    assert found == [False, False, True, True, True, True, False, False]


@pytest.mark.parametrize("between", ["02:00-04:00", "01:59-02:01", "22:30-00:15", "00:00-24:00"])
@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns"])
def test_what_is_remembered_is_what_the_clock_says(between: str, zone: str) -> None:
    """Kathmandu is 5:45 ahead, Lord Howe changes its clock by half an hour, on that day in April among them."""
    order = override(threshold=5, between=between, zone=zone, days=["sun", "mon"])
    orders, hours = Overrides([order], build()), order.hours()
    assert hours is not None
    start = at("2026-04-04T06:00:00")
    moments = [start + 60.0 * minute + second for minute in range(2 * 1440) for second in (0.0, 59.9)]
    held = {moment for moment in moments if orders.at("a", "assistant", moment) is not None}
    assert held == {moment for moment in moments if hours.hold(moment)}
    assert 0 < len(held) < len(moments)


def test_what_is_remembered_of_principals_and_of_time_is_bounded() -> None:
    orders = Overrides([override(threshold=5, between="12:00-13:00")], build())
    for i in range(PRINCIPALS_MOST + 10):
        orders.at(f"p{i}", "assistant", NOON.timestamp())
    for i in range(SLOTS_MOST + 10):
        orders.at("p", "assistant", NOON.timestamp() + 900.0 * i)
    (scope,) = orders._scopes.values()
    assert len(orders._by_principal) <= PRINCIPALS_MOST
    assert len(scope._by_slot) <= SLOTS_MOST


# --- which counts


def in_force(*orders: Override) -> InForce:
    return InForce(orders, build())


def running(held: InForce, name: str) -> Detector[Any] | None:
    return dict(held.by_kind["transfer"]).get(name)


def test_all_that_hold_apply_and_of_two_that_set_the_same_the_first_counts() -> None:
    held = in_force(
        override(name="a", threshold=7, detectors=["transfer_rate"]),
        override(name="b", threshold=9),
        override(name="c", detectors=["transfer_rate"], settings={"min_bytes": 5, "outside_p": 1e-3}),
        override(name="d", detectors=["transfer_rate"], settings={"min_bytes": 6, "min_records": 7}),
    )
    assert {channel: limit.score for channel, limit in held.limits.items()} == {
        **dict.fromkeys(REGISTRY["transfer_rate"].channels, 7.0),
        **dict.fromkeys([*REGISTRY["mass_deletion"].channels, *REGISTRY["behaviour"].channels], 9.0),
    }
    transfer = running(held, "transfer_rate")
    assert transfer is not None
    assert (transfer.settings.min_bytes, transfer.settings.min_records, transfer.settings.outside_p) == (5, 7, 1e-3)
    assert held.names["transfer_rate"] == ["a", "b", "c", "d"]


def test_a_threshold_is_that_of_each_level_where_there_is_no_channel() -> None:
    held = in_force(override(threshold=4), override(name="b", detectors=["new_endpoint"], settings={"inside_p": 0.5}))
    endpoint = running(held, "new_endpoint")
    assert endpoint is not None
    assert endpoint.settings.public_p == endpoint.settings.external_p == pytest.approx(1e-4)
    assert endpoint.settings.inside_p == pytest.approx(1e-4), "the first counts"
    both = in_force(override(threshold=4, detectors=["new_endpoint"], settings={"inside_p": 0.5}))
    endpoint = running(both, "new_endpoint")
    assert endpoint is not None
    assert (endpoint.settings.inside_p, endpoint.settings.public_p) == (0.5, 1e-4), "what is given counts"


def test_a_detector_that_is_not_concerned_is_the_same_object() -> None:
    detectors = build()
    held = InForce([override(detectors=["transfer_rate"], settings={"min_bytes": 5})], detectors)
    kept = dict(held.by_kind["transfer"])
    assert {d.name for d in detectors if "transfer" in d.kinds and kept[d.name] is not d} == {"transfer_rate"}


@pytest.mark.parametrize("name", sorted(REGISTRY))
def test_a_detector_names_settings_that_it_has(name: str) -> None:
    detector = REGISTRY[name]
    assert {*detector.levels, *detector.shaping, *detector.house_wide} <= set(detector.Settings.model_fields)


def test_the_forest_goes_with_its_detector() -> None:
    challenger = REGISTRY["forest_challenger"].for_examples()
    made = InForce([override(threshold=6, detectors=["forest_challenger"])], [challenger])
    ((_, adjusted),) = made.by_kind["transfer"]
    assert adjusted.settings.p == pytest.approx(1e-6)
    assert adjusted.forest is challenger.forest  # type: ignore[attr-defined]


# --- what comes of it


def test_a_threshold_above_the_score_is_not_passed_and_one_below_is() -> None:
    assert not last(stage(override(threshold=LOUD + 0.1)), burst())
    (found,) = last(stage(override(threshold=LOUD - 0.1)), burst())
    assert found.evidence["overrides"] == ["o"]
    assert found.score == LOUD


def test_a_threshold_can_be_lower_than_that_of_all_others() -> None:
    strict = REGISTRY["transfer_rate"].Settings.model_validate({"outside_p": 1e-200})
    for orders in ([], [override(threshold=LOUD - 0.1)]):
        scoring = Scoring([REGISTRY["transfer_rate"](strict)], overrides=orders)
        scoring.open(PARTITION)
        assert bool(last(scoring, burst())) is bool(orders)


@pytest.mark.parametrize(
    "elsewhere",
    [
        {"roles": ["backup"]},
        {"roles": [], "principals": ["svc-*"]},
        {"expires": "2026-03-01T00:00:00Z"},
        {"days": ["sun"]},
        {"detectors": ["behaviour"]},
    ],
    ids=str,
)
def test_where_it_does_not_hold_everything_is_as_without_it(elsewhere: Mapping[str, Any]) -> None:
    plain, other = stage(), stage(override(**{"threshold": 100, **elsewhere}))
    assert found_by(plain, burst()) == found_by(other, burst())
    assert plain.snapshot(PARTITION) == other.snapshot(PARTITION)


def test_what_was_not_judged_by_it_does_not_name_it() -> None:
    (found,) = last(stage(override(threshold=100, detectors=["behaviour"])), burst())
    assert "overrides" not in found.evidence


def test_settings_of_the_detector_hold_for_it() -> None:
    order = override(detectors=["transfer_rate"], settings={"min_bytes": 10**12, "min_records": 10**6})
    assert not last(stage(order), burst())


def test_a_level_is_moved_by_a_threshold() -> None:
    (found,) = last(stage(name="new_endpoint"), burst("new_endpoint"))
    above, below = (stage(override(threshold=found.score + by), name="new_endpoint") for by in (0.1, -0.1))
    assert [f.severity for f in last(above, burst("new_endpoint"))] != [found.severity]
    assert [f.severity for f in last(below, burst("new_endpoint"))] == [found.severity]


def test_switched_off_it_neither_judges_nor_learns() -> None:
    off = stage(override(enabled=False, detectors=["transfer_rate"]))
    assert not any(found_by(off, burst()))
    (row,) = off.snapshot(PARTITION)["principals"]
    assert row[-1] == {}


def test_tests_under_an_own_threshold_do_not_count_for_the_budget() -> None:
    """Or a backup that is known to be loud would move the thresholds of everybody."""
    for orders in ([], [override(threshold=100)]):
        scoring = stage(*orders)
        found_by(scoring, burst())
        (row,) = scoring.snapshot(PARTITION)["principals"]
        assert bool(row[TESTS]) is not bool(orders)


def test_the_state_is_that_of_the_detector_whichever_holds() -> None:
    """A checkpoint under an override is read by a stage without, and goes on alike."""
    order = override(detectors=["transfer_rate"], settings={"min_bytes": 2}, between="10:00-20:00")
    scoring, events = stage(order), burst()
    found_by(scoring, events[:-1])
    after = stage()
    after.open(PARTITION, scoring.snapshot(PARTITION))
    (found,) = last(after, events[-1:])
    assert "overrides" not in found.evidence
    again = stage(order)
    again.open(PARTITION, scoring.snapshot(PARTITION))
    again.settle()
    assert again.snapshot(PARTITION) == scoring.snapshot(PARTITION)


def test_a_configuration_has_them_in_force() -> None:
    order = {"name": "o", "reason": "r", "principals": ["agent-*"], "threshold": LOUD + 100}
    quiet = assembly.scoring(Config.model_validate({"overrides": [order]}))
    loud = assembly.scoring(Config())
    for scoring in (quiet, loud):
        scoring.open(PARTITION)
    assert not any(f.detector == "transfer_rate" for f in last(quiet, burst()))
    assert any(f.detector == "transfer_rate" for f in last(loud, burst()))


def test_names_with_odd_letters_are_matched_whole_and_as_they_are() -> None:
    orders = [
        override(name="a", roles=[], principals=["svc.a", "bot-[12]"], threshold=5),
        override(name="b", roles=[], principals=["*"], threshold=5),
    ]
    matched = {
        name: names(orders, name, "", NOON) for name in ("svc.a", "svcxa", "svc.ab", "SVC.A", "bot-2", "bot-\n2")
    }
    assert {name for name, found in matched.items() if "a" in found} == {"svc.a", "bot-2"}
    assert all("b" in found for found in matched.values())


def test_however_many_overrides_overlap_what_is_remembered_of_them_is_bounded() -> None:
    orders = [override(name=f"o{i}", roles=[f"*{letter}*"], threshold=5 + i) for i, letter in enumerate("abcdefghijk")]
    held = Overrides(orders, [])
    for mixture in range(1 << len(orders)):
        letters = "".join(letter for i, letter in enumerate("abcdefghijk") if mixture >> i & 1)
        in_force = held.at(letters, letters, NOON.timestamp())
        assert (in_force is None) is (not letters)
    assert len(held._scopes) <= SCOPES_MOST
    assert len(held._in_force) <= IN_FORCE_MOST
    assert len(held._by_principal) <= SCOPES_MOST
