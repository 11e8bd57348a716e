"""CloudTrail records as events: who acted, what the call means, and its benign twin."""

from datetime import UTC, datetime
from typing import Any, Final

import msgspec
import pytest

from detector.events import Event, Reject
from detector.formats.cloudtrail import decode
from detector.formats.cloudtrail.acts import IDENTITY
from detector.formats.cloudtrail.events import ACTS
from detector.formats.cloudtrail.resources import RESOURCES
from detector.formats.cloudtrail.safeguards import SAFEGUARDS
from detector.formats.parts import Part, events_of
from tests.support.cloudtrail import ACCOUNT, OTHER, ROLE, message, one, record, role


def test_the_parts_of_an_event() -> None:
    event = one(
        "s3:GetObject", {"bucketName": "b", "key": "a/c.csv"}, additionalEventData={"bytesTransferredOut": 89.0}
    )
    assert event.id == f"cloudtrail:{ACCOUNT}:8e1f0a5c-4a2e-4b0e-9f0e-1d2c3b4a5f60"
    assert event.time == datetime(2026, 3, 2, 9, tzinfo=UTC)
    assert (event.actor.id, event.actor.kind, event.actor.session) == (ROLE, "agent", "i-0abc")
    assert (event.kind, event.action, event.bytes_out, event.outcome) == ("access", "s3:GetObject", 89, "success")
    assert event.target is not None
    assert (event.target.uri, event.target.sensitivity) == ("s3://b/a/c.csv", "unknown")
    assert event.attributes["source_ip"] == "198.51.100.7"
    assert event.destination is None


@pytest.mark.parametrize(
    ("identity", "fields", "expected"),
    [
        (
            {"type": "IAMUser", "arn": f"arn:aws:iam::{ACCOUNT}:user/ann"},
            {},
            (f"arn:aws:iam::{ACCOUNT}:user/ann", "agent"),
        ),
        (
            {"type": "IAMUser", "arn": f"arn:aws:iam::{ACCOUNT}:user/ann"},
            {"userAgent": "console.ec2.amazonaws.com"},
            (f"arn:aws:iam::{ACCOUNT}:user/ann", "human"),
        ),
        ({"type": "Root", "arn": f"arn:aws:iam::{ACCOUNT}:root"}, {}, (f"arn:aws:iam::{ACCOUNT}:root", "human")),
        ({"type": "AWSService", "invokedBy": "ec2.amazonaws.com"}, {}, ("ec2.amazonaws.com", "service")),
        (
            {"type": "AWSAccount", "principalId": "AROAYYYY:build-7", "accountId": OTHER},
            {},
            ("AROAYYYY", "agent"),
        ),
        (
            {"type": "AssumedRole", "arn": f"arn:aws:sts::{ACCOUNT}:assumed-role/bot/run-1"},
            {},
            (f"arn:aws:iam::{ACCOUNT}:role/bot", "agent"),
        ),
        (role(mfa="true"), {}, (ROLE, "human")),
        (None, {}, (ACCOUNT, "agent")),
    ],
)
def test_who_acted(identity: Any, fields: dict[str, Any], expected: tuple[str, str]) -> None:
    actor = one("ec2:DescribeInstances", None, userIdentity=identity, **fields).actor
    assert (actor.id, actor.kind) == expected


def test_a_portals_role_is_its_person() -> None:
    actor = one("s3:ListBuckets", userIdentity=role("ann@corp.example", "AWSReservedSSO_Dev_0123")).actor
    assert (actor.kind, actor.on_behalf_of, actor.session) == ("human", "ann@corp.example", "ann@corp.example")


@pytest.mark.parametrize(
    ("fields", "outcome"),
    [
        ({}, "success"),
        ({"errorCode": ""}, "success"),
        ({"errorCode": "AccessDenied"}, "denied"),
        ({"errorCode": "Client.UnauthorizedOperation"}, "denied"),
        ({"errorCode": "Client.DryRunOperation"}, "failure"),
        ({"errorCode": "NoSuchBucket"}, "failure"),
        ({"errorMessage": "Failed authentication"}, "failure"),
        ({"responseElements": {"DeleteBucket": "Failure"}}, "failure"),
    ],
)
def test_how_it_ended(fields: dict[str, Any], outcome: str) -> None:
    event = one("s3:DeleteBucket", {"bucketName": "b"}, **fields)
    assert (event.kind, event.records, event.outcome) == ("delete", 1, outcome)


