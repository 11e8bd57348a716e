"""Who is let in, read from a call's parameters: policies, ACLs, shares, firewall rules, public flags.

Every reader answers with the change, or None where the call changes nobody's reach.
"""

from collections.abc import Callable, Iterable
from typing import Any, Final

from detector.events import Audience, Change, Permission
from detector.formats.cloudtrail.call import Call, inner, items
from detector.formats.cloudtrail.conditions import single_host, wide_range
from detector.formats.cloudtrail.policy import allowed, document, listed, names_principals, reach, strongest

Reader = Callable[[Call], Permission | None]

_POLICIES: Final = (
    *("bucketpolicy", "assumerolepolicydocument", "resourcepolicy", "policydocument", "policytext", "accesspolicies"),
    *("accesspolicy", "policyinjson", "registrypolicytext", "filesystempolicy", "repositorypolicytext", "policy"),
)
_EVERYBODY: Final = frozenset({"*", "all"})


def policy_of(call: Call) -> Any:
    """The policy among the parameters: a document, text that is none, "" if emptied, None without one."""
    value = call.get(*_POLICIES)
    if type(value) is list:  # S3 writes the name of a subresource as `"policy": [""]`
        value = next((item for item in value if item), None)
    if value is not None:
        return value
    attributes = call.get("attributes")
    if isinstance(attributes, dict) and "Policy" in attributes:
        return attributes["Policy"]
    return call.get("attributevalue") if call.text("attributename") == "Policy" else None


def resource_policy(call: Call) -> Permission | None:
    """A policy put on a resource, or a role's trust policy: whom it lets in."""
    value = policy_of(call)
    if value == "":
        return Permission("narrow", privilege="resource policy")
    found = document(value)
    if found is None:
        return Permission("grant", privilege="resource policy")
    who = reach(found, call.account)
    if who.audience is None:
        return Permission("narrow", privilege=who.privilege or "resource policy")
    # Of whom a policy lets in, a stranger is the news, even where more of the house's own are named.
    owner = next((name for name in who.outsiders if name in (who.grantee or "")), None)
    stranger = who.outsiders[0] if who.outsiders and owner is None and who.audience != "public" else None
    change: Change = "widen" if who.audience == "public" else "grant"
    return Permission(change, stranger or who.grantee, who.audience, privilege=who.privilege)


def trust_policy(call: Call) -> Permission | None:
    """Who may take on a role; where that can't be read, there is still a new door."""
    found = resource_policy(call)
    unread = found is not None and found.privilege == "resource policy" and found.change == "grant"
    return Permission("grant", privilege="assume role") if unread else found


def optional_policy(call: Call) -> Permission | None:
    """As `resource_policy`, for calls that need not carry one, or carry one that lets nobody in by its kind."""
    found = document(policy_of(call))
    return resource_policy(call) if found is not None and names_principals(found) else None


def identity_policy(call: Call) -> Permission | None:
    """A policy put on a user, group or role, in line."""
    found = document(policy_of(call))
    privilege = allowed(found) if found else call.text("policyname")
    return _for_identity(call, "grant" if privilege else "narrow", privilege or call.text("policyname"))


def policy_version(call: Call) -> Permission | None:
    """A new version of a managed policy, if it is the one that counts."""
    if call.flag("setasdefault") is not True:
        return None
    found = document(policy_of(call))
    privilege = allowed(found) if found else ""
    return Permission("widen" if privilege else "narrow", audience="group", privilege=privilege)


def managed_policy(call: Call) -> Permission | None:
    """A managed policy attached to a user, group or role; those that only deny take away."""
    name = call.text("policyarn").rpartition("/")[2]
    denies = name.startswith(("AWSCompromisedKeyQuarantine", "AWSDenyAll"))
    return _for_identity(call, "narrow" if denies else "grant", name)


def _for_identity(call: Call, change: Any, privilege: str) -> Permission:
    group = call.text("groupname")
    name = call.text("username", "rolename") or group
    kind = "user" if call.text("username") else "role" if call.text("rolename") else "group"
    grantee = call.arn("iam", f"{kind}/{name}")[:512] if name else None
    return Permission(change, grantee, "group" if kind == "group" else "user", privilege=privilege[:512])


def bucket_acl(call: Call) -> Permission | None:
    """The ACL of a bucket or object: canned, in headers or as a list of grants."""
    canned = call.text("x-amz-acl")
    if canned:
        return _CANNED.get(canned, Permission("grant", privilege=canned[:512]))
    owners_only = Permission("narrow", audience="user", privilege="private")
    return _widest_grant(list(_grants(call))) or (owners_only if call.get("accesscontrolpolicy") else None)


