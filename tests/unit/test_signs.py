"""What audit logs tell of identities, exports and footholds, each with its benign twin."""

from typing import Any

import pytest

from detector.events import Event, Reject
from detector.formats import REGISTRY
from detector.formats.parts import events_of
from tests.support import cloudtrail
from tests.support.audit_logs import gcp, github, okta, webhook
from tests.support.kubernetes import one as k8s
from tests.support.kubernetes import pod

ROOT = {"type": "Root", "arn": f"arn:aws:iam::{cloudtrail.ACCOUNT}:root", "accountId": cloudtrail.ACCOUNT}
USER = {"type": "IAMUser", "arn": f"arn:aws:iam::{cloudtrail.ACCOUNT}:user/ann", "accountId": cloudtrail.ACCOUNT}
NOBODY = {"type": "AWSAccount", "principalId": "", "accountId": "ANONYMOUS_PRINCIPAL"}
LOGIN: dict[str, Any] = {"responseElements": {"ConsoleLogin": "Success"}}


def only(name: str, raw: bytes) -> Event:
    answer = REGISTRY[name](raw)
    assert not isinstance(answer, Reject), answer
    (found,) = events_of(answer)
    return found


@pytest.mark.parametrize(
    ("key", "params", "fields", "name", "expected"),
    [
        ("s3:GetObject", {"bucketName": "b", "key": "k"}, {"userIdentity": NOBODY}, "anonymous", True),
        ("s3:GetObject", {"bucketName": "b", "key": "k"}, {}, "anonymous", None),
        ("ec2:DescribeInstances", None, {"userIdentity": ROOT}, "root", True),
        ("ec2:DescribeInstances", None, {"userIdentity": {**ROOT, "invokedBy": "x.amazonaws.com"}}, "root", None),
        ("ec2:DescribeInstances", None, {"userIdentity": USER}, "root", None),
        ("sts:AssumeRoot", {"targetPrincipal": cloudtrail.OTHER}, {}, "root", True),
        (
            "signin:ConsoleLogin",
            None,
            {"userIdentity": USER, "additionalEventData": {"MFAUsed": "No"}, **LOGIN},
            "second_factor",
            False,
        ),
        (
            "signin:ConsoleLogin",
            None,
            {"userIdentity": USER, "additionalEventData": {"MFAUsed": "Yes"}, **LOGIN},
            "second_factor",
            True,
        ),
        ("signin:ConsoleLogin", None, {"additionalEventData": {"MFAUsed": "No"}, **LOGIN}, "second_factor", None),
        (
            "iam:AttachUserPolicy",
            {"userName": "ann", "policyArn": "arn:aws:iam::aws:policy/AWSCompromisedKeyQuarantineV3"},
            {},
            "alarm",
            True,
        ),
        (
            "iam:AttachUserPolicy",
            {"userName": "ann", "policyArn": "arn:aws:iam::aws:policy/ReadOnlyAccess"},
            {},
            "alarm",
            None,
        ),
        ("ssm:SendCommand", {}, {}, "remote_command", "SendCommand"),
        ("ssm:DescribeSessions", {}, {}, "remote_command", None),
        ("secretsmanager:BatchGetSecretValue", {"filters": [{"key": "name"}]}, {}, "whole", "secrets"),
        ("secretsmanager:BatchGetSecretValue", {"secretIdList": ["a"]}, {}, "whole", None),
        ("ssm:GetParametersByPath", {"path": "/"}, {}, "whole", "parameters"),
        ("ssm:GetParametersByPath", {"path": "/app"}, {}, "whole", None),
    ],
)
def test_cloudtrail_tells_of_identities(key: str, params: Any, fields: Any, name: str, expected: Any) -> None:
    assert cloudtrail.one(key, params, **fields).attributes.get(name) == expected


