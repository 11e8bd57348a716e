"""Stage 2: what is joined, when it is told, how it ends. Each test reads as a timeline."""

import random
from datetime import timedelta

import msgspec
import pytest

from detector.severity import SEVERITIES
from tests.support.correlating import HOUR, at, change, correlator, finding, post, run, touch
from tests.support.events import START


def test_a_note_is_no_alert_and_a_crowd_of_notes_neither() -> None:
    stage = correlator()
    assert run(stage, *(finding(i, d, "SEV4") for i in range(200) for d in ("new_endpoint", "transfer_rate"))) == []


def test_findings_of_one_agent_are_one_alert_that_gets_worse() -> None:
    first, second = run(correlator(), finding(0), finding(60, "transfer_rate", "SEV2"))
    assert (first.status, first.severity, first.version) == ("open", "SEV3", 1)
    assert (second.status, second.severity, second.version) == ("updated", "SEV2", 2)
    assert first.id == second.id
    assert second.detected_at == first.detected_at == START
    assert second.detectors == ("new_endpoint", "transfer_rate")


def test_more_of_the_same_is_not_told_again() -> None:
    alerts = run(correlator(), *(finding(i) for i in range(5)))
    assert len(alerts) == 1


def test_strangers_are_not_joined() -> None:
    one, other = run(correlator(), finding(0), finding(1, who="agent-2"))
    assert one.id != other.id


def test_earlier_notes_belong_to_the_alert_that_follows() -> None:
    (alert,) = run(correlator(), finding(0, "sensitive_read", "SEV4", resource="db://x"), finding(600))
    assert alert.opened_at == START
    assert alert.detected_at == START + timedelta(seconds=600)
    assert alert.finding_count == 2


def test_a_shared_thread_merges_two_incidents_and_says_so() -> None:
    stage = correlator()
    thread = ("thread:t-9",)
    alerts = run(
        stage, finding(0), finding(10, who="agent-2", entities=thread), finding(20, "mass_deletion", entities=thread)
    )
    merged = [a for a in alerts if a.status == "resolved"]
    assert [a.resolution for a in merged] == [f"merged into {alerts[0].id}"]
    assert set(alerts[-1].principals) == {"agent-1", "agent-2"}


def test_quiet_ends_an_alert_at_its_own_time_however_late_the_tick() -> None:
    ends = []
    for tick in (2 * HOUR + 1, 9 * HOUR):
        stage = correlator()
        run(stage, finding(0))
        (alert,) = stage.advance(at(tick)).alerts
        ends.append((alert.status, alert.updated_at, alert.resolution))
    assert ends[0] == ends[1] == ("resolved", START + timedelta(hours=2), "quiet for 2 h")


def test_after_its_end_the_same_agent_opens_another_alert() -> None:
    stage = correlator()
    (first,) = run(stage, finding(0))
    stage.advance(at(3 * HOUR))
    (second,) = run(stage, finding(3 * HOUR))
    assert second.id != first.id


def test_a_storm_is_one_alert_with_a_count_and_bounded_memory() -> None:
    stage = correlator(max_incidents=100)
    alerts = run(stage, *(finding(i / 200) for i in range(10_000)))
    assert len({a.id for a in alerts}) == 1
    assert len(alerts) <= 5
    assert stage.open()[0].version == len(alerts)
    assert len(msgspec.msgpack.encode(stage.snapshot()["incidents"])) < 64_000


def test_many_incidents_are_bounded() -> None:
    stage = correlator(max_incidents=100)
    run(stage, *(finding(i, who=f"agent-{i}") for i in range(500)))
    assert len(stage.snapshot()["incidents"]) == 100


def test_a_repeat_after_a_crash_changes_nothing() -> None:
    stage = correlator()
    findings = [finding(0), finding(60, "transfer_rate", "SEV2")]
    run(stage, *findings)
    before = stage.snapshot()
    assert run(stage, *findings) == []
    assert stage.snapshot() == before


def test_the_chain_post_change_read_is_one_alert_that_names_everybody() -> None:
    stage = correlator()
    alerts = run(stage, post(0), change(300), touch(330, "eve"), touch(400, "mallory"))
    assert {a.id for a in alerts} == {alerts[0].id}
    assert [a.severity for a in alerts][:2] == ["SEV3", "SEV1"]
    assert alerts[-1].principals == ("advisor", "bob", "eve", "mallory")
    assert {"unapproved_action", "permission_change", "advice_followed", "exposure"} <= set(alerts[-1].detectors)


def test_without_the_post_the_change_is_no_followed_advice() -> None:
    alerts = run(correlator(), change(300))
    assert "advice_followed" not in alerts[-1].detectors
    assert alerts[-1].severity == "SEV2"


def test_reading_in_an_open_window_makes_it_worst() -> None:
    stage = correlator()
    assert run(stage, change(0), touch(30, "eve"))[-1].severity == "SEV1"


def test_the_one_who_opened_it_is_no_stranger() -> None:
    assert run(correlator(), change(0), touch(30, "bob"))[-1].severity == "SEV2"


