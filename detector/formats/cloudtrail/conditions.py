"""The conditions of AWS policies: how far each narrows whom a statement lets in."""

import ipaddress
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, Literal

Level = Literal["none", "one", "accounts", "org", "public"]

# From nobody to everybody.
LEVELS: Final[Mapping[Level, int]] = {"none": 0, "one": 1, "accounts": 2, "org": 3, "public": 4}

# Condition keys that tell callers apart (lower case), and whom a fixed value of theirs leaves.
_KEYS: Final[Mapping[str, Level]] = {
    **dict.fromkeys(("aws:principalorgid", "aws:principalorgpaths", "aws:sourceorgid", "aws:sourceorgpaths"), "org"),
    **dict.fromkeys(("aws:vpceorgid", "aws:vpceorgpaths", "aws:sourceip", "aws:vpcsourceip"), "org"),
    **dict.fromkeys(("aws:sourcevpc", "aws:sourcevpce", "aws:sourcevpcarn", "aws:vpceaccount"), "accounts"),
    **dict.fromkeys(("aws:principalaccount", "aws:sourceaccount", "aws:sourceowner", "kms:calleraccount"), "accounts"),
    **dict.fromkeys(("s3:dataaccesspointaccount", "elasticfilesystem:accesspointarn"), "accounts"),
    **dict.fromkeys(
        ("aws:principalarn", "aws:sourcearn", "aws:userid", "aws:username", "aws:federatedprovider"), "one"
    ),
    **dict.fromkeys(("aws:principalservicename", "aws:principalisawsservice", "sts:externalid", "saml:aud"), "one"),
    **dict.fromkeys(("s3:dataaccesspointarn", "lambda:eventsourcetoken", "aws:referer"), "one"),
}
_ADDRESSES: Final = frozenset({"aws:sourceip", "aws:vpcsourceip"})
_ARNS: Final = frozenset({"aws:principalarn", "aws:sourcearn", "s3:dataaccesspointarn", "aws:sourcevpcarn"})
_HOLDS: Final = re.compile(r"(foranyvalue:)?(string(equals(ignorecase)?|like)|arn(equals|like)|ipaddress|bool)")
_DENIES: Final = re.compile(
    r"(foranyvalue:|forallvalues:)?(stringnot(equals(ignorecase)?|like)|arnnot(equals|like)|notipaddress|bool)(ifexists)?"
)
# Wider than these, an address range is no bound: two halves make the whole internet.
_WIDE: Final = {4: 8, 6: 16}


def bound(condition: Any) -> Level:
    """The widest that the condition of an Allow leaves of everybody.

    >>> (
    ...     bound({"IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "0.0.0.0/0"]}}),
    ...     bound({"Bool": {"aws:SecureTransport": "true"}}),
    ... )
    ('public', 'public')
    >>> bound({"StringEquals": {"aws:SourceAccount": "111122223333"}})
    'accounts'
    """
    level: Level = "public"
    named = False
    for operator, key, values in _pairs(condition):
        if _HOLDS.fullmatch(operator):
            level = min(level, _left(key, values), key=LEVELS.__getitem__)
            named = named or (key == "aws:principalarn" and all(value.strip("*") for value in values))
    # Names alone do not tell whose they are ("arn:aws:iam::*:role/x"); within an organisation they tell a group.
    return "accounts" if named and level == "org" else level


def denied_beyond(condition: Any) -> Level:
    """The widest that a Deny for everybody leaves.

    >>> denied_beyond(None), denied_beyond({"StringNotEquals": {"aws:PrincipalOrgID": "o-1"}})
    ('none', 'org')
    """
    if not isinstance(condition, dict) or not condition:
        return "none"
    # All tests must hold for the denial to bite: it leaves whom any one of them leaves.
    return max((_left_by_denial(*test) for test in _pairs(condition)), default="public", key=LEVELS.__getitem__)


