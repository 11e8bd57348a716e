"""OCSF events as events: who acted on what, what each class means, and its benign twin."""

from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import pytest

from detector.events import Actor, Destination, Event, Reject
from detector.formats.cloudtrail import decode as cloudtrail_decode
from detector.formats.ocsf import decode
from detector.formats.parts import Part, events_of
from tests.support import cloudtrail
from tests.support.ocsf import ANN, BILLING, ROBOT, call, one, read, record

ROBOTS: Final = Actor("svc-7", "agent", session="s-1")


def test_the_parts_of_an_event() -> None:
    made = call(
        "readRecords",
        2,
        resources=[BILLING | {"data_classification": {"confidentiality_id": 6}}],
        cloud={"provider": "Acme", "region": "eu-1", "account": {"uid": "acme-prod"}},
        dst_endpoint={"hostname": "crm.acme.example", "network_scope_id": 1},
        http_request={"user_agent": "robot/1", "http_method": "GET"},
        http_response={"code": 200, "body_length": 512},
        enrichments=[{"name": "owner", "value": "team-7", "data": {"team": 7}}],
        unmapped={"cookie": "secret"},
    )
    made["metadata"] |= {"correlation_uid": "c-1", "profiles": ["cloud", "data_classification"]}
    event = one(made)
    assert event.id == "ocsf:acme-prod:m-1"
    assert event.time == datetime(2026, 3, 2, 9, 0, 0, 123_000, tzinfo=UTC)
    assert event.actor == ROBOTS
    assert (event.kind, event.action, event.outcome, event.bytes_in) == ("access", "readRecords", "success", 512)
    assert event.target is not None
    assert (event.target.uri, event.target.type, event.target.sensitivity) == (
        "crm://billing",
        "collection",
        "restricted",
    )
    assert event.destination == Destination("crm.acme.example", zone="internal")
    assert event.trace_id == "c-1"
    assert event.attributes["source_ip"] == "203.0.113.7"
    assert event.attributes["enrichment.owner"] == "team-7"
    assert "secret" not in repr(event)


def test_of_several_resources_the_target_is_meant() -> None:
    made = [{"uid": "a", "role_id": 2}, {"uid": "b", "role_id": 4}, {"uid": "c", "role_id": 1}]
    event = one(call("rename", 3, resources=made))
    assert event.target is not None
    assert event.target.uri == "ocsf://-/resource/c"


def test_the_query_of_an_address_is_not_kept() -> None:
    made = record(6001, 2, web_resources=[{"name": "p", "url_string": "https://wiki.example/p?token=x"}])
    assert "token" not in repr(read(made))


@pytest.mark.parametrize(
    ("actor", "expected"),
    [
        ({"user": ANN}, ("ann@acme.example", "human")),
        ({"user": {"name": "root", "type_id": 2}}, ("root", "human")),
        ({"user": {"name": "SYSTEM", "uid": "S-1-5-18", "type_id": 3}}, ("S-1-5-18", "service")),
        ({"user": ROBOT}, ("svc-7", "agent")),
        ({"user": {"name": "etl@p.iam.gserviceaccount.com"}}, ("etl@p.iam.gserviceaccount.com", "agent")),
        ({"user": {"name": "ann@acme.example"}}, ("ann@acme.example", "human")),
        ({"user": {"name": "nightly", "type_id": 99, "type": "Service Account"}}, ("nightly", "agent")),
        ({"user": {"name": "ann"}, "idp": {"name": "sso"}}, ("ann", "human")),
        ({"user": {"name": "ann"}}, ("ann", "agent")),
        ({"app_name": "Assistant", "app_uid": "app-1"}, ("app-1", "agent")),
        ({"invoked_by": "scheduler"}, ("scheduler", "service")),
        ({"process": {"name": "cron", "user": {"name": "batch", "type_id": 4}}}, ("batch", "agent")),
    ],
)
def test_who_acted(actor: dict[str, Any], expected: tuple[str, str]) -> None:
    event = read(call("list", 2, actor=actor))
    assert (event.actor.id, event.actor.kind) == expected


def test_a_login_is_an_act_of_its_user_where_no_actor_is_named() -> None:
    event = one(record(3002, 1, actor=None, user=ANN, service={"name": "portal"}, session={"uid": "s-9"}))
    assert event.actor == Actor("ann@acme.example", "human", session="s-9")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "success"),
        ({"status_id": 2}, "failure"),
        ({"status_id": 2, "status_code": "AccessDenied"}, "denied"),
        ({"status_id": 2, "status_detail": "Not authorized to perform this"}, "denied"),
        ({"status_id": 0, "http_response": {"code": 403}}, "denied"),
        ({"status_id": 0, "http_response": {"code": 500}}, "failure"),
        ({"status_id": 0, "http_response": {"code": 204}}, "success"),
        ({"action_id": 2, "metadata": {"version": "1.8.0", "product": {"name": "a"}, "profiles": ["security_control"]}},
         "denied"),
    ],
)  # fmt: skip
def test_how_it_ended(fields: dict[str, Any], expected: str) -> None:
    assert one(call("list", 2, **fields)).outcome == expected


