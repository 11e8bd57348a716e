"""What the calls on data, machines and safeguards mean: every class of change with its benign twin."""

import json
from typing import Any, Final

import pytest

from tests.support.cloudtrail import ACCOUNT, OTHER, one, policy, told

EVERYBODY: Final = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::b/*"}


def group(cidr: str) -> dict[str, Any]:
    ranges = {"items": [{"cidrIp": cidr}]}
    rules = [{"ipProtocol": "tcp", "fromPort": 22, "toPort": 22, "ipRanges": ranges, "ipv6Ranges": {}, "groups": {}}]
    return {"groupId": "sg-1", "ipPermissions": {"items": rules}}


ALL_USERS: Final = {"URI": "http://acs.amazonaws.com/groups/global/AllUsers"}
OURS: Final = {"StringEquals": {"aws:PrincipalOrgID": "o-1234567890"}}


def acl(*grants: tuple[dict[str, str], str]) -> dict[str, Any]:
    listed = [{"Grantee": who, "Permission": what} for who, what in grants]
    return {"bucketName": "b", "AccessControlPolicy": {"Owner": {"ID": "o"}, "AccessControlList": {"Grant": listed}}}


@pytest.mark.parametrize(
    ("key", "params", "expected"),
    [
        # Object storage: open, and its benign twins
        ("s3:PutBucketPolicy", {"bucketPolicy": policy(EVERYBODY)}, ("widen", "public", "s3:GetObject")),
        (
            "s3:PutBucketPolicy",
            {"bucketPolicy": policy({**EVERYBODY, "Condition": OURS})},
            ("grant", "org", "s3:GetObject"),
        ),
        (
            "s3:PutBucketPolicy",
            {"bucketPolicy": policy({**EVERYBODY, "Effect": "Deny"})},
            ("narrow", "unknown", "resource policy"),
        ),
        ("s3:PutBucketPolicy", {"bucketPolicy": "no policy"}, ("grant", "unknown", "resource policy")),
        ("s3:PutBucketPolicy", None, ("grant", "unknown", "resource policy")),
        ("s3:DeleteBucketPolicy", {"bucketName": "b"}, ("narrow", "user", "bucket policy")),
        ("s3:PutBucketAcl", {"x-amz-acl": ["public-read"]}, ("widen", "public", "READ")),
        ("s3:PutBucketAcl", {"acl": [""], "x-amz-acl": ["private"]}, ("narrow", "user", "private")),
        ("s3:PutBucketAcl", acl(({"ID": "o"}, "FULL_CONTROL"), (ALL_USERS, "READ")), ("widen", "public", "READ")),
        ("s3:PutBucketAcl", acl(({"ID": "o"}, "FULL_CONTROL")), ("narrow", "user", "private")),
        ("s3:PutBucketAcl", acl(({"ID": "p"}, "WRITE")), ("grant", "user", "WRITE")),
        ("s3:PutObject", {"bucketName": "b", "key": "k", "x-amz-acl": "public-read"}, ("widen", "public", "READ")),
        ("s3:PutObject", {"bucketName": "b", "key": "k", "x-amz-acl": "private"}, ("transfer",)),
        ("s3:CreateBucket", {"bucketName": "b", "x-amz-acl": "private"}, ("call",)),
        (
            "s3:PutBucketPublicAccessBlock",
            {"PublicAccessBlockConfiguration": {"BlockPublicAcls": False, "BlockPublicPolicy": True}},
            ("disable", "public", "public access block"),
        ),
        (
            "s3:PutBucketPublicAccessBlock",
            {"PublicAccessBlockConfiguration": {"BlockPublicAcls": True, "BlockPublicPolicy": True}},
            ("narrow", "public", "public access block"),
        ),
        (
            "s3:PutBucketVersioning",
            {"VersioningConfiguration": {"Status": "Suspended"}},
            ("disable", "unknown", "versioning"),
        ),
        ("s3:PutBucketVersioning", {"VersioningConfiguration": {"Status": "Enabled"}}, ("call",)),
        ("s3:PutBucketLogging", {"BucketLoggingStatus": {"xmlns": "x"}}, ("disable", "unknown", "access log")),
        ("s3:PutBucketLogging", {"BucketLoggingStatus": {"LoggingEnabled": {"TargetBucket": "l"}}}, ("call",)),
        (
            "s3:PutBucketLifecycle",
            {"LifecycleConfiguration": {"Rule": {"Status": "Enabled", "Expiration": {"Days": 1}}}},
            ("delete",),
        ),
        (
            "s3:PutBucketLifecycle",
            {"LifecycleConfiguration": {"Rule": {"Status": "Enabled", "Expiration": {"Days": 365}}}},
            ("call",),
        ),
        # Keys and secrets
        (
            "kms:PutKeyPolicy",
            {
                "keyId": "k",
                "policy": policy(
                    {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, "Action": "kms:*"}
                ),
            },
            ("narrow", "unknown", "kms:*"),
        ),
        (
            "kms:PutKeyPolicy",
            {"keyId": "k", "policy": policy({"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "kms:Decrypt"})},
            ("widen", "public", "kms:Decrypt"),
        ),
        (
            "kms:CreateGrant",
            {"keyId": "k", "granteePrincipal": "p", "operations": ["Decrypt"]},
            ("grant", "user", "Decrypt"),
        ),
        ("kms:RevokeGrant", {"keyId": "k"}, ("revoke", "user", "grant")),
        ("kms:DisableKey", {"keyId": "k"}, ("disable", "unknown", "encryption key")),
        ("kms:EnableKey", {"keyId": "k"}, ("call",)),
        ("kms:ScheduleKeyDeletion", {"keyId": "k"}, ("delete",)),
        ("secretsmanager:GetSecretValue", {"secretId": "s"}, ("access",)),
        ("secretsmanager:DeleteSecret", {"secretId": "s"}, ("delete",)),
        ("ssm:GetParameters", {"names": ["a"]}, ("access",)),
        # Machines, networks, snapshots
        ("ec2:AuthorizeSecurityGroupIngress", group("0.0.0.0/0"), ("widen", "public", "ingress tcp 22-22")),
        ("ec2:AuthorizeSecurityGroupIngress", group("10.0.0.0/8"), ("widen", "group", "ingress tcp 22-22")),
        ("ec2:RevokeSecurityGroupIngress", group("0.0.0.0/0"), ("revoke", "group", "ingress")),
        (
            "ec2:CreateNetworkAclEntry",
            {"cidrBlock": "0.0.0.0/0", "ruleAction": "allow", "egress": False, "aclProtocol": "6"},
            ("widen", "public", "ingress protocol 6"),
        ),
        (
            "ec2:CreateNetworkAclEntry",
            {"cidrBlock": "0.0.0.0/0", "ruleAction": "deny", "egress": False},
            ("narrow", "unknown", "ingress"),
        ),
        ("ec2:CreateNetworkAclEntry", {"cidrBlock": "0.0.0.0/0", "ruleAction": "allow", "egress": True}, ("call",)),
        (
            "ec2:ModifyImageAttribute",
            {"imageId": "ami-1", "launchPermission": {"add": {"items": [{"group": "all"}]}}},
            ("widen", "public", "launch"),
        ),
        (
            "ec2:ModifyImageAttribute",
            {"imageId": "ami-1", "launchPermission": {"remove": {"items": [{"group": "all"}]}}},
            ("revoke", "public", "launch"),
        ),
        ("ec2:ModifyImageAttribute", {"imageId": "ami-1", "description": {"value": "x"}}, ("call",)),
        (
            "ec2:ModifySnapshotAttribute",
            {"snapshotId": "snap-1", "createVolumePermission": {"add": {"items": [{"userId": OTHER}]}}},
            ("grant", "group", "create volume"),
        ),
        (
            "rds:ModifyDBSnapshotAttribute",
            {"attributeName": "restore", "valuesToAdd": ["all"]},
            ("widen", "public", "restore"),
        ),
        ("rds:ModifyDBSnapshotAttribute", {"attributeName": "restore", "valuesToAdd": []}, ("call",)),
        (
            "rds:ModifyDBInstance",
            {"dBInstanceIdentifier": "d", "publiclyAccessible": True},
            ("widen", "public", "connect"),
        ),
        ("rds:ModifyDBInstance", {"dBInstanceIdentifier": "d", "publiclyAccessible": False}, ("call",)),
        (
            "rds:ModifyDBInstance",
            {"dBInstanceIdentifier": "d", "backupRetentionPeriod": 0},
            ("disable", "unknown", "backups"),
        ),
        ("rds:DeleteDBInstance", {"dBInstanceIdentifier": "d"}, ("delete",)),
        (
            "rds:StartExportTask",
            {"sourceArn": "arn:aws:rds:eu-west-1:1:snapshot:s", "s3BucketName": "b"},
            ("transfer",),
        ),
        # Functions, images, queues
        (
            "lambda:AddPermission20150331v2",
            {"functionName": "f", "principal": "*", "action": "lambda:InvokeFunction"},
            ("widen", "public", "lambda:InvokeFunction"),
        ),
        (
            "lambda:AddPermission20150331v2",
            {"functionName": "f", "principal": "s3.amazonaws.com", "action": "lambda:InvokeFunction"},
            ("grant", "user", "lambda:InvokeFunction"),
        ),
        (
            "lambda:AddPermission20150331v2",
            {"functionName": "f", "principal": "*", "principalOrgID": "o-1", "action": "lambda:InvokeFunction"},
            ("grant", "org", "lambda:InvokeFunction"),
        ),
        ("lambda:RemovePermission20150331", {"functionName": "f"}, ("revoke", "unknown", "invoke")),
        (
            "lambda:CreateFunctionUrlConfig",
            {"functionName": "f", "authType": "NONE"},
            ("widen", "public", "lambda:InvokeFunctionUrl"),
        ),
        (
            "lambda:CreateFunctionUrlConfig",
            {"functionName": "f", "authType": "AWS_IAM"},
            ("grant", "unknown", "lambda:InvokeFunctionUrl"),
        ),
        (
            "sqs:SetQueueAttributes",
            {
                "queueUrl": "https://q",
                "attributes": {"Policy": json.dumps(policy({**EVERYBODY, "Action": "sqs:*"}))},
            },
            ("widen", "public", "sqs:*"),
        ),
        (
            "sqs:SetQueueAttributes",
            {"queueUrl": "https://q", "attributes": {"Policy": ""}},
            ("narrow", "unknown", "resource policy"),
        ),
        ("sqs:SetQueueAttributes", {"queueUrl": "https://q", "attributes": {"VisibilityTimeout": "30"}}, ("call",)),
        (
            "sns:AddPermission",
            {"topicArn": "arn:aws:sns:eu-west-1:1:t", "awsAccountIds": ["*"], "actionNames": ["Publish"]},
            ("widen", "public", "Publish"),
        ),
        ("sqs:DeleteMessage", {"queueUrl": "https://q"}, ("call",)),
        ("sqs:PurgeQueue", {"queueUrl": "https://q"}, ("delete",)),
        # A service that the table does not hold, by its policy
        ("iot:CreatePolicy", {"policyDocument": policy({"Effect": "Allow", "Action": "iot:*"})}, ("call",)),
        ("autoscaling:PutScalingPolicy", {"policyDocument": "step"}, ("call",)),
        (
            "glacier:SetVaultAccessPolicy",
            {"policy": {"policy": json.dumps(policy(EVERYBODY))}},
            ("widen", "public", "s3:GetObject"),
        ),
        ("glacier:GetVaultAccessPolicy", {"vaultName": "v"}, ("call",)),
        ("ec2:CreateVpcEndpoint", {"policyDocument": policy(EVERYBODY)}, ("call",)),
        # Safeguards
        ("cloudtrail:StopLogging", {"name": "t"}, ("disable", "unknown", "audit log")),
        ("cloudtrail:StartLogging", {"name": "t"}, ("call",)),
        ("cloudtrail:UpdateTrail", {"name": "t", "isMultiRegionTrail": False}, ("disable", "unknown", "audit log")),
        ("cloudtrail:UpdateTrail", {"name": "t", "isMultiRegionTrail": True}, ("call",)),
        (
            "cloudtrail:PutEventSelectors",
            {"eventSelectors": [{"readWriteType": "ReadOnly"}]},
            ("disable", "unknown", "audit log selectors"),
        ),
        (
            "cloudtrail:PutEventSelectors",
            {"eventSelectors": [{"readWriteType": "All", "includeManagementEvents": True}]},
            ("call",),
        ),
        ("guardduty:UpdateDetector", {"detectorId": "d", "enable": False}, ("disable", "unknown", "threat detection")),
        ("guardduty:UpdateDetector", {"detectorId": "d", "enable": True}, ("call",)),
        (
            "config:StopConfigurationRecorder",
            {"configurationRecorderName": "r"},
            ("disable", "unknown", "configuration recorder"),
        ),
        ("securityhub:DisableSecurityHub", None, ("disable", "unknown", "security posture checks")),
        ("organizations:LeaveOrganization", None, ("disable", "unknown", "organization guardrails")),
        (
            "logs:PutRetentionPolicy",
            {"logGroupName": "g", "retentionInDays": 1},
            ("disable", "unknown", "log retention"),
        ),
        ("logs:PutRetentionPolicy", {"logGroupName": "g", "retentionInDays": 365}, ("call",)),
    ],
)
def test_what_a_call_means(key: str, params: Any, expected: tuple[str, ...]) -> None:
    assert told(one(key, params)) == expected