def optional_acl(call: Call) -> Permission | None:
    """As `bucket_acl`, for calls that need not carry one; the owner's own say nothing."""
    found = bucket_acl(call)
    return None if found is None or found.change == "narrow" else found


def _grants(call: Call) -> Iterable[tuple[str, str]]:
    """(grantee, privilege) of each grant."""
    owner = inner(call, "accesscontrolpolicy.owner.id")
    for grant in items(inner(call, "accesscontrolpolicy.accesscontrollist.grant")):
        who = grant.get("Grantee") if isinstance(grant, dict) else None
        if isinstance(who, dict):
            name = who.get("URI") or who.get("EmailAddress") or who.get("ID") or ""
            if name != owner:
                yield str(name), str(grant.get("Permission"))
    for header, privilege in _HEADERS.items():
        for text in listed(call.get(header)):
            for part in str(text).split(",") if text else ():
                yield part.partition("=")[2].strip().strip("\"'"), privilege


def _widest_grant(grants: list[tuple[str, str]]) -> Permission | None:
    if not grants:
        return None
    audiences = {name: _GROUPS.get(name.rpartition("/")[2], "user") for name, _ in grants}
    widest: Audience = next(a for a in ("public", "group", "user") if a in audiences.values())
    wide = [(name, privilege) for name, privilege in grants if audiences[name] == widest]
    change: Any = "widen" if widest == "public" else "grant"
    return Permission(change, wide[0][0][:512] or None, widest, privilege=strongest(p for _, p in wide))


_GROUPS: Final[dict[str, Audience]] = {"AllUsers": "public", "AuthenticatedUsers": "public", "LogDelivery": "group"}
_HEADERS: Final = {
    "x-amz-grant-full-control": "FULL_CONTROL",
    "x-amz-grant-write-acp": "WRITE_ACP",
    "x-amz-grant-write": "WRITE",
    "x-amz-grant-read-acp": "READ_ACP",
    "x-amz-grant-read": "READ",
}
_CANNED: Final = {
    "private": Permission("narrow", audience="user", privilege="private"),
    "public-read": Permission("widen", "AllUsers", "public", privilege="READ"),
    "public-read-write": Permission("widen", "AllUsers", "public", privilege="READ, WRITE"),
    "authenticated-read": Permission("widen", "AuthenticatedUsers", "public", privilege="READ"),
    "bucket-owner-read": Permission("grant", "bucket owner", "user", privilege="READ"),
    "bucket-owner-full-control": Permission("narrow", "bucket owner", "user", privilege="FULL_CONTROL"),
    "log-delivery-write": Permission("grant", "LogDelivery", "group", privilege="WRITE"),
    "aws-exec-read": Permission("grant", "EC2", "group", privilege="READ"),
}


def shared(added: Iterable[Any], removed: Iterable[Any], privilege: str) -> Permission | None:
    """Accounts (or "all") that something is shared with; what is taken away counts where nothing is added."""
    names = [name for item in added if (name := _account_name(item))]
    if names:
        public = next((name for name in names if name in _EVERYBODY), None)
        if public:
            return Permission("widen", public, "public", privilege=privilege)
        return Permission("grant", names[0][:512], "group", privilege=privilege)
    gone = [name for item in removed if (name := _account_name(item))]
    if not gone:
        return None
    return Permission("revoke", gone[0][:512], "public" if gone[0] in _EVERYBODY else "group", privilege=privilege)


def _account_name(item: Any) -> str:
    if isinstance(item, dict):
        item = next((v for k, v in item.items() if k.lower() in _SHARED_WITH and v), "")
    return str(item) if item and isinstance(item, (str, int)) else ""


_SHARED_WITH: Final = frozenset({"group", "userid", "organizationarn", "organizationalunitarn", "principal"})


def launch_permission(call: Call) -> Permission | None:
    """An image's or snapshot's list of accounts, in either of the two ways that EC2 spells a change."""
    lists = call.get("launchpermission", "createvolumepermission")
    lists = lists if isinstance(lists, dict) else {}
    added, removed = items(lists.get("add")), items(lists.get("remove"))
    named = [
        item for key in ("groups", "usergroupset", "groupset", "userids", "useridset") for item in items(call.get(key))
    ]
    if call.text("operationtype") == "remove":
        removed = [*removed, *named]
    else:
        added = [*added, *named]
    privilege = "launch" if "image" in call.operation.lower() else "create volume"
    return shared(added, removed, privilege)