def oidc_bound(provider: str, condition: Any) -> Level:
    """Who gets in through an identity provider: anybody of it, unless a condition names the subject.

    A provider that everybody can have an account with admits everybody.

    >>> oidc_bound("arn:aws:iam::111122223333:oidc-provider/token.actions.githubusercontent.com", None)
    'public'
    """
    host = provider.rpartition("oidc-provider/")[2].lower() or provider.lower()
    if not any(host == open_to_all or host.endswith("." + open_to_all) for open_to_all in _OPEN_PROVIDERS):
        return "accounts"
    for operator, key, values in _pairs(condition):
        fixed = all(not value.startswith(("*", "repo:*")) for value in values)
        if _HOLDS.fullmatch(operator) and key.rpartition(":")[2] in _SUBJECTS and values and fixed:
            return "accounts"
    return "public"


_OPEN_PROVIDERS: Final = (
    *("token.actions.githubusercontent.com", "gitlab.com", "accounts.google.com", "app.terraform.io"),
    *("graph.facebook.com", "www.amazon.com", "cognito-identity.amazonaws.com", "agent.buildkite.com"),
)
_SUBJECTS: Final = frozenset(
    {"sub", "job_workflow_ref", "repository_owner", "repository_owner_id", "project_path", "aud_org", "oaud", "amr"}
)


def wide_range(text: str) -> bool | None:
    """Whether an address range is as good as the whole internet; None if it is no range at all.

    >>> wide_range("0.0.0.0/0"), wide_range("128.0.0.0/1"), wide_range("10.0.0.0/8"), wide_range("home")
    (True, True, False, None)
    """
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
    return network.prefixlen < _WIDE[network.version] and (network.is_global or network.prefixlen <= 1)


def single_host(text: str) -> bool:
    """Whether an address range holds one address.

    >>> single_host("192.0.2.7/32"), single_host("192.0.2.0/24"), single_host("sg-1")
    (True, False, False)
    """
    try:
        return ipaddress.ip_network(text, strict=False).num_addresses == 1
    except ValueError:
        return False


def _left_by_denial(operator: str, key: str, values: list[str]) -> Level:
    if not _DENIES.fullmatch(operator):
        return "public"
    if key == "aws:principalisawsservice":  # "false": the services of AWS are spared, nobody else
        return "one" if values == ["false"] else "public"
    return _left(key, values)


def _pairs(condition: Any) -> Iterator[tuple[str, str, list[str]]]:
    if not isinstance(condition, dict):
        return
    for operator, keys in condition.items():
        if isinstance(keys, dict):
            for key, value in keys.items():
                values = value if isinstance(value, list) else [value]
                yield operator.lower(), key.lower(), [str(item) for item in values[:256]]


def _left(key: str, values: list[str]) -> Level:
    """The widest that the values of a key leave, as any of them will do."""
    level = _KEYS.get(key) or ("org" if key.startswith(("aws:principaltag/", "aws:requesttag/")) else "public")
    if level == "public" or not values:
        return "public"
    return max((_by_value(level, key, value) for value in values), key=LEVELS.__getitem__)


def _by_value(level: Level, key: str, value: str) -> Level:
    if key in _ADDRESSES:
        return _of_range(value)
    if key in _ARNS:
        return level if _owned(value) else "public"
    if key == "aws:principalisawsservice":
        return level if value.lower() == "true" else "public"
    # An organisation's id may end in "*" (a path below it); a bare star tells nobody apart.
    return "public" if not value.strip("*?-") or value in {"o-*", "r-*"} else level


def _of_range(text: str) -> Level:
    wide = wide_range(text)
    if wide is None or wide:
        return "public"
    return "org" if ipaddress.ip_network(text, strict=False).is_private else "accounts"


def _owned(arn: str) -> bool:
    """Whether an ARN's pattern fixes whose it is: an account, or a bucket's name, which is nobody else's."""
    parts = arn.split(":", 5)
    if len(parts) < 6:
        return False
    return parts[4].isdigit() or (parts[2] == "s3" and not parts[4] and parts[5][:1] not in {"*", "?", ""})
