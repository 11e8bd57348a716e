"""Recognising formats: each message by its own top, none by trying."""

import json
from typing import Any

import pytest

from detector.events import Event, Reject
from detector.formats import REGISTRY
from detector.formats.about import ABOUT, signs_of
from detector.formats.audit import MAX_RECORDS
from detector.formats.auto import Auto, recognise
from detector.formats.parts import Part
from detector.formats.signs import SIGNS
from tests.support.audit_logs import gcp, github, okta, webhook
from tests.support.checks import must_fail
from tests.support.cloudtrail import record
from tests.support.kubernetes import audited
from tests.support.otel import message, protobuf, span
from tests.unit.test_formats import GOOD

decode = REGISTRY["auto"]
SPANS = message(span("execute_tool"))
TRAIL = record("s3:GetObject")
AUDIT = audited("get", "pods")
OKTA = json.loads(okta("user.session.start"))
GKE = json.loads(gcp("io.k8s.core.v1.pods.delete", "k8s", resourceName="core/v1/namespaces/web/pods/a"))
GKE["protoPayload"]["serviceName"] = "k8s.io"

SHAPES: dict[str, list[Any]] = {
    "cloudtrail": [
        TRAIL,
        {"Records": [TRAIL]},
        {"messageType": "DATA_MESSAGE", "logGroup": "trail", "logEvents": [{"message": json.dumps(TRAIL)}]},
        {"detail-type": "AWS API Call via CloudTrail", "source": "aws.s3", "detail": TRAIL},
    ],
    "kubernetes": [
        AUDIT,
        {name: AUDIT[name] for name in ("verb", "user", "objectRef")} | {"kind": "Event"},
        {"kind": "EventList", "apiVersion": "audit.k8s.io/v1", "items": [AUDIT]},
        {"kind": "EventList", "items": [AUDIT]},
        {"logGroup": "/aws/eks/prod/cluster", "logEvents": [{"message": json.dumps(AUDIT)}]},
        {"category": "kube-audit-admin", "properties": {"log": json.dumps(AUDIT)}},
        {"records": [{"category": "kube-audit", "properties": {"log": json.dumps(AUDIT)}}]},
        GKE,
    ],
    "gcp_audit": [json.loads(gcp("v1.compute.instances.delete", "compute"))],
    "github": [json.loads(github("repo.access")), json.loads(webhook(action="publicized"))],
    "okta": [
        OKTA,
        {"eventType": "com.okta.event_hook", "data": {"events": [OKTA]}},
        {"detail-type": "SystemLog", "source": "aws.partner/okta.com/acme/logs", "detail": OKTA},
    ],
    "otel": [json.loads(SPANS), json.loads(SPANS)["resourceSpans"][0], span("execute_tool")],
}


def formats_of(raw: bytes) -> list[str]:
    decoded = decode(raw)
    assert isinstance(decoded, tuple), decoded
    return [part.format for part in decoded if isinstance(part, Part) and isinstance(part.content, Event)]


@pytest.mark.parametrize(("name", "shape"), [(name, shape) for name, shapes in SHAPES.items() for shape in shapes])
def test_every_shape_of_a_format_is_recognised_and_decoded_by_it(name: str, shape: Any) -> None:
    raw = json.dumps(shape).encode()
    found = recognise(raw)
    assert not isinstance(found, Reject), found
    assert found.format == name
    assert formats_of(raw) == [name]
    decoded, own = decode(raw), REGISTRY[name](raw)
    assert isinstance(decoded, tuple)
    assert isinstance(own, tuple)
    assert [part.content for part in decoded if isinstance(part, Part)] == [
        part.content if isinstance(part, Part) else part for part in own
    ]


@pytest.mark.parametrize("name", [name for name in GOOD if name != "auto"])
def test_good_messages_are_what_they_are(name: str) -> None:
    if GOOD[name].startswith(b"["):
        assert set(formats_of(GOOD[name])) == {name}
    else:
        found = recognise(GOOD[name])
        assert not isinstance(found, Reject)
        assert found.format == name


