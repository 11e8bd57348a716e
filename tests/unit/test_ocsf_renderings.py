"""Findings and alerts as OCSF Detection Findings: what the published schema allows, and nothing lost."""

from datetime import timedelta
from pathlib import Path
from typing import Any, Final, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector import chains
from detector.alerts import Alert, Link
from detector.detectors import REGISTRY
from detector.events import ActorKind
from detector.findings import Finding
from detector.renderings.ocsf import alert_to_ocsf, encode, finding_to_ocsf
from detector.renderings.ocsf.attacks import TECHNIQUES, VERSIONS, attacks
from detector.severity import SEVERITIES
from tests.support import wild
from tests.support.checks import must_fail
from tests.support.nouns import T0, a_finding, an_alert
from tests.support.ocsf import checked

SAMPLE: Final = Path(__file__).parents[2] / "sample_logs" / "inbox_deletion" / "events.ndjson.gz"
TAGS: Final = ("OWASP-ASI-2026:ASI02", "ATLAS-5:AML.T0086", "ATTACK-18:T1567.002", "OWASP-ASI-2026:ASI10")
BURST: Final = a_finding(
    7,
    detector="transfer_rate",
    rule="burst",
    session="s-1",
    severity="SEV2",
    entities=("principal:agent-1", "resource:s3://lake", "session:s-1", "resource:s3://lake"),
    tags=TAGS,
    evidence={"channel": "bytes outside", "seen": 51_000_000.5, "expected": 300_000.0, "destination": "files.example"},
)


def test_the_schema_refuses_what_is_no_detection_finding() -> None:
    made = finding_to_ocsf(BURST)
    must_fail(lambda: checked({**made, "severity_id": 7}))
    must_fail(lambda: checked({**made, "colour": "red"}))
    must_fail(lambda: checked({name: value for name, value in made.items() if name != "finding_info"}))


def test_the_parts_of_a_finding() -> None:
    made = checked(finding_to_ocsf(BURST))
    assert (made["class_uid"], made["type_uid"], made["time"]) == (2004, 200401, 1_772_442_007_000)
    assert (made["severity_id"], made["severity"], made["risk_level"], made["status"]) == (4, "High", "High", "New")
    assert (made["is_alert"], made["confidence_score"], made["message"]) == (True, 99, BURST.reason)
    assert made["metadata"]["version"] == "1.8.0"
    assert (made["metadata"]["uid"], made["metadata"]["correlation_uid"]) == ("f-7", "s-1")
    info = made["finding_info"]
    assert (info["uid"], info["title"], info["related_events"]) == ("f-7", "transfer_rate: burst", [{"uid": "e7"}])
    assert (info["analytic"]["type"], info["analytic"]["uid"]) == ("Statistical", "transfer_rate.burst")
    assert info["tags"] == [{"name": "OWASP-ASI-2026", "values": ["ASI02", "ASI10"]}]
    assert info["attacks"] == made["attacks"]
    assert [attack["technique"]["uid"] for attack in made["attacks"]] == ["AML.T0086", "T1567"]
    assert made["attacks"][1]["sub_technique"] == {"uid": "T1567.002", "name": "Exfiltration to Cloud Storage"}
    (evidence,) = made["evidences"]
    assert evidence["actor"]["user"] == {"uid": "agent-1", "name": "agent-1", "type_id": 99, "type": "AI Agent"}
    assert evidence["resources"] == [{"uid": "s3://lake"}]
    assert evidence["dst_endpoint"] == {"name": "files.example"}
    assert evidence["data"] == BURST.evidence
    (analysis,) = made["anomaly_analyses"]
    assert analysis["analysis_targets"] == [{"name": "agent-1", "type": "AI Agent"}]
    assert analysis["anomalies"][0]["observation_parameter"] == "bytes outside"
    assert analysis["anomalies"][0]["observations"] == [{"value": "51000000.5"}]
    assert analysis["baselines"][0]["observations"] == [{"value": "300000"}]
    assert made["unmapped"]["p_value"] == 1e-4


def test_a_suppressed_finding_says_by_what_and_is_no_alert() -> None:
    made = checked(finding_to_ocsf(msgspec.structs.replace(BURST, suppressed="mute:backup")))
    assert (made["status_id"], made["status"], made["status_detail"]) == (3, "Suppressed", "mute:backup")
    assert made["is_alert"] is False


