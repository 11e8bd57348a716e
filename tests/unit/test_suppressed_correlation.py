"""What correlation makes of suppressed findings. Each story reads as a timeline."""

import random
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from detector.correlated import Correlated
from detector.correlation import Correlator
from detector.findings import Finding
from detector.incidents import CorrelationSettings
from detector.pipeline import about
from detector.suppressions import Mute, Suppressions
from tests.support.events import START
from tests.support.suppressions import found, mute

HOUR = 3600.0


def change(seconds: float, who: str = "bob", **evidence: Any) -> Finding:
    """A person's change that opens a restricted table, or closes it."""
    shown = {"resource": "db://users", "sensitivity": "restricted", "audience": "org", "audience_count": 4100}
    shown["opens"] = not evidence.get("closes")
    severity = "SEV4" if evidence.get("closes") else "SEV2"
    more: dict[str, Any] = {"principal_kind": "human", "entities": ("resource:db://users", "thread:t-1")}
    return found(seconds, "permission_change", severity, who=who, evidence={**shown, **evidence}, **more)


def touch(seconds: float, who: str, **more: Any) -> Finding:
    facts = {"resource": "db://users", "sensitivity": "restricted", "records": 10, "bytes_in": 1000}
    return found(seconds, "sensitive_read", "SEV4", who=who, entities=("resource:db://users",), evidence=facts, **more)


def post(seconds: float) -> Finding:
    evidence = {"kind": "publish"}
    return found(seconds, "unapproved_action", "SEV3", who="advisor", entities=("thread:t-1",), evidence=evidence)


def exit_(seconds: float) -> Finding:
    evidence = {"zone": "external", "endpoint": "drop.example"}
    return found(seconds, "new_endpoint", "SEV3", who="eve", evidence=evidence)


def told(*story: Finding, mutes: tuple[Mute, ...] = (), until: float = 0.0, **settings: Any) -> Correlated:
    """All that comes of a story whose findings were marked by these mutes when they were made."""
    suppressions = Suppressions(mutes)
    stage, out = Correlator(about(), CorrelationSettings(**settings), suppressions), Correlated()
    for step in (*(stage.step(suppressions.mark(f)) for f in story), stage.advance(START.timestamp() + until)):
        out.findings += step.findings
        out.alerts += step.alerts
    return out


MUTED = (mute(principals=("agent-1",)),)


def test_a_muted_finding_opens_nothing_and_one_after_the_mute_does() -> None:
    short = (mute(principals=("agent-1",), expires=START + timedelta(seconds=100)),)
    assert told(found(0, severity="SEV2"), found(50), mutes=MUTED).alerts == []
    (alert,) = told(found(0), found(50), found(150), mutes=short).alerts
    assert (alert.opened_at, alert.finding_count) == (START + timedelta(seconds=150), 1)


def test_a_muted_finding_makes_an_alert_no_graver_and_is_counted() -> None:
    quiet = (mute(detectors=("transfer_rate",)),)
    story = [found(0), found(10, "transfer_rate", "SEV2"), found(20, "mass_deletion", "SEV3")]
    first, second = told(*story, mutes=quiet).alerts
    assert (first.severity, second.detectors) == ("SEV3", ("new_endpoint", "mass_deletion"))
    assert second.reason.endswith("Also: mass_deletion; 2 findings in all, 1 more suppressed.")
    assert second.risk < told(*story).alerts[-1].risk
    assert [link.event_id for link in second.story] == ["e-agent-1-0", "e-agent-1-20"]


def test_muted_findings_keep_no_alert_open() -> None:
    quiet = (mute(detectors=("transfer_rate",)),)
    noise = [found(minute * 60.0, "transfer_rate", "SEV2") for minute in range(1, 119)]
    *_, last = told(found(0), *noise, mutes=quiet, until=2 * HOUR + 60).alerts
    assert (last.status, last.updated_at) == ("resolved", START + timedelta(hours=2))


def test_muted_findings_join_no_two_alerts() -> None:
    quiet = (mute(detectors=("transfer_rate",)),)
    both = found(20, "transfer_rate", "SEV2", entities=("principal:agent-2",))
    alerts = told(found(0), found(10, who="agent-2"), both, mutes=quiet).alerts
    assert [alert.status for alert in alerts] == ["open", "open"]
    assert told(found(0), found(10, who="agent-2"), both).alerts[-1].principals == ("agent-1", "agent-2")


@pytest.mark.parametrize(
    ("muted", "rule"),
    [
        ("unapproved_action", "post_then_change"),
        ("permission_change", "post_then_change"),
        ("permission_change", "unauthorised_read"),
        ("sensitive_read", "unauthorised_read"),
    ],
)
def test_a_mute_does_not_silence_what_others_make_of_it(muted: str, rule: str) -> None:
    out = told(post(0), change(300), touch(330, "eve"), mutes=(mute(detectors=(muted,)),))
    assert rule in {finding.rule for finding in out.findings if finding.suppressed is None}
    assert out.alerts[-1].severity == "SEV1"
    assert muted not in out.alerts[-1].detectors


def test_an_alert_begins_with_the_first_finding_that_was_not_muted() -> None:
    quiet = (mute(detectors=("unapproved_action",)),)
    assert told(post(0), change(300), mutes=quiet).alerts[0].opened_at == START + timedelta(seconds=300)
    for severity in ("SEV3", "SEV4"):
        joined = (found(100, severity=severity), found(200, "mass_deletion", entities=("thread:t-1",)))
        alert = told(post(0), *joined, mutes=quiet).alerts[-1]
        assert alert.opened_at == START + timedelta(seconds=100)
        assert alert.reason.endswith("2 findings in all, 1 more suppressed.")