def test_protobuf_is_spans_and_a_line_feed_before_json_is_not() -> None:
    assert formats_of(protobuf(SPANS)) == ["otel"]
    assert formats_of(b"\n" + SPANS) == ["otel"]
    for raw in (b"\n{", b"\n\x01\x02", b"\x0a\x03abc"):
        reject = decode(raw)
        assert isinstance(reject, Reject)
        assert reject.reason == "not_json"


def test_of_a_list_each_element_is_recognised_alone_with_its_own_bytes() -> None:
    elements = [GOOD["native"], GOOD["okta"], b'{"what":1}', b"[]", b"7", GOOD["cloudtrail"]]
    decoded = decode(b"[%s]" % b",".join(elements))
    assert isinstance(decoded, tuple)
    parts = [part for part in decoded if isinstance(part, Part)]
    told = [part.content.reason if isinstance(part.content, Reject) else part.format for part in parts]
    assert told == ["native", "okta", "unknown_format", "wrong_shape", "wrong_shape", "cloudtrail", "cloudtrail"]
    assert [part.raw for part in parts[:5]] == elements[:5]


def test_entries_of_google_are_recognised_each() -> None:
    plain = gcp("v1.compute.instances.delete", "compute")
    assert formats_of(b'{"entries": [%s, %s]}' % (plain, json.dumps(GKE).encode())) == ["gcp_audit", "kubernetes"]


def test_what_is_not_recognised_is_refused_with_what_was_seen_and_what_is_known() -> None:
    raw = b'{"colour": "red", "actor": {}, "kind": 1}'
    reject = decode(raw)
    assert isinstance(reject, Reject)
    assert (reject.reason, reject.raw) == ("unknown_format", raw)
    assert reject.detail.startswith("its keys are colour, actor, kind; known are cloudevents, cloudtrail, ")
    many = decode(json.dumps({f"key-{n}" * 30: n for n in range(500)}).encode())
    assert isinstance(many, Reject)
    assert len(many.detail) < 900
    assert "and 488 more" in many.detail


def test_a_message_of_a_format_is_refused_by_that_format() -> None:
    reject = decode(b'{"actor": {"id": "a"}, "kind": "teleport", "time": "2026-03-02T09:00:00Z", "id": "e"}')
    assert isinstance(reject, Reject)
    assert reject.reason == "wrong_shape"
    assert "teleport" in reject.detail


def test_no_decoder_is_asked_but_the_one() -> None:
    def other(_: bytes) -> Reject:
        raise AssertionError("asked")

    asked = Auto({name: REGISTRY[name] if name == "okta" else other for name in REGISTRY})
    assert isinstance(asked.decode(GOOD["okta"]), tuple)
    must_fail(lambda: asked.decode(GOOD["native"]))


@pytest.mark.parametrize("name", ["auto", "cloudevents", "okta", "gcp_audit", "github", "ocsf"])
def test_a_list_of_too_many_is_refused_whole(name: str) -> None:
    reject = REGISTRY[name](b"[%s]" % b",".join([b"{}"] * (MAX_RECORDS + 1)))
    assert isinstance(reject, Reject)
    assert reject.reason == "too_large"
    assert isinstance(REGISTRY[name](b"[%s]" % b",".join([b"{}"] * 100)), tuple)


def test_lists_within_elements_are_counted_too() -> None:
    element = b'{"Records":[%s]}' % b",".join([b"{}"] * (MAX_RECORDS // 2))
    reject = decode(b"[%s]" % b",".join([element] * 3))
    assert isinstance(reject, Reject)
    assert reject.reason == "too_large"


def test_every_format_is_told_of_and_has_a_sign() -> None:
    assert set(ABOUT) == set(REGISTRY)
    assert {name for name in REGISTRY if not signs_of(name)} == {"auto"}
    assert {sign.format for sign in SIGNS} <= set(REGISTRY)