@pytest.mark.parametrize(
    ("evidence", "endpoint", "observable"),
    [
        ({"namespace": "host", "endpoint": "drop.example"}, {"hostname": "drop.example"}, (1, "drop.example")),
        ({"namespace": "host", "endpoint": "10.0.0.7:443"}, {"ip": "10.0.0.7"}, (2, "10.0.0.7")),
        ({"namespace": "host", "endpoint": "2001:db8::1"}, {"ip": "2001:db8::1"}, (2, "2001:db8::1")),
        ({"namespace": "recipient", "endpoint": "eve@x.example"}, {"name": "eve@x.example"}, (5, "eve@x.example")),
        ({"namespace": "bucket", "endpoint": "s3://drop"}, {"name": "s3://drop"}, (10, "s3://drop")),
        ({"namespace": "segment", "endpoint": "10.42.0.0/16"}, {"name": "10.42.0.0/16"}, (12, "10.42.0.0/16")),
        ({"recipient": "x.example/a", "recipient_kind": "url"}, {"name": "x.example/a"}, (6, "x.example/a")),
        ({"namespace": "account", "endpoint": "444455556666"}, {"name": "444455556666"}, None),
        ({"endpoint": 7}, None, None),
    ],
)
def test_where_it_went(
    evidence: dict[str, Any], endpoint: dict[str, str] | None, observable: tuple[int, str] | None
) -> None:
    made = checked(finding_to_ocsf(a_finding(evidence=evidence)))
    assert made["evidences"][0].get("dst_endpoint") == endpoint
    seen = [(item["type_id"], item["value"]) for item in made["observables"] if item["type_id"] != 31]
    assert seen == ([observable] if observable else [])


@pytest.mark.parametrize(
    ("evidence", "observed", "baseline"),
    [
        ({"namespace": "host", "endpoint": "x.example", "distinct_before": 17.4}, ["x.example", "1"], ["17.4"]),
        ({"run": 1.62, "step": 1.8, "action": "delete mail"}, ["delete mail", "1.62"], []),
        ({"features": {"errors": [9.0, 0.5], "hosts": [4, 1]}}, ["9", "4"], ["0.5", "1"]),
        ({"features": {"errors": 9.25}}, ["9.25"], []),
        ({"noun": "record", "seen": 68.2, "expected": 2.1}, ["68.2"], ["2.1"]),
    ],
)
def test_what_was_seen_and_what_was_expected(
    evidence: dict[str, Any], observed: list[str], baseline: list[str]
) -> None:
    (analysis,) = checked(finding_to_ocsf(a_finding(evidence=evidence)))["anomaly_analyses"]
    assert [item["observations"][0]["value"] for item in analysis["anomalies"]] == observed
    assert [item["observations"][0]["value"] for item in analysis.get("baselines", [])] == baseline


def test_a_rule_without_a_baseline_has_no_anomaly_and_full_confidence() -> None:
    made = checked(finding_to_ocsf(a_finding(detector="stop_violation", p_value=None, evidence={"acts": 3})))
    assert "anomaly_analyses" not in made
    assert (made["confidence_score"], made["finding_info"]["analytic"]["type"]) == (100, "Rule")


def test_the_life_of_an_alert() -> None:
    first, second = an_alert(7), an_alert(7, version=2, status="updated")
    last = an_alert(7, version=3, status="resolved", resolution="quiet for 1 h")
    made = [checked(alert_to_ocsf(alert)) for alert in (first, second, last)]
    assert [event["activity_name"] for event in made] == ["Create", "Update", "Close"]
    assert [event["type_uid"] for event in made] == [200401, 200402, 200403]
    assert [event["status"] for event in made] == ["New", "New", "Resolved"]
    assert [event["is_alert"] for event in made] == [True, True, False]
    assert [event["metadata"]["uid"] for event in made] == ["a-7:1", "a-7:2", "a-7:3"]
    assert {event["finding_info"]["uid"] for event in made} == {"a-7"}
    assert made[2]["status_detail"] == "quiet for 1 h"