def test_a_muted_incident_merged_into_an_alert_moves_neither_its_begin_nor_its_count() -> None:
    quiet = (mute(detectors=("unapproved_action",)),)
    tie = found(200, "mass_deletion", entities=("thread:t-1",))
    first, second = told(found(0), post(100), tie, mutes=quiet).alerts
    assert (first.id, second.opened_at, second.finding_count) == (second.id, START, 2)
    assert second.reason.endswith("2 findings in all, 1 more suppressed.")


def test_muted_posts_are_remembered_for_as_long_as_they_go_on() -> None:
    stage = Correlator(about())
    for seconds in (0, 5000):
        stage.step(msgspec.structs.replace(post(seconds), suppressed="mute:m"))
    stage.advance(START.timestamp() + 7300)
    assert [finding.rule for finding in stage.step(change(9000)).findings] == ["post_then_change"]
    stage = Correlator(about())
    stage.step(msgspec.structs.replace(post(0), suppressed="mute:m"))
    stage.advance(START.timestamp() + 7300)
    assert stage.snapshot()["incidents"] == []


def test_a_muted_finding_does_not_put_off_the_end_of_a_closed_exposure() -> None:
    closed = (change(0), change(60, closes=True, who="carol"))
    quiet = (mute(detectors=("transfer_rate",)),)
    *_, last = told(*closed, found(100, "transfer_rate", who="bob"), mutes=quiet, until=900).alerts
    assert (last.status, last.updated_at) == ("resolved", START + timedelta(seconds=660))


def test_a_window_opened_by_a_muted_change_is_watched_and_closed() -> None:
    quiet = (mute(detectors=("permission_change",)),)
    late = told(change(0), mutes=quiet, until=600)
    assert [(f.rule, f.suppressed) for f in late.findings] == [("open_too_long", None)]
    assert [alert.severity for alert in late.alerts] == ["SEV2"]
    closed = told(change(0), change(60, closes=True, who="carol"), mutes=quiet, until=600)
    assert (closed.findings, closed.alerts) == ([], [])


def test_a_muted_change_back_ends_the_alert() -> None:
    back = (mute(principals=("carol",)),)
    *_, last = told(change(0), change(60, closes=True, who="carol"), mutes=back, until=900).alerts
    assert (last.status, last.resolution) == ("resolved", "exposure closed")


def test_what_correlation_finds_is_muted_by_its_own_name_and_still_written() -> None:
    quiet = (mute(name="migration", detectors=("permission_change", "exposure")),)
    out = told(change(0), mutes=quiet, until=600)
    assert [(f.rule, f.suppressed) for f in out.findings] == [("open_too_long", "mute:migration")]
    assert out.alerts == []


def test_nothing_follows_from_an_approved_endpoint_but_from_a_muted_one() -> None:
    read = msgspec.structs.replace(touch(0, "eve"), entities=("principal:eve",))
    muted = told(read, exit_(60), mutes=(mute(detectors=("new_endpoint",)),))
    assert [finding.rule for finding in muted.findings] == ["touch_then_exit"]
    unread = told(read, exit_(60), mutes=(mute(detectors=("sensitive_read",)),))
    assert [finding.rule for finding in unread.findings] == ["touch_then_exit"]
    approved = told(read, msgspec.structs.replace(exit_(60), suppressed="approved:drop.example"))
    assert (approved.findings, approved.alerts) == ([], [])


def test_a_storm_of_suppressed_findings_leaves_nothing_behind() -> None:
    stage = Correlator(about(), CorrelationSettings(max_incidents=100, remembered_findings=500))
    for i in range(10_000):
        reason = "mute:m" if i % 2 else "approved:.partner.example"
        noise = found(i / 200, who=f"agent-{i}", suppressed=reason, entities=(f"resource:r-{i}",))
        assert stage.step(noise) == Correlated()
    assert stage.snapshot()["incidents"] == []
    assert len(stage.snapshot()["seen"]) == 500


def test_a_storm_of_muted_posts_is_bounded() -> None:
    stage = Correlator(about(), CorrelationSettings(max_incidents=100))
    for i in range(10_000):
        one = msgspec.structs.replace(post(i / 200), suppressed="mute:m", entities=("principal:advisor", f"thread:{i}"))
        assert stage.step(one).alerts == []
    (held,) = stage.snapshot()["incidents"]
    assert held["suppressed_count"] == 10_000
    assert len(msgspec.msgpack.encode(held)) < 64_000


def test_no_alert_is_made_of_suppressed_findings_whatever_severity_alerts_begin_at() -> None:
    assert told(post(0), mutes=(mute(roles=("*",)),), alert_from="SEV4").alerts == []


@pytest.mark.parametrize("seed", range(20))
def test_restored_after_every_step_it_goes_on_the_same(seed: int) -> None:
    """Random stories of which parts are muted; what correlation makes of them is marked alike."""
    rng = random.Random(seed)
    suppressions = Suppressions([mute(detectors=("permission_change", "exposure"), up_to="SEV1")])

    def new() -> Correlator:
        return Correlator(about(), CorrelationSettings(max_incidents=6), suppressions)

    whole, restored, now = new(), new(), 0.0
    for _ in range(50):
        now += rng.expovariate(1 / 600)
        who = rng.choice(["bob", "eve", "carol"])
        made = rng.choice([change(now, who), change(now, who, closes=True), touch(now, who), post(now), exit_(now)])
        made = suppressions.mark(made) if rng.random() < 0.7 else msgspec.structs.replace(made, suppressed="mute:x")
        assert restored.advance(START.timestamp() + now) == whole.advance(START.timestamp() + now)
        assert restored.step(made) == whole.step(made)
        saved = msgspec.msgpack.decode(msgspec.msgpack.encode(restored.snapshot()))
        restored = new()
        restored.restore(saved)
