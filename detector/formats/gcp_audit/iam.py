"""Google Cloud IAM: policies and their deltas, custom roles, credentials -> permission changes."""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Final

from detector.events import Audience, Change, Permission
from detector.formats.audit import BadRecordError, Meaning, dig, joined, mappings, text, when, words_of
from detector.formats.gcp_audit.call import Call

_AUDIENCES: Final[dict[str, Audience]] = {
    **dict.fromkeys(("user", "serviceAccount", "principal", "deleted"), "user"),
    **dict.fromkeys(("group", "principalSet", "projectEditor", "projectViewer", "projectOwner"), "group"),
    "domain": "org",
}
_EVERYBODY: Final = frozenset({"allUsers", "allAuthenticatedUsers"})
_UNTIL: Final = re.compile(r"request\.time\s*<=?\s*timestamp\(\s*[\"']([^\"']{10,40})[\"']\s*\)")
_SECONDS: Final = re.compile(r"(\d{1,5})(?:\.\d+)?s")
_TOKEN_SECONDS: Final = 3600


def audience(member: str) -> Audience:
    """How many people a policy's member stands for.

    >>> [audience(m) for m in ("allUsers", "domain:corp.example", "group:a@corp.example", "user:a@corp.example")]
    ['public', 'org', 'group', 'user']
    """
    return "public" if member in _EVERYBODY else _AUDIENCES.get(member.partition(":")[0], "unknown")


def grantee(member: str) -> str:
    """A member without its type, so that it is the same name as an actor's; its own word for everybody.

    >>> grantee("user:ann@corp.example"), grantee("allUsers")
    ('ann@corp.example', 'allUsers')
    """
    kind, _, name = member.partition(":")
    return text(member if kind in {"principal", "principalSet"} else name or member)


def policy(call: Call) -> Iterator[Meaning]:
    """SetIamPolicy on anything: one meaning a changed binding; without deltas, what the new policy says."""
    data, metadata = call.service_data, call.metadata
    deltas = _deltas(data, "policyDelta") or _deltas(metadata, "policyDelta")
    deltas = deltas or mappings(metadata.get("bindingDeltas"))
    deltas = deltas or mappings(dig(metadata, "datasetChange", "bindingDeltas"))
    audits = mappings(dig(data, "policyDelta", "auditConfigDeltas"))
    for delta in audits:
        off = delta.get("action") == "REMOVE" or delta.get("exemptedMember")
        name = f"audit log {text(delta.get('service'))} {text(delta.get('logType'))}".rstrip()
        yield Meaning("permission", Permission("disable", privilege=text(name))) if off else Meaning("call")
    for delta in deltas:
        taken = delta.get("action") == "REMOVE"
        yield _binding(text(delta.get("member")), text(delta.get("role")), "revoke" if taken else "grant", delta)
    if not deltas and not audits:
        yield from _whole_policy(call)


def _deltas(tree: dict[str, Any], name: str) -> list[dict[str, Any]]:
    return mappings(dig(tree, name, "bindingDeltas"))


def _whole_policy(call: Call) -> Iterator[Meaning]:
    """The policy as it now stands: what it opens to everybody, else one change of unknown reach."""
    bindings = mappings(dig(call.request, "policy", "bindings")) or mappings(call.request.get("bindings"))
    pairs = [(member, binding) for binding in bindings for member in words_of(binding.get("members"))]
    public = [(member, binding) for member, binding in pairs if member in _EVERYBODY]
    for member, binding in public or (pairs if len(pairs) == 1 else []):
        yield _binding(member, text(binding.get("role")), "widen", binding)
    if not public and len(pairs) != 1:
        taken = not pairs and call.request.get("policy") is not None
        yield Meaning("permission", Permission("narrow" if taken else "widen", privilege="setIamPolicy"))


def _binding(member: str, role: str, change: Change, holder: dict[str, Any]) -> Meaning:
    until = _until(holder.get("condition"))
    return Meaning(
        "permission",
        Permission(
            "widen" if member in _EVERYBODY and change == "grant" else change,
            grantee=grantee(member) or None,
            audience=audience(member),
            privilege=role,
            temporary=until is not None,
            expires_at=until,
        ),
    )


def _until(condition: Any) -> datetime | None:
    found = _UNTIL.search(text(dig(condition, "expression"), 4096))
    try:
        return when(found[1]) if found else None
    except BadRecordError:
        return None


def role(call: Call) -> Iterator[Meaning]:
    """A custom role made or changed: whoever holds it can do what was added."""
    added = words_of(dig(call.service_data, "permissionDelta", "addedPermissions"))
    removed = words_of(dig(call.service_data, "permissionDelta", "removedPermissions"))
    if not added and not removed:
        asked = dig(call.request, "role")
        added = words_of(dig(asked, "includedPermissions")) or words_of(dig(asked, "included_permissions"))
    if added or not removed:
        change: Change = "grant" if call.operation == "CreateRole" else "widen"
        strongest = sorted(added, key=lambda name: not name.endswith(("setIamPolicy", "actAs", "create", "update")))
        yield Meaning("permission", Permission(change, audience="group", privilege=joined(strongest) or "custom role"))
    else:
        yield Meaning("permission", Permission("narrow", audience="group", privilege=joined(removed)))


def token(call: Call) -> Iterator[Meaning]:
    """A short-lived credential of a service account, made for whoever asked."""
    lifetime = _SECONDS.fullmatch(text(call.request.get("lifetime")))
    seconds = int(lifetime[1]) if lifetime else _TOKEN_SECONDS
    granted = Permission(
        "grant",
        grantee=call.account or None,
        audience="user",
        privilege="credential:access token",
        temporary=True,
        expires_at=call.time + timedelta(seconds=seconds),
    )
    yield Meaning("permission", granted)


def key(call: Call) -> Iterator[Meaning]:
    """A service account's long-lived key."""
    made = Permission("grant", call.account or None, "user", privilege="credential:service account key")
    yield Meaning("permission", made)


def kubernetes_binding(call: Call) -> Iterator[Meaning]:
    """A role binding of a GKE cluster, as Google's own log tells it."""
    name = text(dig(call.request, "roleRef", "name"))
    for subject in mappings(call.request.get("subjects")) or [{}]:
        who = text(subject.get("name"))
        everybody = who in {"system:anonymous", "system:unauthenticated"}
        size: Audience = "public" if everybody else "group" if subject.get("kind") == "Group" else "user"
        change: Change = "widen" if everybody else "grant"
        yield Meaning("permission", Permission(change, who or None, size, privilege=name or "role binding"))