def test_the_parts_of_an_alert() -> None:
    alert = an_alert(7, tags=TAGS, severity="SEV1", risk=0.8349)
    made = checked(alert_to_ocsf(alert))
    info = made["finding_info"]
    assert (made["severity_id"], made["risk_score"], made["risk_level"], made["count"]) == (5, 83, "Critical", 2)
    assert (info["title"], made["message"], made["remediation"]["desc"]) == (alert.title, alert.reason, alert.runbook)
    assert [item["uid"] for item in info["related_events"]] == ["e1", "e2", "f-1", "f-2"]
    assert [item["type"] for item in info["related_analytics"]] == ["Statistical", "Statistical"]
    assert (info["first_seen_time"], info["created_time"]) == (1_772_442_000_000, 1_772_442_030_000)
    assert made["duration"] == 31_000
    (step,) = made["evidences"]
    assert (step["uid"], step["actor"]["user"]["uid"], step["data"]["what"]) == ("e1", "agent-1", alert.story[0].what)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_every_severity_has_its_place(severity: Any) -> None:
    made = checked(finding_to_ocsf(a_finding(severity=severity)))
    assert made["is_alert"] is (severity != "SEV4")
    assert made["unmapped"]["severity"] == severity


def test_the_techniques_of_all_detectors_are_known_by_name() -> None:
    told = (*(detector.tags for detector in REGISTRY.values()), *chains.TAGS.values())
    tags = {tag for carried in told for tag in carried}
    techniques = {tag.partition(":")[2] for tag in tags if tag.partition(":")[0] in VERSIONS}
    assert techniques
    assert techniques <= set(TECHNIQUES)
    assert {tag.partition(":")[0] for tag in tags} - set(VERSIONS) == {"OWASP-ASI-2026", "OWASP-LLM-2026"}


def test_a_technique_of_no_name_keeps_its_id() -> None:
    assert attacks(["ATTACK-18:T9999.001"]) == [
        {"version": "18", "technique": {"uid": "T9999"}, "sub_technique": {"uid": "T9999.001"}}
    ]


findings = st.builds(
    Finding,
    id=wild.identifiers,
    time=wild.times,
    event_id=wild.names,
    principal=wild.names,
    principal_kind=st.sampled_from(get_args(ActorKind)),
    role=wild.names,
    session=wild.optional,
    detector=st.sampled_from([*REGISTRY, *chains.DERIVED, "new"]),
    rule=wild.names,
    score=st.floats(0, 400),
    p_value=st.none() | st.floats(0, 1),
    severity=st.sampled_from(SEVERITIES),
    reason=wild.names,
    entities=st.lists(
        st.sampled_from(["resource:", "principal:", ""]).flatmap(lambda p: wild.names.map(p.__add__))
    ).map(tuple),
    tags=st.lists(st.sampled_from([*TAGS, "ATTACK-18:", "loose", ""])).map(tuple),
    evidence=st.dictionaries(
        st.sampled_from(
            ["endpoint", "namespace", "seen", "expected", "run", "action", "distinct_before", "features", "x"]
        ),
        wild.values,
    ),
    suppressed=wild.optional,
)
alerts = st.builds(
    Alert,
    id=wild.identifiers,
    version=st.integers(1, 1000),
    opened_at=wild.times,
    detected_at=wild.times,
    updated_at=wild.times,
    status=st.sampled_from(["open", "updated", "resolved"]),
    severity=st.sampled_from(SEVERITIES),
    risk=st.floats(0, 1),
    title=wild.names,
    reason=wild.names,
    principals=st.lists(wild.names, max_size=3).map(tuple),
    roles=st.just(()),
    detectors=st.lists(st.sampled_from([*REGISTRY]), max_size=3).map(tuple),
    finding_ids=st.lists(wild.names, max_size=3).map(tuple),
    event_ids=st.lists(wild.names, max_size=3).map(tuple),
    finding_count=st.integers(0, 10**6),
    story=st.lists(st.builds(Link, wild.times, wild.names, wild.names, wild.names), max_size=3).map(tuple),
    tags=st.just(TAGS),
    runbook=wild.names,
    resolution=wild.optional,
)


@settings(deadline=None)
@given(st.one_of(findings, alerts))
def test_whatever_is_found_the_schema_allows_it_and_the_bytes_repeat(item: Finding | Alert) -> None:
    raw = encode(item)
    assert b"\n" not in raw
    assert encode(msgspec.json.decode(msgspec.json.encode(item), type=type(item))) == raw
    checked(msgspec.json.decode(raw))


def test_times_are_whole_milliseconds() -> None:
    late = an_alert(opened_at=T0 + timedelta(microseconds=1_999))
    assert checked(alert_to_ocsf(late))["start_time"] == 1_772_442_000_001


def test_what_nobody_should_write_is_written_nevertheless() -> None:
    for item in (an_alert(risk=float("nan")), a_finding(id=""), a_finding(reason="\ud83d", entities=("agent:\ud83d",))):
        checked(msgspec.json.decode(encode(item)))
    assert "\ufffd" in encode(a_finding(reason="a \ud83d")).decode()
