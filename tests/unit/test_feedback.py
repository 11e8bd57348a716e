"""What follows from a verdict on an alert: in words, bounds and days; what never follows; and how it is taken back."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from detector import signals
from detector.adjustments import REMEMBERED, Adjustments
from detector.correlation import Correlator
from detector.feedback import DELAY, MOST, Adjustment, Feedback, FeedbackSettings, Verdict, adjustable, adjustments
from detector.findings import Finding
from detector.incidents import CorrelationSettings
from detector.pipeline import about
from detector.suppressions import Mute, Suppressions, is_accepted, kind_of
from tests.support.correlating import change, correlator, finding
from tests.support.events import START

GIVEN = START + timedelta(hours=1)
LATER = 3600.0 + 120.0  # seconds after START: past the delay


def said(verdict: Verdict | None = "false", *, by: str = "alice", alert: str = "", **fields: Any) -> Feedback:
    return Feedback(
        id=fields.pop("id", "v-1"),
        time=fields.pop("time", GIVEN),
        by=by,
        alert=alert,
        verdict=verdict,
        reason="looked into it",
        **fields,
    )


def endpoint(seconds: float = 0.0, name: str = "api.partner.example", **fields: Any) -> Finding:
    evidence = {"namespace": "host", "endpoint": name, "zone": fields.pop("zone", "external")}
    who = fields.pop("who", "agent-1")
    return with_p(finding(seconds, "new_endpoint", who=who, **evidence), **fields)


def sent(seconds: float = 0.0, seen: float = 1e6, channel: str = "bytes outside", **fields: Any) -> Finding:
    who = fields.pop("who", "agent-1")
    return with_p(finding(seconds, "transfer_rate", "SEV2", who=who, seen=seen, channel=channel), **fields)


def with_p(bare: Finding, **fields: Any) -> Finding:
    return msgspec.structs.replace(bare, **{"p_value": 1e-6, "score": 6.0, **fields})


def live(feedback: Feedback, *found: Finding, settings: FeedbackSettings | None = None) -> Adjustments:
    held = Adjustments()
    about_them = [one for one in map(adjustable, found) if one is not None]
    for adjustment in adjustments(feedback, about_them, settings):
        held.put(adjustment)
    return held


def test_a_false_alarm_about_an_endpoint_covers_it_for_the_role_for_ninety_days() -> None:
    held = live(said(), endpoint())
    assert held.covering(endpoint(LATER, who="agent-2")) is not None
    assert held.covering(endpoint(LATER, name="elsewhere.example")) is None
    assert held.covering(endpoint(LATER, role="engineer")) is None
    days = timedelta(days=90).total_seconds()
    assert held.covering(endpoint(3600.0 + 60.0 + days - 1)) is not None
    assert held.covering(endpoint(3600.0 + 60.0 + days)) is None


def test_a_benign_one_covers_only_whom_it_was_about() -> None:
    held = live(said("benign"), endpoint())
    assert held.covering(endpoint(LATER)) is not None
    assert held.covering(endpoint(LATER, who="agent-2")) is None


def test_an_amount_is_covered_up_to_half_as_much_again() -> None:
    held = live(said(), sent(seen=1e6))
    assert held.covering(sent(LATER, seen=1.5e6)) is not None
    assert held.covering(sent(LATER, seen=1.51e6)) is None
    assert held.covering(sent(LATER, channel="bytes inside")) is None
    assert held.covering(sent(LATER, who="agent-2")) is None
    assert held.covering(sent(LATER, severity="SEV1")) is None
    assert held.covering(sent(LATER + timedelta(days=30).total_seconds())) is None


def test_another_rule_is_covered_for_a_week_up_to_a_quarter_more_of_its_score() -> None:
    odd = with_p(finding(0, "behaviour"))
    held = live(said(), odd)
    again = msgspec.structs.replace(odd, time=START + timedelta(seconds=LATER))
    assert held.covering(msgspec.structs.replace(again, score=7.5)) is not None
    assert held.covering(msgspec.structs.replace(again, score=7.6)) is None
    assert held.covering(msgspec.structs.replace(again, rule="order")) is None
    assert held.covering(msgspec.structs.replace(again, time=again.time + timedelta(days=7))) is None


@pytest.mark.parametrize(
    "found",
    [
        pytest.param(finding(0, "stop_violation", "SEV2"), id="deterministic"),
        pytest.param(change(0), id="permission"),
        pytest.param(sent(severity="SEV1"), id="too grave"),
        pytest.param(endpoint(zone="public"), id="public place"),
    ],
)
def test_some_things_are_told_again_whatever_was_said(found: Finding) -> None:
    assert adjustable(found) is None
    held = live(said(), found, endpoint(), sent())
    assert held.covering(msgspec.structs.replace(found, time=START + timedelta(seconds=LATER))) is None


def test_nothing_follows_from_a_true_one() -> None:
    assert len(live(said("true"), endpoint(), sent())) == 0


def test_it_takes_effect_after_a_minute() -> None:
    held = live(said(), endpoint())
    assert held.covering(endpoint(3600.0 + 59.0)) is None
    assert held.covering(endpoint(3600.0 + DELAY.total_seconds())) is not None


def test_a_person_may_shorten_what_follows_and_not_lengthen_it() -> None:
    soon, late = GIVEN + timedelta(days=1), GIVEN + timedelta(days=1000)
    assert live(said(until=soon), endpoint()).covering(endpoint(86400.0 + 3601.0)) is None
    assert live(said(until=late), endpoint()).covering(endpoint(timedelta(days=91).total_seconds())) is None


def test_days_are_the_operators() -> None:
    settings = FeedbackSettings(endpoint_days=1.0, amount_days=2.0, other_days=3.0)
    made = [
        one
        for found in (endpoint(), sent(), with_p(finding(0, "behaviour")))
        for one in adjustments(said(), [a for a in [adjustable(found)] if a], settings)
    ]
    assert [one.ends - one.begins for one in made] == [timedelta(days=days) for days in (1, 2, 3)]


def test_several_findings_of_one_subject_make_one_adjustment_that_covers_all() -> None:
    about_them = [a for a in map(adjustable, (sent(0, 1e6), sent(1, 3e6, severity="SEV3"), sent(2, 2e6))) if a]
    (made,) = adjustments(said(), about_them)
    assert (made.most, made.up_to) == (4.5e6, "SEV2")


def test_a_verdict_makes_a_bounded_number() -> None:
    many = [a for a in (adjustable(endpoint(0, f"h{number}.example")) for number in range(200)) if a]
    assert len(adjustments(said(), many)) == MOST


def test_those_that_end_first_are_forgotten_first() -> None:
    held = Adjustments()
    one = adjustments(said(), [a for a in [adjustable(endpoint())] if a])[0]
    held._by_id = {
        str(n): msgspec.structs.replace(one, id=str(n), ends=one.ends + timedelta(seconds=n)) for n in range(REMEMBERED)
    }
    held.put(msgspec.structs.replace(one, id="new", ends=one.ends + timedelta(days=1)))
    assert len(held) == REMEMBERED
    assert "0" not in held._by_id


def test_what_is_covered_is_marked_with_the_verdict_before_any_mute_and_learnt() -> None:
    mute = Mute(name="all", reason="r", owner="o", expires=datetime(9999, 1, 1, tzinfo=UTC), principals=("*",))
    suppressions = Suppressions([mute], adjustments=live(said(), endpoint()))
    marked = suppressions.mark(endpoint(LATER))
    assert marked.suppressed == "verdict:v-1"
    assert kind_of("verdict:v-1") == "verdict"
    assert is_accepted(marked)
    assert not is_accepted(suppressions.mark(sent(LATER)))


def test_a_verdict_travels_among_the_signals() -> None:
    feedback = said(alert="a-1", until=GIVEN, undoes="v-0")
    assert signals.decode(signals.encode(feedback)) == feedback
    assert signals.key_of(feedback) == b"a-1"


def raised(stage: Correlator, *found: Finding) -> str:
    for one in found:
        stage.step(one)
    return stage.open()[0].id


def test_a_verdict_closes_its_alert_and_is_recorded() -> None:
    stage = correlator()
    alert = raised(stage, sent(), endpoint(1))
    out = stage.judge(said(alert=alert))
    assert [(a.id, a.status, a.resolution) for a in out.alerts] == [
        (alert, "resolved", "judged false by alice: looked into it")
    ]
    assert stage.open() == []
    assert {(one.detector, one.role, one.principal) for one in out.adjustments} == {
        ("transfer_rate", "", "agent-1"),
        ("new_endpoint", "assistant", ""),
    }
    (action,) = out.actions
    assert (action.action, action.subject, action.operator) == ("verdict", f"alert:{alert}", "alice")
    assert action.details["detectors"] == ["transfer_rate", "new_endpoint"]
    assert (action.details["verdict"], action.details["closed"], action.details["refused"]) == ("false", True, "")


def test_a_verdict_that_comes_again_does_nothing() -> None:
    stage = correlator()
    feedback = said(alert=raised(stage, sent()))
    assert stage.judge(feedback).actions
    again = stage.judge(feedback)
    assert (again.actions, again.adjustments, again.alerts) == ([], [], [])


@pytest.mark.parametrize(("by", "why"), [("agent-1", "about himself"), ("mallory", "none of those who may judge")])
def test_whose_verdict_does_not_count_closes_nothing(by: str, why: str) -> None:
    stage = Correlator(about(), feedback=FeedbackSettings(operators=("alice", "agent-*")))
    out = stage.judge(said(by=by, alert=raised(stage, sent())))
    assert why in out.actions[0].details["refused"]
    assert (out.adjustments, out.alerts, len(stage.open())) == ([], [], 1)


def test_an_alert_that_nobody_knows_is_told() -> None:
    out = correlator().judge(said(alert="a-nowhere"))
    assert "a-nowhere is not known" in out.actions[0].details["refused"]


def test_an_alert_can_be_judged_after_its_end() -> None:
    stage = correlator(window=60.0)
    alert = raised(stage, sent())
    assert [a.status for a in stage.advance((START + timedelta(hours=1)).timestamp()).alerts] == ["resolved"]
    out = stage.judge(said(alert=alert))
    assert (out.alerts, len(out.adjustments)) == ([], 1)


def test_a_merged_alert_names_where_it_went() -> None:
    stage = correlator()
    first = raised(stage, sent())
    stage.step(sent(1, who="agent-2"))
    (second,) = {alert.id for alert in stage.open()} - {first}
    joined = with_p(finding(2, "transfer_rate", "SEV2", entities=("principal:agent-2",), seen=1.0, channel="c"))
    stage.step(joined)
    assert f"merged into {first}" in stage.judge(said(alert=second)).actions[0].details["refused"]


def test_what_is_true_and_still_stands_open_is_not_closed_by_a_word() -> None:
    stage = correlator()
    alert = raised(stage, change(0))
    out = stage.judge(said("true", alert=alert))
    assert (out.alerts, out.actions[0].details["closed"], len(stage.exposures)) == ([], False, 1)
    out = stage.judge(said("benign", alert=alert, id="v-2"))
    assert ([a.status for a in out.alerts], len(stage.exposures)) == (["resolved"], 0)
    assert [version.status for version in out.exposures] == ["unwatched"]


def test_a_verdict_is_taken_back() -> None:
    stage = correlator()
    alert = raised(stage, sent())
    (made,) = stage.judge(said(alert=alert)).adjustments
    day = GIVEN + timedelta(days=1)
    out = stage.judge(said(None, alert=alert, id="v-2", undoes="v-1", time=day))
    assert out.adjustments == [msgspec.structs.replace(made, ends=day + DELAY)]
    assert (out.actions[0].action, out.alerts) == ("verdict_withdrawn", [])
    again = stage.judge(said(None, alert=alert, id="v-3", undoes="v-1", time=day))
    assert "was taken back before" in again.actions[0].details["refused"]


def test_the_last_word_on_an_alert_counts() -> None:
    stage = correlator()
    alert = raised(stage, sent())
    (made,) = stage.judge(said(alert=alert)).adjustments
    out = stage.judge(said("true", alert=alert, id="v-2", time=GIVEN + timedelta(hours=1)))
    assert out.adjustments == [msgspec.structs.replace(made, ends=GIVEN + timedelta(hours=1) + DELAY)]


def test_verdicts_outlive_a_restart() -> None:
    stage, other = correlator(), correlator()
    alert = raised(stage, sent())
    made = stage.judge(said(alert=alert)).adjustments
    other.restore(msgspec.msgpack.decode(msgspec.msgpack.encode(stage.snapshot())))
    assert other.snapshot() == stage.snapshot()
    undo = said(None, alert=alert, id="v-2", undoes="v-1")
    assert other.judge(undo) == stage.judge(undo)
    assert made


def test_a_state_from_before_there_were_verdicts_is_read() -> None:
    stage = correlator()
    raised(stage, sent())
    old = stage.snapshot()
    del old["judgements"]
    for incident in old["incidents"]:
        del incident["adjustable"]
    other = Correlator(about(), CorrelationSettings())
    other.restore(old)
    assert len(other.open()) == 1


def test_an_adjustment_is_plain_json() -> None:
    (one,) = adjustments(said(), [a for a in [adjustable(endpoint())] if a])
    assert msgspec.json.decode(msgspec.json.encode(one), type=Adjustment) == one
