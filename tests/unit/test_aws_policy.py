"""AWS policies: whom they let in, whatever the way it is written."""

from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.formats.cloudtrail.policy import allowed, document, names_principals, reach
from tests.support.cloudtrail import ACCOUNT, OTHER, policy

ORG: Final = {"StringEquals": {"aws:PrincipalOrgID": "o-1234567890"}}
NOT_ORG: Final = {"StringNotEquals": {"aws:PrincipalOrgID": "o-1234567890"}}
GITHUB: Final = f"arn:aws:iam::{ACCOUNT}:oidc-provider/token.actions.githubusercontent.com"


def allow(principal: Any = "*", condition: Any = None, action: Any = "s3:GetObject", **more: Any) -> dict[str, Any]:
    said = {"Effect": "Allow", "Principal": principal, "Action": action, "Resource": "arn:aws:s3:::b/*"}
    return said | ({"Condition": condition} if condition is not None else {}) | more


def deny(condition: Any = None, **more: Any) -> dict[str, Any]:
    return allow("*", condition, "s3:*") | {"Effect": "Deny"} | more


@pytest.mark.parametrize(
    ("principal", "audience"),
    [
        ("*", "public"),
        ({"AWS": "*"}, "public"),
        ({"AWS": [f"arn:aws:iam::{ACCOUNT}:role/a", "*"]}, "public"),
        ({"AWS": f"arn:aws:iam::{ACCOUNT}:root"}, None),
        ({"AWS": ACCOUNT}, None),
        ({"AWS": OTHER}, "group"),
        ({"AWS": f"arn:aws:iam::{OTHER}:root"}, "group"),
        ({"AWS": f"arn:aws:iam::{OTHER}:role/a"}, "user"),
        ({"Service": "cloudtrail.amazonaws.com"}, "user"),
        ({"CanonicalUser": "79a59d"}, "user"),
        ({"Federated": f"arn:aws:iam::{ACCOUNT}:saml-provider/idp"}, "group"),
        ({"Federated": GITHUB}, "public"),
        ({}, None),
        (None, None),
        (7, None),
    ],
)
def test_a_principal_is_as_wide_as_it_says(principal: Any, audience: str | None) -> None:
    assert reach(policy(allow(principal)), ACCOUNT).audience == audience