@pytest.mark.parametrize(
    ("key", "params", "expected"),
    [
        ("ec2:ModifyInstanceAttribute", {"instanceId": "i-1", "userData": {}}, ("widen", "unknown", "startup script")),
        ("ec2:ModifyInstanceAttribute", {"instanceId": "i-1", "ebsOptimized": {"value": True}}, ("call",)),
        (
            "ec2:CreateRoute",
            {"routeTableId": "r", "destinationCidrBlock": "0.0.0.0/0"},
            ("widen", "group", "network route"),
        ),
        ("ec2:DescribeRouteTables", {}, ("call",)),
        ("ec2:CreateTrafficMirrorSession", {}, ("transfer",)),
        (
            "lambda:UpdateFunctionConfiguration",
            {"layers": ["arn:aws:lambda:x"]},
            ("widen", "unknown", "function layer"),
        ),
        ("lambda:UpdateFunctionConfiguration", {"memorySize": 256}, ("call",)),
        (
            "securityhub:BatchUpdateFindings",
            {"workflow": {"status": "SUPPRESSED"}},
            ("disable", "unknown", "threat findings"),
        ),
        ("securityhub:BatchUpdateFindings", {"workflow": {"status": "NOTIFIED"}}, ("call",)),
        ("bedrock:DeleteGuardrail", {}, ("disable", "unknown", "AI guardrail")),
        ("sagemaker:CreatePresignedDomainUrl", {}, ("grant", "user", "credential:notebook session")),
        ("route53domains:TransferDomainToAnotherAwsAccount", {}, ("transfer",)),
    ],
)
def test_cloudtrail_tells_of_ways_in_and_out(key: str, params: Any, expected: tuple[str, ...]) -> None:
    assert cloudtrail.told(cloudtrail.one(key, params)) == expected


@pytest.mark.parametrize(
    ("verb", "resource", "body", "fields", "told"),
    [
        ("create", "daemonsets", {"spec": {"template": pod()}}, {}, "elevated: workload on every node"),
        ("patch", "daemonsets", {"spec": {"template": pod()}}, {}, None),
        ("create", "pods", pod(), {"namespace": "kube-system"}, "elevated: workload in kube-system"),
        ("create", "pods", pod(), {}, None),
        ("create", "pods", pod(), {"namespace": "kube-system", "user": "system:node:n"}, None),
        ("create", "serviceaccounts", None, {"namespace": "kube-system"}, "service account"),
        ("create", "serviceaccounts", None, {}, None),
        ("delete", "events", None, {}, "cluster events"),
    ],
)
def test_kubernetes_tells_of_footholds(verb: str, resource: str, body: Any, fields: Any, told: str | None) -> None:
    event = k8s(verb, resource, body, **{"namespace": "web", **fields})
    assert (event.permission.privilege if event.permission else None) == told


@pytest.mark.parametrize(
    ("verb", "resource", "fields", "name", "expected"),
    [
        ("create", "pods/exec", {}, "remote_command", "exec"),
        ("patch", "pods/ephemeralcontainers", {}, "remote_command", "ephemeralcontainers"),
        ("patch", "pods/status", {}, "remote_command", None),
        ("list", "secrets", {"name": ""}, "whole", "secrets"),
        ("get", "secrets", {}, "whole", None),
        ("watch", "secrets", {"name": ""}, "whole", None),
        ("list", "pods", {"name": ""}, "whole", None),
    ],
)
def test_kubernetes_tells_what_was_entered_or_read_whole(
    verb: str, resource: str, fields: Any, name: str, expected: Any
) -> None:
    assert k8s(verb, resource, **fields).attributes.get(name) == expected


def test_a_clusters_requests_mean_the_same_in_googles_log() -> None:
    path = "core/v1/namespaces/web/pods/a/exec"
    found = only("gcp_audit", gcp("io.k8s.core.v1.pods.exec.create", "k8s", path, serviceName="k8s.io"))
    assert (found.action, found.attributes["remote_command"]) == ("create pods/exec", "exec")


@pytest.mark.parametrize(
    ("method", "service", "told"),
    [
        ("google.login.LoginService.suspiciousLogin", "login", True),
        ("google.login.LoginService.loginSuccess", "login", None),
        ("google.login.LoginService.govAttackWarning", "login", True),
    ],
)
def test_google_tells_what_it_finds_suspicious(method: str, service: str, told: Any) -> None:
    assert only("gcp_audit", gcp(method, service)).attributes.get("alarm") == told


def test_a_snapshot_of_a_disk_is_a_copy_and_a_new_disk_is_none() -> None:
    assert only("gcp_audit", gcp("v1.compute.snapshots.insert", "compute")).kind == "transfer"
    assert only("gcp_audit", gcp("v1.compute.disks.insert", "compute")).kind == "call"


@pytest.mark.parametrize(
    ("fields", "name", "expected"),
    [
        ({"outcome": {"result": "FAILURE", "reason": "FastPass declined phishing attempt"}}, "alarm", True),
        ({"outcome": {"result": "FAILURE", "reason": "INVALID_CREDENTIALS"}}, "alarm", None),
        ({"securityContext": {"isProxy": True}}, "unusual", "Proxy"),
        ({"securityContext": {"isProxy": False}}, "unusual", None),
        ({"outcome": None}, "alarm", None),
    ],
)
def test_okta_tells_of_sign_ons(fields: Any, name: str, expected: Any) -> None:
    assert only("okta", okta("user.session.start", **fields)).attributes.get(name) == expected