def test_an_access_key_of_ones_own() -> None:
    made = one("iam:CreateAccessKey").permission
    named = one("iam:CreateAccessKey", {"userName": "ann"}).permission
    assert made is not None
    assert named is not None
    assert (made.grantee, named.grantee) == (ROLE, f"arn:aws:iam::{ACCOUNT}:user/ann")


def test_another_account_is_told_apart() -> None:
    params = {"snapshotId": "snap-1", "createVolumePermission": {"add": {"items": [{"userId": OTHER}]}}}
    assert one("ec2:ModifySnapshotAttribute", params).attributes["grantee_account"] == OTHER
    params["createVolumePermission"]["add"]["items"][0]["userId"] = ACCOUNT  # type: ignore[index]
    assert "grantee_account" not in one("ec2:ModifySnapshotAttribute", params).attributes


@pytest.mark.parametrize(("owner", "zone"), [(OTHER, "unknown"), (ACCOUNT, "internal")])
def test_a_copy_says_whose_bucket_it_goes_to(owner: str, zone: str) -> None:
    event = one(
        "s3:PutObject",
        {"bucketName": "drop", "key": "k"},
        resources=[{"ARN": "arn:aws:s3:::drop", "accountId": owner, "type": "AWS::S3::Bucket"}],
        additionalEventData={"bytesTransferredIn": 4096, "bytesTransferredOut": 0},
    )
    assert event.destination is not None
    assert (event.destination.host, event.destination.account) == ("drop.s3.amazonaws.com", owner)
    assert (event.kind, event.destination.zone, event.bytes_out) == ("transfer", zone, 4096)


def test_parameters_are_found_in_any_spelling() -> None:
    wrapped = {"DeleteFlowLogsRequest": {"FlowLogId": {"content": "fl-1", "tag": 1}}}
    for params in (wrapped, {"flowLogId": "fl-1"}, {"FlowLogId": ["fl-1"]}):
        target = one("ec2:DeleteFlowLogs", params).target
        assert target is not None
        assert target.uri == f"arn:aws:ec2:eu-west-1:{ACCOUNT}:vpc-flow-log/fl-1"


def test_no_operation_has_two_rows() -> None:
    assert len(ACTS) == len(IDENTITY) + len(RESOURCES) + len(SAFEGUARDS)


def test_a_replica_says_where_objects_go_from_now_on() -> None:
    rule = {"Status": "Enabled", "Destination": {"Bucket": "arn:aws:s3:::drop", "Account": OTHER}}
    own = [{"ARN": "arn:aws:s3:::b", "accountId": ACCOUNT}]
    event = one(
        "s3:PutBucketReplication",
        {"bucketName": "b", "ReplicationConfiguration": {"Rule": rule}},
        resources=own,
    )
    assert event.destination is not None
    assert (event.destination.host, event.destination.account) == ("drop.s3.amazonaws.com", OTHER)
    assert (event.kind, event.destination.zone) == ("transfer", "unknown")


def test_a_secret_is_restricted_by_nature() -> None:
    read = one("secretsmanager:GetSecretValue", {"secretId": "prod/db"}).target
    assert read is not None
    assert (read.uri, read.sensitivity) == (f"arn:aws:secretsmanager:eu-west-1:{ACCOUNT}:secret:prod/db", "restricted")


def test_no_request_body_is_kept() -> None:
    hidden = "hunter2-very-secret"
    for key in ("iam:CreateLoginProfile", "rds:ModifyDBInstance", "ssm:PutParameter", "lambda:Invoke"):
        event = one(key, {"password": hidden, "masterUserPassword": hidden, "value": hidden, "payload": hidden})
        assert hidden not in msgspec.json.encode(event).decode()


