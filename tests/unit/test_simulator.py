"""The simulator: repeatable to the byte, believable, and quiet where it must be."""

import gzip
from collections import Counter, defaultdict
from datetime import datetime, timedelta
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from detector.events import Event
from tests.support.simulator.background import background
from tests.support.simulator.catalogue import INSIGHTS
from tests.support.simulator.rhythm import Period
from tests.support.simulator.scenarios import SCENARIOS, Scenario
from tests.support.simulator.scenarios.story import Story
from tests.support.simulator.trail import merge, utc
from tests.support.simulator.world import Population, build_world
from tests.support.simulator.write import EVENTS, EXPECTED, expectation, ndjson, write

SAMPLE_LOGS = Path(__file__).parents[2] / "sample_logs"
WEEK = Period(utc(2026, 3, 2), utc(2026, 3, 9))
each_scenario = pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)


@cache
def told(name: str) -> tuple[list[Event], Story]:
    return next(scenario for scenario in SCENARIOS if scenario.name == name).run()


@cache
def week() -> tuple[Event, ...]:
    return tuple(background(build_world(5), WEEK))


@each_scenario
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(scenario: Scenario, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        write(scenario, tmp_path / folder, seed=3)
    write(scenario, tmp_path / "c", seed=4)
    content = {folder: (tmp_path / folder / EVENTS).read_bytes() for folder in ("a", "b", "c")}
    assert content["a"] == content["b"]
    assert content["a"] != content["c"]


def test_writing_leaves_the_readme_alone(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("by hand")
    write(SCENARIOS[0], tmp_path)
    assert (tmp_path / "README.md").read_text() == "by hand"


@each_scenario
def test_the_committed_logs_are_what_the_generator_makes(scenario: Scenario) -> None:
    events, story = told(scenario.name)
    packed = (SAMPLE_LOGS / scenario.name / EVENTS).read_bytes()
    assert gzip.decompress(packed).splitlines() == ndjson(events).splitlines()
    assert len(packed) < 1_000_000
    expected = yaml.safe_load((SAMPLE_LOGS / scenario.name / EXPECTED).read_text(encoding="utf-8"))
    assert expected == expectation(scenario, story)


@each_scenario
def test_the_readme_tells_of_the_cast_and_the_first_harm(scenario: Scenario) -> None:
    expected = expectation(scenario, told(scenario.name)[1])
    readme = (SAMPLE_LOGS / scenario.name / "README.md").read_text(encoding="utf-8")
    cast = [expected["first_harm"]["event_id"], *expected["incident"]["principals"]]
    assert [name for name in cast if name not in readme] == []


@each_scenario
def test_every_line_decodes_into_events_of_unique_ids_and_times_in_order(scenario: Scenario) -> None:
    lines = gzip.decompress((SAMPLE_LOGS / scenario.name / EVENTS).read_bytes()).splitlines()
    decoder = msgspec.json.Decoder(Event, strict=True)
    events = [decoder.decode(line) for line in lines]
    assert 6_000 <= len(events) <= 12_000
    assert len({event.id for event in events}) == len(events)
    assert all(earlier.time < later.time for earlier, later in pairwise(events))
    assert all(event.time.microsecond % 1000 == 0 for event in events)
    assert all(event.actor.role for event in events)
    assert all(event.actor.session for event in events if event.actor.kind == "agent")


@each_scenario
def test_the_cast_is_large_and_history_precedes_the_harm(scenario: Scenario) -> None:
    events, story = told(scenario.name)
    agents = {event.actor.id: event.actor.role for event in events if event.actor.kind == "agent"}
    assert len(agents) >= 12
    assert len(set(agents.values())) >= 5
    assert len({event.actor.id for event in events if event.actor.kind == "human"}) >= 15
    assert len({event.actor.id for event in events if event.actor.kind == "service"}) >= 1
    assert timedelta(days=5) <= story.first_harm.time - events[0].time <= timedelta(days=6.5)
    assert events[-1].time - story.events[-1].time >= timedelta(hours=3)


@each_scenario
def test_the_story_is_in_the_log_unmoved(scenario: Scenario) -> None:
    events, story = told(scenario.name)
    by_id = {event.id: event for event in events}
    assert story.first_harm in story.events
    assert all(by_id[event.id] == event for event in story.events)
    assert all(step in story.events for step in story.steps.values())


@each_scenario
def test_outside_the_story_nobody_acts_between_stop_and_resume(scenario: Scenario) -> None:
    events, story = told(scenario.name)
    told_ids = {event.id for event in story.events}
    stopped: set[str] = set()
    for event in events:
        if event.kind == "control" and event.action in {"stop", "resume"}:
            (stopped.add if event.action == "stop" else stopped.discard)(event.principal)
        elif event.id not in told_ids:
            assert event.principal not in stopped, event
    controls = Counter(event.action for event in events if event.id not in told_ids and event.kind == "control")
    assert controls["stop"] >= controls["resume"] >= 1


@each_scenario
def test_what_needs_approval_outside_the_story_has_it_before_the_act(scenario: Scenario) -> None:
    events, story = told(scenario.name)
    told_ids = {event.id for event in story.events}
    given: set[str | None] = set()
    for event in events:
        if event.id in told_ids or event.approval is None or not event.approval.required:
            continue
        assert event.approval.id
        if event.kind == "control" and event.action in {"approve", "confirm"}:
            given.add(event.approval.id)
        elif event.kind != "control" and event.actor.kind == "agent":
            assert event.approval.id in given, event


def test_people_sleep_and_jobs_run_at_night() -> None:
    by_kind: dict[str, Counter[bool]] = defaultdict(Counter)
    for event in week():
        if event.time.weekday() < 5:
            by_kind[event.actor.kind][event.time.hour < 6] += 1
    night_over_day = {kind: count[True] / count[False] for kind, count in by_kind.items()}
    assert night_over_day["human"] < 0.03
    assert 0.05 < night_over_day["agent"] < 0.25
    assert night_over_day["service"] > 0.25


def test_weekends_are_quiet_but_not_dead() -> None:
    days = Counter(event.time.weekday() for event in week())
    assert 0.1 * days[2] < days[5] < 0.6 * days[2]


def test_new_endpoints_turn_up_all_week() -> None:
    seen: set[tuple[str, str]] = set()
    new: Counter[tuple[str, str, bool]] = Counter()
    for event in week():
        if event.destination is None or event.destination.host is None:
            continue
        key = (event.actor.id, event.destination.host)
        if key not in seen:
            seen.add(key)
            new[event.actor.role, event.destination.zone, event.time >= utc(2026, 3, 4)] += 1
    assert new["research-browser", "external", True] >= 20
    assert new["engineering-assistant", "external", True] >= 1
    assert new["knowledge-base", "internal", True] >= 1
    assert sum(count for (_, zone, late), count in new.items() if zone == "approved" and late) >= 1


def test_benign_external_calls_carry_little_out() -> None:
    out = [e.bytes_out for e in week() if e.kind == "call" and e.destination and e.destination.zone == "external"]
    assert len(out) > 100
    assert max(out) < 5_000


def test_permissions_change_as_they_should() -> None:
    changes = [event for event in week() if event.permission is not None]
    kinds = Counter(event.permission.change for event in changes if event.permission)
    assert {"grant", "widen", "inherit", "narrow", "revoke"} <= set(kinds)
    for event in changes:
        permission, target = event.permission, event.target
        assert permission is not None
        assert target is not None
        if permission.change in {"grant", "widen"} and target.sensitivity in {"confidential", "restricted"}:
            assert event.approval is not None
            assert permission.audience in {"user", "group"}
            assert (permission.audience_count or 0) <= 12
        if permission.temporary:
            _assert_ends_in_time(event, changes)
    assert any(event.permission.temporary for event in changes if event.permission)


def _assert_ends_in_time(grant: Event, changes: list[Event]) -> None:
    assert grant.permission is not None
    ends = grant.permission.expires_at
    assert ends is not None
    if ends < WEEK.end:
        assert any(
            event.permission is not None
            and event.permission.change in {"revoke", "expire"}
            and event.permission.grantee == grant.permission.grantee
            and event.target == grant.target
            and grant.time < event.time <= ends
            for event in changes
        )


def test_an_agent_that_joins_changes_no_other_event() -> None:
    world = build_world(5)
    larger = world.hire("content-moderation", "content-moderation-agent-77")
    with_it = background(larger, WEEK)
    its_own = {event.id for event in with_it if event.principal == "content-moderation-agent-77"}
    assert its_own
    assert [event for event in with_it if event.id not in its_own] == list(week())


def test_a_larger_company_has_the_size_that_was_asked_for() -> None:
    world = build_world(1, Population.of(200))
    assert len({who.id for who in world.principals}) == 200
    assert len({item.uri for item in world.resources}) == len(world.resources)


def test_merge_gives_each_event_its_own_millisecond_and_the_first_stream_its_times() -> None:
    events = week()[:3]
    at = events[0].time
    same = [msgspec.structs.replace(event, time=at) for event in events]
    merged = merge(same[2:], same[:2])
    assert [event.id for event in merged] == [events[2].id, events[0].id, events[1].id]
    assert [event.time - at for event in merged] == [timedelta(milliseconds=n) for n in range(3)]


def test_only_the_newly_admitted_read_the_opened_store_for_the_first_time() -> None:
    events, story = told("advice_exposure")
    opened, closed = story.steps["change"].time, story.steps["close"].time
    first: dict[str, datetime] = {}
    for event in events:
        if event.kind == "access" and event.target and event.target.uri == INSIGHTS.uri:
            first.setdefault(event.actor.id, event.time)
    newly = {who for who, at in first.items() if opened <= at < closed}
    agent, changed, *readers = story.alerts[0].names
    assert newly == set(readers)
    assert changed == story.steps["change"].actor.id
    assert agent == story.steps["post"].actor.id
    assert story.steps["first_read"].time - opened <= timedelta(seconds=45)
    assert set(first) - newly, "others read it before, as they may"


def test_the_mail_agent_confirmed_before_the_day_it_did_not() -> None:
    events, story = told("inbox_deletion")
    agent = story.alerts[0].names[0]
    deletes: list[Any] = [event for event in events if event.kind == "delete" and event.actor.id == agent]
    before = [event for event in deletes if event.time < story.first_harm.time]
    assert before
    assert all(event.approval.id for event in before)
    after_stop = [event for event in deletes if event.time > story.steps["stop"].time]
    assert len(after_stop) >= 10
    assert after_stop[-1].time - story.steps["stop"].time > timedelta(seconds=45)
    assert sum(event.records for event in deletes if not event.approval.id) > 1_500