def restore_attribute(call: Call) -> Permission | None:
    """Accounts that may restore a database snapshot."""
    return shared(items(call.get("valuestoadd")), items(call.get("valuestoremove")), "restore")


def document_share(call: Call) -> Permission | None:
    """Accounts that may run a Systems Manager document."""
    return shared(items(call.get("accountidstoadd")), items(call.get("accountidstoremove")), "run document")


def resource_share(call: Call) -> Permission | None:
    """A share of the Resource Access Manager."""
    return shared(items(call.get("principals")), (), "resource share")


def endpoint_service(call: Call) -> Permission | None:
    """Principals that may connect to an endpoint service."""
    return shared(items(call.get("addallowedprincipals")), items(call.get("removeallowedprincipals")), "connect")


def statement(call: Call) -> Permission | None:
    """One statement added to a function's, queue's, topic's or bus's policy, given as parameters."""
    names = items(call.get("principal", "awsaccountids", "awsaccountid"))
    actions = items(call.get("action", "actionname", "actionnames", "actions"))
    action = strongest(str(item) for item in actions) or f"{call.service}:*"
    if not names:
        return Permission("grant", privilege=action)
    principals = [str(name) for name in names]
    limits = {key: call.text(name) for key, name in _LIMITS.items() if call.text(name)}
    condition = call.get("condition")
    if isinstance(condition, dict) and str(condition.get("Key", condition.get("key"))).lower() == "aws:principalorgid":
        limits["aws:PrincipalOrgID"] = "set"
    kind = "Service" if principals[0].endswith(".amazonaws.com") else "AWS"
    made = {"Effect": "Allow", "Action": action, "Principal": {kind: principals}, "Condition": {"StringEquals": limits}}
    who = reach({"Statement": [made]}, call.account)
    return Permission(
        "widen" if who.audience == "public" else "grant", who.grantee, who.audience or "user", None, action
    )


_LIMITS: Final = {
    "aws:SourceArn": "sourcearn",
    "aws:SourceAccount": "sourceaccount",
    "aws:PrincipalOrgID": "principalorgid",
    "lambda:EventSourceToken": "eventsourcetoken",
}


def ingress(call: Call) -> Permission | None:
    """Addresses or groups that a security group lets in."""
    rules = [rule for rule in items(call.get("ippermissions", "securitygrouprules")) if isinstance(rule, dict)]
    plain = call.text("cidrip", "cidripv6", "ec2securitygroupname", "ec2securitygroupid")
    sources = [source for rule in rules for source in _sources(rule)] or ([plain] if plain else [])
    ranges = [(source, wide_range(source)) for source in sources]
    first = rules[0] if rules else call.params
    # What guards a database alone is a door to its data.
    what = "ingress" if call.service == "ec2" else "connect"
    privilege = f"{what} {first.get('ipProtocol', 'any')} {first.get('fromPort', 'any')}-{first.get('toPort', 'any')}"
    public = next((source for source, wide in ranges if wide), None)
    if public:
        return Permission("widen", public, "public", privilege=privilege)
    hosts = bool(sources) and call.service == "ec2" and all(single_host(source) for source in sources)
    audience: Audience = "user" if hosts else "group"
    return Permission("widen", sources[0][:512] if sources else None, audience, privilege=privilege)


def _sources(rule: dict[str, Any]) -> Iterable[str]:
    for key, value in rule.items():
        if key.lower() in _RANGES and isinstance(value, str):
            yield value
        elif key.lower() in _LISTS:
            for item in items(value):
                if isinstance(item, dict):
                    yield from _sources(item)


_RANGES: Final = frozenset({"cidrip", "cidripv6", "cidripv4", "groupid", "groupname", "prefixlistid"})
_LISTS: Final = frozenset({"ipranges", "ipv6ranges", "groups", "prefixlistids", "securitygrouprule"})


def network_entry(call: Call) -> Permission | None:
    """An entry of a network ACL; what it lets out is no one's reach."""
    if call.flag("egress"):
        return None
    source = call.text("cidrblock", "ipv6cidrblock")
    if call.text("ruleaction") != "allow":
        return Permission("narrow", source[:512] or None, privilege="ingress")
    audience: Audience = "public" if wide_range(source) else "user" if single_host(source) else "group"
    return Permission("widen", source[:512] or None, audience, privilege=f"ingress protocol {call.text('aclprotocol')}")
