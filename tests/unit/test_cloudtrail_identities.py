"""What the calls on users, roles and credentials mean: every class of change with its benign twin."""

from typing import Any

import pytest

from tests.support.cloudtrail import OTHER, ROLE, one, policy, told


@pytest.mark.parametrize(
    ("key", "params", "expected"),
    [
        (
            "iam:AttachUserPolicy",
            {"userName": "ann", "policyArn": "arn:aws:iam::aws:policy/AdministratorAccess"},
            ("grant", "user", "AdministratorAccess"),
        ),
        (
            "iam:AttachUserPolicy",
            {"userName": "ann", "policyArn": "arn:aws:iam::aws:policy/AWSDenyAll"},
            ("narrow", "user", "AWSDenyAll"),
        ),
        (
            "iam:DetachUserPolicy",
            {"userName": "ann", "policyArn": "arn:aws:iam::aws:policy/ReadOnlyAccess"},
            ("revoke", "user", "ReadOnlyAccess"),
        ),
        (
            "iam:PutRolePolicy",
            {"roleName": "r", "policyDocument": '{"Statement": {"Effect": "Allow", "Action": "*"}}'},
            ("grant", "user", "*"),
        ),
        (
            "iam:PutRolePolicy",
            {"roleName": "r", "policyDocument": '{"Statement": {"Effect": "Deny", "Action": "*"}}'},
            ("narrow", "user", ""),
        ),
        ("iam:PutGroupPolicy", {"groupName": "g", "policyName": "p"}, ("grant", "group", "p")),
        ("iam:CreateAccessKey", {"userName": "ann"}, ("grant", "user", "credential:access key")),
        ("iam:UpdateAccessKey", {"userName": "ann", "status": "Inactive"}, ("revoke", "user", "credential:access key")),
        ("iam:DeleteAccessKey", {"userName": "ann"}, ("revoke", "user", "credential:access key")),
        ("iam:CreateLoginProfile", {"userName": "ann"}, ("grant", "user", "credential:console password")),
        ("iam:ChangePassword", {}, ("grant", "user", "credential:password")),
        ("iam:AddUserToGroup", {"userName": "ann", "groupName": "admins"}, ("grant", "user", "admins")),
        ("iam:EnableMFADevice", {"userName": "ann"}, ("grant", "user", "credential:MFA device")),
        ("iam:CreateVirtualMFADevice", {"virtualMFADeviceName": "d"}, ("call",)),
        ("iam:DeactivateMFADevice", {"userName": "ann"}, ("disable", "unknown", "MFA")),
        (
            "iam:UpdateAssumeRolePolicy",
            {
                "roleName": "r",
                "policyDocument": policy({"Effect": "Allow", "Principal": {"AWS": OTHER}, "Action": "sts:AssumeRole"}),
            },
            ("grant", "group", "sts:AssumeRole"),
        ),
        (
            "iam:CreateRole",
            {
                "roleName": "r",
                "assumeRolePolicyDocument": policy(
                    {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
                ),
            },
            ("grant", "user", "sts:AssumeRole"),
        ),
        (
            "iam:CreatePolicyVersion",
            {"setAsDefault": True, "policyDocument": policy({"Effect": "Allow", "Action": "iam:*"})},
            ("widen", "group", "iam:*"),
        ),
        (
            "iam:CreatePolicyVersion",
            {"setAsDefault": False, "policyDocument": policy({"Effect": "Allow", "Action": "iam:*"})},
            ("call",),
        ),
        ("iam:UpdateAccountPasswordPolicy", {"minimumPasswordLength": 6}, ("disable", "unknown", "password policy")),
        ("iam:UpdateAccountPasswordPolicy", {"minimumPasswordLength": 14, "requireSymbols": True}, ("call",)),
        ("iam:ListUsers", None, ("call",)),
        ("sts:AssumeRole", {"roleArn": ROLE}, ("auth",)),
        ("signin:GetSigninToken", None, ("grant", "unknown", "credential:console session")),
    ],
)
def test_what_a_call_means(key: str, params: Any, expected: tuple[str, ...]) -> None:
    assert told(one(key, params)) == expected
