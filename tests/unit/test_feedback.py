"""What follows from a verdict on an alert: in words, bounds and days; what never follows; and how it is taken back."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from detector import assembly, signals
from detector.adjustments import Adjustments
from detector.config import Config
from detector.correlation import Correlator
from detector.feedback import DELAY, MOST, Adjustment, Feedback, FeedbackSettings, Verdict, adjustable, adjustments
from detector.findings import Finding
from detector.incidents import CorrelationSettings
from detector.pipeline import about
from detector.suppressions import Mute, Suppressions, is_accepted, kind_of
from tests.support.correlating import change, correlator, finding, touch
from tests.support.events import PARTITION, START, envelope, sending

GIVEN = START + timedelta(hours=1)
GIVEN_AT = 3600.0  # seconds after START
LATER = GIVEN_AT + 120.0  # past the delay


def said(verdict: Verdict | None = "false", *, by: str = "alice", alert: str = "", **fields: Any) -> Feedback:
    return Feedback(
        id=fields.pop("id", "v-1"),
        time=fields.pop("time", GIVEN),
        by=by,
        alert=alert or "a-1",
        verdict=verdict,
        reason="looked into it",
        **fields,
    )


def endpoint(seconds: float = 0.0, name: str = "api.partner.example", **fields: Any) -> Finding:
    evidence = {"namespace": "host", "endpoint": name, "zone": fields.pop("zone", "external")}
    evidence["payload"] = fields.pop("payload", False)
    who = fields.pop("who", "agent-1")
    return with_p(finding(seconds, "new_endpoint", who=who, **evidence), **fields)


def sent(seconds: float = 0.0, seen: float = 1e6, channel: str = "bytes outside", **fields: Any) -> Finding:
    who, over = fields.pop("who", "agent-1"), fields.pop("over", 60.0)
    evidence = {"seen": seen, "channel": channel, "half_life_seconds": over}
    return with_p(finding(seconds, "transfer_rate", "SEV2", who=who, **evidence), **fields)


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
    assert held.covering(sent(LATER, over=1800.0)) is None, "over another time it is another amount"
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
        pytest.param(with_p(finding(0, "identity_misuse"), rule="new_network"), id="more may stand beside it"),
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


def test_several_findings_of_one_subject_make_one_adjustment_for_each_severity() -> None:
    about_them = [a for a in map(adjustable, (sent(0, 1e6), sent(1, 3e6, severity="SEV3"), sent(2, 2e6))) if a]
    made = adjustments(said(), about_them)
    assert {(one.most, one.up_to) for one in made} == {(3e6, "SEV2"), (4.5e6, "SEV3")}


@pytest.mark.parametrize(
    "change",
    [
        {"principal": ""},
        {"role": "assistant"},
        {"up_to": "SEV1"},
        {"detector": "stop_violation"},
        {"ends": GIVEN + timedelta(days=400)},
    ],
)
def test_what_no_verdict_makes_is_no_adjustment(change: dict[str, Any]) -> None:
    (one,) = adjustments(said("benign"), [a for a in [adjustable(sent())] if a])
    with pytest.raises(ValueError, match="adjustment"):
        msgspec.structs.replace(one, **change)
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(
            msgspec.json.encode(msgspec.to_builtins(one) | msgspec.to_builtins(change)), type=Adjustment
        )


def test_a_verdict_makes_a_bounded_number() -> None:
    many = [a for a in (adjustable(endpoint(0, f"h{number}.example")) for number in range(200)) if a]
    assert len(adjustments(said(), many)) == MOST


def test_those_that_end_first_are_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("detector.adjustments.REMEMBERED", 3)
    held, one = Adjustments(), adjustments(said(), [a for a in [adjustable(endpoint())] if a])[0]
    ends = {name: one.ends + timedelta(days=day) for name, day in {"c": 3, "a": 1, "d": 4, "b": 2}.items()}
    for name, end in ends.items():
        held.put(msgspec.structs.replace(one, id=name, subject=f"host {name}", ends=end))
    held.put(msgspec.structs.replace(one, id="b", subject="host b", ends=one.ends + timedelta(days=9)))  # put off
    held.put(msgspec.structs.replace(one, id="e", subject="host e", ends=one.ends + timedelta(days=5)))
    covered = [name for name in "abcde" if held.covering(endpoint(LATER, name=name)) is not None]
    assert (len(held), covered) == (3, ["b", "d", "e"])


def test_what_is_covered_is_marked_with_the_verdict_before_any_mute_and_is_not_learnt() -> None:
    mute = Mute(name="all", reason="r", owner="o", expires=datetime(9999, 1, 1, tzinfo=UTC), principals=("*",))
    suppressions = Suppressions([mute], adjustments=live(said(), endpoint()))
    marked = suppressions.mark(endpoint(LATER))
    assert marked.suppressed == "verdict:v-1"
    assert kind_of("verdict:v-1") == "verdict"
    assert not is_accepted(marked)


def test_a_verdict_travels_among_the_signals() -> None:
    feedback = said(alert="a-1", until=GIVEN)
    assert signals.decode(signals.encode(feedback)) == feedback
    assert signals.key_of(feedback) == b"a-1"


@pytest.mark.parametrize(
    "change",
    [
        {"undoes": "v-0"},
        {"verdict": None},
        {"time": "2026-03-02T09:00:00"},
        {"until": "2026-03-02T09:00:00"},
        {"by": ""},
        {"by": "al\u200bice"},
        {"reason": " "},
        {"reason": "x" * 5000},
        {"alert": "x" * 501},
    ],
)
def test_what_is_no_verdict_is_no_signal(change: dict[str, Any]) -> None:
    with pytest.raises(msgspec.DecodeError):
        signals.decode(msgspec.json.encode(msgspec.to_builtins(said()) | {"type": "feedback"} | change))


@pytest.mark.parametrize("raw", [b'{"id": "\xff"}', b"[" * 5000, b'{"type": "feedback", "reason": "\xff"}'])
def test_bytes_that_are_no_text_are_no_signal_either(raw: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        signals.decode(raw)


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


@pytest.mark.parametrize(
    ("by", "why"),
    [
        ("agent-1", "about himself"),
        ("Agent-1 ", "about himself"),
        ("\uff41gent-1", "about himself"),
        ("mallory", "none of those who may judge"),
    ],
)
def test_whose_verdict_does_not_count_closes_nothing(by: str, why: str) -> None:
    stage = Correlator(about(), feedback=FeedbackSettings(operators=("alice", "[!m]*")))
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


@pytest.mark.parametrize("verdict", ["true", "false", "benign"])
def test_what_stands_open_is_watched_on_whatever_was_said(verdict: Verdict) -> None:
    stage = correlator()
    alert = raised(stage, change(0))
    assert [a.status for a in stage.judge(said(verdict, alert=alert)).alerts] == ["resolved"]
    assert (stage.open(), len(stage.exposures)) == ([], 1)
    out = stage.step(touch(GIVEN_AT + 60.0, who="carol"))
    assert [found.rule for found in out.findings] == ["unauthorised_read"]
    assert [(a.id == alert, a.status, a.severity) for a in out.alerts] == [(False, "open", "SEV1")]


@pytest.mark.parametrize("verdict", ["true", "false"])
def test_what_follows_from_a_judged_story_is_told_as_an_alert_of_its_own(verdict: Verdict) -> None:
    stage = correlator()
    alert = raised(stage, touch(0.0, who="agent-1"), endpoint(1))
    stage.judge(said(verdict, alert=alert))
    out = stage.step(endpoint(GIVEN_AT + 60.0, name="drop.example", payload=True))
    assert [found.detector for found in out.findings] == ["exfiltration"]
    (told,) = out.alerts
    assert (told.id != alert, told.status, told.principals) == (True, "open", ("agent-1",))


def test_a_covered_finding_takes_part_in_what_follows_from_others() -> None:
    stage = correlator()
    covered = msgspec.structs.replace(endpoint(LATER, payload=True), suppressed="verdict:v-1")
    stage.step(touch(LATER - 60.0, who="agent-1"))
    out = stage.step(covered)
    assert [found.detector for found in out.findings] == ["exfiltration"]
    assert [a.status for a in out.alerts] == ["open"]


def test_a_verdict_is_taken_back() -> None:
    stage = correlator()
    alert = raised(stage, sent())
    (made,) = stage.judge(said(alert=alert)).adjustments
    day = GIVEN + timedelta(days=1)
    out = stage.judge(said(None, alert=alert, id="v-2", undoes="v-1", time=day))
    assert out.adjustments == [msgspec.structs.replace(made, ends=day + DELAY)]
    assert (out.actions[0].action, out.alerts) == ("verdict_withdrawn", [])
    again = stage.judge(said(None, alert=alert, id="v-3", undoes="v-1", time=day))
    assert "holds no longer" in again.actions[0].details["refused"]


def test_only_a_verdict_on_the_same_alert_is_taken_back_and_not_by_whom_it_is_about() -> None:
    stage = correlator()
    alert = raised(stage, sent())
    stage.step(sent(1, who="agent-2"))
    (other,) = {held.id for held in stage.open()} - {alert}
    stage.judge(said(alert=alert))
    wrong = stage.judge(said(None, alert=other, id="v-2", undoes="v-1"))
    assert f"is on {alert}" in wrong.actions[0].details["refused"]
    own = stage.judge(said(None, alert=alert, id="v-3", undoes="v-1", by="agent-1"))
    assert "about himself" in own.actions[0].details["refused"]
    assert (wrong.adjustments, own.adjustments, wrong.alerts) == ([], [], [])


def test_the_last_word_on_an_alert_counts() -> None:
    stage = correlator()
    alert = raised(stage, sent())
    (made,) = stage.judge(said(alert=alert)).adjustments
    out = stage.judge(said("true", alert=alert, id="v-2", time=GIVEN + timedelta(hours=1)))
    assert out.adjustments == [msgspec.structs.replace(made, ends=GIVEN + timedelta(hours=1) + DELAY)]
    assert out.actions[0].details["replaces"] == ["v-1"]


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


def test_what_grows_beyond_a_covered_amount_is_told_within_minutes() -> None:
    held = Adjustments()
    scoring = assembly.scoring(Config(), adjustments=held)
    scoring.open(PARTITION)
    offset = 0

    def found(hours: float, size: int) -> list[Finding]:
        nonlocal offset
        offset += 1
        told = scoring.step(envelope(sending(hours * 3600.0, "mover-1", size), offset)).findings
        return [one for one in told if one.detector == "transfer_rate"]

    for day in range(12):
        for hour in range(8):
            assert found(24.0 * day + hour, 20_000) == []
    (first,) = found(24.0 * 12, 300_000_000)
    verdict = said("benign", time=first.time)
    for adjustment in adjustments(verdict, [a for a in [adjustable(first)] if a]):
        held.put(adjustment)
    (covered,) = found(24.0 * 12 + 3, 300_000_000)
    assert covered.suppressed == "verdict:v-1"
    assert found(24.0 * 12 + 3 + 0.5 / 60, 100) == [], "it does not say the same each second"
    (more,) = found(24.0 * 12 + 3 + 2.0 / 60, 480_000_000)
    assert more.suppressed is None


def test_what_is_read_again_takes_no_more_memory() -> None:
    held, one = Adjustments(), adjustments(said(), [a for a in [adjustable(endpoint())] if a])[0]
    for _ in range(100):
        held.put(one)
    assert (len(held), len(held._by_end)) == (1, 1)