@pytest.mark.parametrize(
    ("condition", "audience"),
    [
        (ORG, "org"),
        ({"stringequals": {"AWS:PRINCIPALORGID": ["o-1", "o-2"]}}, "org"),
        ({"StringLike": {"aws:PrincipalOrgPaths": "o-1/r-2/*"}}, "org"),
        ({"StringLike": {"aws:PrincipalOrgID": "*"}}, "public"),
        ({"StringLike": {"aws:PrincipalOrgID": "o-*"}}, "public"),
        ({"StringEqualsIfExists": {"aws:PrincipalOrgID": "o-1"}}, "public"),
        ({"ForAllValues:StringEquals": {"aws:PrincipalOrgID": "o-1"}}, "public"),
        (NOT_ORG, "public"),
        ({"StringEquals": {"aws:SourceAccount": ACCOUNT}}, "group"),
        ({"StringEquals": {"aws:SourceVpce": "vpce-1"}}, "group"),
        ({"StringEquals": {"s3:prefix": "x"}}, "public"),
        ({"Bool": {"aws:SecureTransport": "true"}}, "public"),
        ({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, "org"),
        ({"IpAddress": {"aws:SourceIp": ["198.51.100.0/24", "10.0.0.0/8"]}}, "org"),
        ({"IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "0.0.0.0/0"]}}, "public"),
        ({"IpAddress": {"aws:SourceIp": ["0.0.0.0/1", "128.0.0.0/1"]}}, "public"),
        ({"IpAddress": {"aws:SourceIp": "::/0"}}, "public"),
        ({"NotIpAddress": {"aws:SourceIp": "10.0.0.0/8"}}, "public"),
        ({"ArnLike": {"aws:SourceArn": f"arn:aws:s3:::{'b'}"}}, "user"),
        ({"ArnLike": {"aws:SourceArn": "arn:aws:s3:::*"}}, "public"),
        ({"ArnLike": {"aws:PrincipalArn": f"arn:aws:iam::{ACCOUNT}:role/*"}}, "user"),
        ({"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/deploy"}}, "public"),
        ({**ORG, "ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:role/deploy"}}, "group"),
        ({**ORG, "Bool": {"aws:SecureTransport": "true"}}, "org"),
        ("none", "public"),
        ({"StringEquals": "aws:PrincipalOrgID"}, "public"),
    ],
)
def test_a_condition_narrows_as_far_as_it_holds(condition: Any, audience: str) -> None:
    assert reach(policy(allow("*", condition)), ACCOUNT).audience == audience


@pytest.mark.parametrize(
    ("statements", "audience"),
    [
        ([allow("*", ORG), allow("*")], "public"),
        ([allow(), deny()], None),
        ([allow(), deny(NOT_ORG)], "org"),
        ([allow(), deny({**NOT_ORG, "BoolIfExists": {"aws:PrincipalIsAWSService": "false"}})], "org"),
        ([allow(), deny({"StringNotEquals": {"aws:SourceVpce": "vpce-1"}})], "group"),
        ([allow(), deny({"Bool": {"aws:SecureTransport": "false"}})], "public"),
        ([allow(), deny({**NOT_ORG, "StringEquals": {"s3:prefix": "x"}})], "public"),
        ([allow(), deny(Action="s3:PutObject")], "public"),
        ([allow(), deny(Resource="arn:aws:s3:::b/private/*")], "public"),
        ([allow(), deny(Principal={"AWS": OTHER})], "public"),
        ([allow(), {"Effect": "Deny", "NotPrincipal": {"AWS": OTHER}, "Action": "*", "Resource": "*"}], "user"),
        ([allow(), {"Effect": "Deny", "Principal": "*", "NotAction": "s3:GetObject", "Resource": "*"}], "public"),
        ([allow(), {"Effect": "Deny", "Principal": "*", "NotAction": "s3:PutObject", "Resource": "*"}], None),
        ([{"Effect": "Allow", "NotPrincipal": {"AWS": OTHER}, "Action": "s3:*"}], "public"),
        ([deny()], None),
        (["statement", 3, None], None),
        ([], None),
    ],
)
def test_statements_together(statements: list[Any], audience: str | None) -> None:
    assert reach(policy(*statements), ACCOUNT).audience == audience


@pytest.mark.parametrize(
    ("subject", "audience"),
    [("repo:corp/app:ref:refs/heads/main", "group"), ("repo:*", "public"), ("*", "public")],
)
def test_a_provider_open_to_all_must_name_its_subject(subject: str, audience: str) -> None:
    condition = {"StringLike": {"token.actions.githubusercontent.com:sub": subject}}
    trust = allow({"Federated": GITHUB}, condition, "sts:AssumeRoleWithWebIdentity")
    assert reach(policy(trust), ACCOUNT).audience == audience


def test_the_strongest_privilege_of_the_widest_audience() -> None:
    mixed = policy(allow(action=["s3:GetObject", "s3:PutObject"]), allow({"AWS": OTHER}, action="s3:*"))
    found = reach(mixed, ACCOUNT)
    assert (found.audience, found.privilege, found.grantee, found.outsiders) == (
        "public",
        "s3:PutObject",
        "*",
        (OTHER,),
    )
    but_for = policy({"Effect": "Allow", "Principal": "*", "NotAction": "s3:DeleteBucket"})
    assert reach(but_for, ACCOUNT).privilege == "*"


def test_what_an_identity_may_do() -> None:
    assert allowed(policy({"Effect": "Allow", "Action": "s3:Get*"}, {"Effect": "Deny", "Action": "*"})) == "s3:Get*"
    assert allowed(policy({"Effect": "Deny", "Action": "*"})) == ""
    assert not names_principals(policy({"Effect": "Allow", "Action": "*"}))


@pytest.mark.timeout(10)
def test_a_huge_policy_is_judged_in_no_time_and_by_its_widest_reading() -> None:
    names = [f"s3:*{number}*a*b*c" for number in range(3000)]
    many = [allow({"AWS": [OTHER] * 3000}, action=names, Resource=names), deny(Action=names, Resource=names)]
    assert reach(policy(*many * 100), ACCOUNT).audience == "group"


JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from(["*", "Allow", "Deny", "AWS"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*allow(), "Condition", "AWS", "Federated", "Bool"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.lists(JSON, max_size=4))
def test_whatever_stands_in_a_policy_is_judged(statements: list[Any]) -> None:
    found = document({"Statement": statements})
    assert found is not None
    assert reach(found, ACCOUNT).audience in {None, "user", "group", "org", "public"}
    assert isinstance(allowed(found), str)