ENVELOPES: Final[dict[str, dict[str, Any]]] = {
    "single": record("s3:DeleteBucket", {"bucketName": "b"}),
    "file": {"Records": [record("s3:DeleteBucket", {"bucketName": "b"})]},
    "bridge": {
        "version": "0",
        "id": "1",
        "detail-type": "AWS API Call via CloudTrail",
        "source": "aws.s3",
        "account": ACCOUNT,
        "detail": record("s3:DeleteBucket", {"bucketName": "b"}),
    },
    "logs": {
        "messageType": "DATA_MESSAGE",
        "logGroup": "trail",
        "logEvents": [
            {
                "id": "1",
                "timestamp": 1,
                "message": msgspec.json.encode(record("s3:DeleteBucket", {"bucketName": "b"})).decode(),
            },
            {"id": "2", "timestamp": 2, "message": "another line"},
        ],
    },
}


ENVELOPES["bridge, as a pipe may write it"] = ENVELOPES["bridge"] | {"detail-type": "aws api call via cloudtrail"}


@pytest.mark.parametrize("name", ENVELOPES)
def test_every_envelope_holds_the_same(name: str) -> None:
    decoded = decode(msgspec.json.encode(ENVELOPES[name]))
    assert isinstance(decoded, tuple)
    assert events_of(decoded) == (one("s3:DeleteBucket", {"bucketName": "b"}),)


def test_a_bad_record_is_refused_alone_with_its_own_bytes() -> None:
    records = [record("s3:GetObject"), {"eventName": 7}, record("s3:DeleteBucket", {"bucketName": "b"})]
    for enveloped in (
        {"Records": records},
        {"logEvents": [{"message": msgspec.json.encode(each).decode()} for each in records]},
    ):
        decoded = decode(msgspec.json.encode(enveloped))
        assert isinstance(decoded, tuple)
        parts = [part for part in decoded if isinstance(part, Part)]
        assert [type(part.content) for part in parts] == [Event, Reject, Event]
        assert [part.raw for part in parts] == [msgspec.json.encode(each) for each in records]
        assert parts[1].content == Reject(
            "wrong_shape", "Expected `str | null`, got `int` - at `$.eventName`", parts[1].raw
        )


@pytest.mark.parametrize(
    "passed_over",
    [
        {"Records": []},
        {"detail-type": "GuardDuty Finding", "detail": {"resources": "many"}},
        {"messageType": "CONTROL_MESSAGE", "logEvents": [{"id": "", "message": "CWL CONTROL MESSAGE"}]},
        {"Records": [record("ec2:RunInstances", eventType="AwsCloudTrailInsight")]},
    ],
)
def test_what_is_no_record_is_passed_over(passed_over: Any) -> None:
    assert decode(msgspec.json.encode(passed_over)) == ()


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (record("s3:GetObject", eventTime="soon"), "wrong_shape"),
        (record("s3:GetObject", eventTime="0001-01-01T00:00:00Z"), "wrong_shape"),
        (record("s3:GetObject", eventName=7), "wrong_shape"),
        (record("s3:GetObject", userIdentity="me"), "wrong_shape"),
        ({"Records": [{}]}, "wrong_shape"),
        ({"detail-type": "AWS API Call via CloudTrail", "detail": []}, "wrong_shape"),
        ({"logEvents": [{"message": '{"eventName": '}]}, "not_json"),
    ],
)
def test_what_is_wrong_is_named(made: Any, reason: str) -> None:
    answer = decode(msgspec.json.encode(made))
    (refused,) = [part.content for part in answer if isinstance(part, Part)] if isinstance(answer, tuple) else [answer]
    assert isinstance(refused, Reject)
    assert refused.reason == reason


def test_a_record_without_a_time_is_left_to_its_reader_to_date() -> None:
    undated, dated = one("s3:GetObject", eventTime=None), one("s3:GetObject")
    assert (undated.time.year, undated.attributes["undated"]) == (1970, True)
    assert "undated" not in dated.attributes


def test_a_record_without_an_id_has_a_stable_one() -> None:
    anonymous = {"eventID": None, "requestID": None}
    first, again = (one("s3:GetObject", {"bucketName": "b"}, **anonymous) for _ in range(2))
    other = one("s3:GetObject", {"bucketName": "c"}, **anonymous)
    assert first.id == again.id != other.id


@pytest.mark.parametrize("params", [7, "x", [], [None], {"policy": 3}, {"bucketName": [[]]}, {"a": {"items": 1}}])
def test_parameters_of_any_shape_are_answered(params: Any) -> None:
    for key in ACTS:
        assert isinstance(decode(message(record(key, params))), tuple), key