def test_without_a_class_it_is_no_ocsf() -> None:
    found = decode(b'{"activity_id": 1, "time": 1}')
    assert isinstance(found, Reject)
    assert (found.reason, found.detail) == ("wrong_shape", "no OCSF: class_uid is missing")
    wrong = decode(msgspec.json.encode(record(6003, 1, api="none")))
    assert isinstance(wrong, Reject)
    assert "api" in wrong.detail


def test_of_a_list_each_has_its_own_bytes_and_a_bad_one_is_refused_alone() -> None:
    good = [msgspec.json.encode(call("list", 2, metadata=None)) for _ in range(2)]
    found = decode(b"[%s, {}, %s]" % tuple(good))
    assert isinstance(found, tuple)
    parts = [item for item in found if isinstance(item, Part)]
    assert [part.raw for part in parts] == [good[0], b"{}", good[1]]
    assert isinstance(parts[1].content, Reject)
    assert len({event.id for event in events_of(found)}) == 2  # the same twice, each an event of its own


def test_no_time_is_dated_by_arrival_and_a_bad_one_is_refused() -> None:
    assert read(call("list", 2, time=None)).attributes["undated"] is True
    assert read(call("list", 2, time=None, time_dt="2026-03-02T09:00:00Z")).time.year == 2026
    assert isinstance(decode(msgspec.json.encode(call("list", 2, time=1e300))), Reject)


def lake(trail: dict[str, Any], style: str) -> dict[str, Any]:
    """A CloudTrail record as Amazon Security Lake and others hand it on: parameters as `data`, whole or flat."""
    identity = trail["userIdentity"]
    session = identity["sessionContext"]
    parameters = trail["requestParameters"]
    request: dict[str, Any] = {"uid": trail["requestID"]}
    unmapped: dict[str, Any] = {"eventType": trail["eventType"]}
    if style == "data":
        request["data"] = msgspec.json.encode(parameters).decode()
    elif style == "whole":
        unmapped["requestParameters"] = parameters
    else:
        unmapped |= {
            f"requestParameters.{name}": value if isinstance(value, str) else msgspec.json.encode(value).decode()
            for name, value in parameters.items()
        }
    return call(
        trail["eventName"],
        service=trail["eventSource"],
        api={"operation": trail["eventName"], "service": {"name": trail["eventSource"]}, "request": request},
        actor={
            "user": {
                "type": identity["type"],
                "uid": identity["arn"],
                "uid_alt": identity["principalId"],
                "credential_uid": identity["accessKeyId"],
                "account": {"uid": identity["accountId"]},
            },
            "session": {"issuer": session["sessionIssuer"]["arn"], "is_mfa": False},
        },
        cloud={"provider": "AWS", "region": trail["awsRegion"], "account": {"uid": trail["recipientAccountId"]}},
        metadata={
            "version": "1.8.0",
            "uid": trail["eventID"],
            "product": {"name": "CloudTrail", "vendor_name": "AWS"},
            "profiles": ["cloud"],
        },
        unmapped=unmapped,
        time=int(datetime.fromisoformat(trail["eventTime"]).timestamp() * 1000),
    )


OPEN: Final = cloudtrail.policy({"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "*"})
PRIVATE: Final = cloudtrail.policy(
    {"Effect": "Allow", "Principal": {"AWS": cloudtrail.ROLE}, "Action": "s3:GetObject", "Resource": "*"}
)


@pytest.mark.parametrize("style", ["data", "whole", "flat"])
@pytest.mark.parametrize(
    ("key", "parameters"),
    [
        ("s3:PutBucketPolicy", {"bucketName": "b", "bucketPolicy": OPEN}),
        ("s3:PutBucketPolicy", {"bucketName": "b", "bucketPolicy": PRIVATE}),
        ("iam:AttachUserPolicy", {"userName": "u", "policyArn": "arn:aws:iam::aws:policy/AdministratorAccess"}),
        ("cloudtrail:StopLogging", {"name": "main"}),
        ("s3:GetObject", {"bucketName": "b", "key": "k"}),
    ],
)
def test_a_call_to_aws_means_what_it_means_in_cloudtrail(key: str, parameters: dict[str, Any], style: str) -> None:
    trail = cloudtrail.record(key, parameters)
    event = one(lake(trail, style))
    found = cloudtrail_decode(msgspec.json.encode(trail))
    assert isinstance(found, tuple)
    (expected,) = events_of(found)
    assert _without_attributes(event) == _without_attributes(expected)
    assert event.attributes["class"] == "API Activity"


def _without_attributes(event: Event) -> Event:
    return msgspec.structs.replace(event, attributes={})


def test_a_classification_reaches_the_target_of_a_call_to_aws() -> None:
    made = lake(cloudtrail.record("s3:GetObject", {"bucketName": "b", "key": "k"}), "data")
    made["resources"] = [{"uid": "arn:aws:s3:::b", "data_classification": {"category_id": 1}}]
    target = read(made).target
    assert target is not None
    assert target.sensitivity == "confidential"