def test_okta_tells_of_trust_between_organisations() -> None:
    found = only("okta", okta("application.lifecycle.update", ("AppInstance", "Okta Org2Org")))
    assert found.permission is not None
    assert found.permission.privilege == "credential:identity provider"
    pushed = {"outcome": {"result": "SUCCESS", "reason": "Pushing user passwords"}}
    found = only("okta", okta("application.lifecycle.update", ("AppInstance", "payroll"), **pushed))
    assert found.permission is not None
    assert only("okta", okta("application.lifecycle.update", ("AppInstance", "payroll"))).permission is None


@pytest.mark.parametrize(
    ("event", "source", "told"),
    [
        ("pull_request_target", "stranger/app", "stranger/app"),
        ("pull_request", "stranger/app", None),
        ("pull_request_target", "acme/app", None),
    ],
)
def test_github_tells_of_strangers_code_with_the_houses_rights(event: str, source: str, told: str | None) -> None:
    run = {"id": 7, "event": event, "head_repository": {"full_name": source}}
    found = only("github", webhook(action="requested", workflow_run=run))
    assert found.attributes.get("outside_code") == told


def test_a_vulnerable_dependency_is_no_suspicious_act() -> None:
    assert "alarm" not in only("github", github("repository_vulnerability_alert.create")).attributes
    assert only("github", github("secret_scanning_alert.create")).attributes["alarm"] is True


@pytest.mark.parametrize(
    ("key", "params", "fields", "private"),
    [
        ("s3:PutBucketPolicy", {"AWS": cloudtrail.ROLE}, {}, True),
        ("s3:PutBucketPolicy", {"Service": "cloudtrail.amazonaws.com"}, {}, True),
        ("s3:PutBucketPolicy", {"AWS": f"arn:aws:iam::{cloudtrail.OTHER}:root"}, {}, None),
        ("s3:PutBucketPolicy", {"AWS": [cloudtrail.ROLE, f"arn:aws:iam::{cloudtrail.OTHER}:role/r"]}, {}, None),
        ("s3:PutBucketPolicy", "*", {}, None),
    ],
)
def test_a_policy_that_stays_in_the_house_is_told_apart(key: str, params: Any, fields: Any, private: Any) -> None:
    made = cloudtrail.policy({"Effect": "Allow", "Principal": params, "Action": "s3:GetObject", "Resource": "*"})
    event = cloudtrail.one(key, {"bucketName": "b", "bucketPolicy": made}, **fields)
    assert event.attributes.get("private") == private
    foreign = private is None and params != "*"
    assert event.attributes.get("grantee_account") == (cloudtrail.OTHER if foreign else None)


def test_a_role_is_a_new_door_even_where_its_policy_is_not_logged() -> None:
    assert cloudtrail.told(cloudtrail.one("iam:CreateRole", {"roleName": "r"})) == ("grant", "unknown", "assume role")


@pytest.mark.parametrize(
    ("params", "answer", "kind"),
    [
        ({"dBSnapshotIdentifier": "mine"}, {"snapshotType": "manual"}, "transfer"),
        ({"dBSnapshotIdentifier": "mine"}, None, "transfer"),
        ({"dBSnapshotIdentifier": "mine"}, {"snapshotType": "automated"}, "call"),
        ({"dBSnapshotIdentifier": "awsbackup:job-1"}, None, "call"),
    ],
)
def test_a_snapshot_by_plan_is_no_copy(params: Any, answer: Any, kind: str) -> None:
    assert cloudtrail.one("rds:CreateDBSnapshot", params, responseElements=answer).kind == kind


@pytest.mark.parametrize(
    ("key", "params", "audience", "privilege"),
    [
        (
            "ec2:AuthorizeSecurityGroupIngress",
            {"groupId": "g", "cidrIp": "192.0.2.7/32"},
            "user",
            "ingress any any-any",
        ),
        (
            "ec2:AuthorizeSecurityGroupIngress",
            {"groupId": "g", "cidrIp": "192.0.2.0/24"},
            "group",
            "ingress any any-any",
        ),
        ("rds:AuthorizeDBSecurityGroupIngress", {"cIDRIP": "192.0.2.7/32"}, "group", "connect any any-any"),
    ],
)
def test_one_more_host_is_told_from_a_range_and_from_a_database(
    key: str, params: Any, audience: str, privilege: str
) -> None:
    permission = cloudtrail.one(key, params).permission
    assert permission is not None
    assert (permission.audience, permission.privilege) == (audience, privilege)