def test_a_reader_before_the_window_is_not_counted() -> None:
    stage = correlator()
    assert [a.severity for a in run(stage, change(100), touch(50, "eve"))] == ["SEV2"]


def test_a_window_open_too_long_is_found_once_at_its_own_time() -> None:
    stage = correlator(exposure_limit=300.0)
    run(stage, change(0))
    out = stage.advance(at(1000))
    assert [(f.rule, f.time) for f in out.findings] == [("open_too_long", START + timedelta(seconds=300))]
    assert stage.advance(at(2000)).findings == []


def test_closing_the_window_ends_the_alert_soon_after() -> None:
    stage = correlator(settle=600.0)
    run(stage, change(0), touch(30, "eve"))
    assert [a for a in stage.advance(at(3 * HOUR)).alerts if a.status == "resolved"] == []
    run(stage, change(3 * HOUR, closes=True, who="carol"))
    (ended,) = stage.advance(at(3 * HOUR + 601)).alerts
    assert (ended.status, ended.resolution) == ("resolved", "exposure closed")
    assert len(stage.exposures) == 0


def test_taking_one_persons_access_back_closes_nothing_that_is_open_to_all() -> None:
    stage = correlator()
    run(stage, change(0, audience="public"), change(60, closes=True, change="revoke", audience="user", grantee="carol"))
    assert len(stage.exposures) == 1
    run(stage, change(120, closes=True, change="narrow", audience="group"))
    assert len(stage.exposures) == 0


def test_an_answer_joins_the_post_by_its_id_alone() -> None:
    posted = finding(0, "unapproved_action", entities=("event:e-post",), kind="publish")
    followed = msgspec.structs.replace(change(300), entities=("principal:bob", "resource:db://users", "event:e-post"))
    alerts = run(correlator(), posted, followed)
    assert len({a.id for a in alerts}) == 1
    assert "advice_followed" in alerts[-1].detectors


def test_an_incident_that_must_make_room_is_resolved() -> None:
    stage = correlator(max_incidents=3)
    alerts = run(stage, *(finding(i, who=f"agent-{i}") for i in range(5)))
    assert [a.resolution for a in alerts if a.status == "resolved"] == ["displaced by newer incidents"] * 2
    assert len(stage.open()) == 3


def test_one_incident_with_thousands_of_names_stays_bounded() -> None:
    stage = correlator()
    for i in range(5000):
        stage.step(finding(i / 10, who=f"agent-{i}", entities=("thread:hub",)))
    (saved,) = stage.snapshot()["incidents"]
    assert len(saved["keys"]) <= 500
    assert len(saved["principals"]) <= 1000


@pytest.mark.parametrize("seed", range(30))
def test_restored_after_every_step_it_goes_on_the_same(seed: int) -> None:
    """Random findings over few agents and threads, with merges, ends and repeats."""
    rng = random.Random(seed)
    whole, restored, now = correlator(max_incidents=8), correlator(max_incidents=8), 0.0
    for _ in range(60):
        now += rng.expovariate(1 / 900)
        detector = rng.choice(["new_endpoint", "transfer_rate", "mass_deletion"])
        severity = rng.choice(SEVERITIES[2:])
        thread = (f"thread:{rng.randrange(4)}",) if rng.random() < 0.3 else ()
        made = finding(now, detector, severity, who=f"agent-{rng.randrange(12)}", entities=thread)
        assert restored.advance(at(now)) == whole.advance(at(now))
        assert restored.step(made) == whole.step(made)
        saved = msgspec.msgpack.decode(msgspec.msgpack.encode(restored.snapshot()))
        restored = correlator(max_incidents=8)
        restored.restore(saved)


def test_a_restored_correlator_goes_on_the_same() -> None:
    story = [post(0), change(300), touch(330, "eve"), touch(9000, "mallory"), change(9100, closes=True, who="carol")]
    for cut in range(len(story)):
        whole, first, second = correlator(), correlator(), correlator()
        expected = run(whole, *story) + whole.advance(at(10_000)).alerts
        found = run(first, *story[:cut])
        second.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(first.snapshot())))
        found += run(second, *story[cut:]) + second.advance(at(10_000)).alerts
        assert found == expected


def test_a_shorter_window_ends_what_was_opened_under_a_longer_one() -> None:
    """And a longer one ends nothing sooner than itself."""
    before = correlator(window=2 * HOUR)
    assert run(before, finding(0))
    saved = msgspec.msgpack.decode(msgspec.msgpack.encode(before.snapshot()))
    spans = ((600.0, 540.0, 660.0), (7200.0, 7140.0, 7260.0), (10_800.0, 9000.0, 10_860.0))
    for window, still, over in spans:
        after = correlator(window=window)
        after.restore(saved)
        assert after.advance(at(still)).alerts == []
        (ended,) = after.advance(at(over)).alerts
        assert (ended.status, ended.updated_at) == ("resolved", START + timedelta(seconds=window))
