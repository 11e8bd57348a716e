"""Histories that `permission_change` fires at, and histories that it must not."""

from typing import Any, Final

from detector.detectors.base import Example, sample
from detector.events import Actor, Approval, Event, Permission, Sensitivity, Target

_BOB: Final = Actor(id="bob", kind="human", role="engineer")
_HELP: Final = Actor(id="support", kind="service")
_TO_ORG: Final = Permission("widen", "all-staff", "org", 4100, "read")
_ELEVATED: Final = Permission("inherit", "agent-1", "user", 1, "admin", "sandbox", inherited_from="deploy-role")


def _changed(permission: Permission, sensitivity: Sensitivity = "restricted", **more: Any) -> Event:
    target = Target(uri=more.pop("uri", "warehouse://users"), sensitivity=sensitivity)
    return sample(
        actor=more.pop("actor", _BOB), kind="permission", action="set_policy", target=target,
        permission=permission, **more,
    )  # fmt: skip


def _handed_out(privilege: str = "owner", sensitivity: Sensitivity = "restricted", grantee: str = "agent-2") -> Event:
    permission = Permission("grant", grantee, "user", 1, privilege)
    return _changed(permission, sensitivity, actor=None, uri="iam://prod")


def _unrated(privilege: str, **more: Any) -> Event:
    """A grant to carol, of which the source does not say how sensitive it is."""
    return _changed(Permission("grant", "carol", "user", 1, privilege), "unknown", **more)


def _gone(privilege: str, grantee: str = "carol") -> Event:
    return _changed(Permission("revoke", grantee, "user", 1, privilege), "unknown")


EXAMPLES: Final = (
    Example("user data opened to 4,100 people", [_changed(_TO_ORG)], ("exposure",)),
    Example("an agent makes itself admin", [_handed_out("admin", "internal", "agent-1")], ("self_grant",)),
    Example("a sandbox grant inherits admin", [_changed(_ELEVATED)], ("exceeds_request",)),
    Example(
        "a temporary grant without end",
        [_changed(Permission("grant", "carol", "user", 1, "read", temporary=True), "internal")],
        ("no_expiry",),
    ),
    Example("an agent hands out ownership", [_handed_out()], ("high_privilege",)),
    Example(
        "somebody switches off the audit log",
        [_changed(Permission("disable", privilege="audit log"), "unknown")],
        ("safeguard_disabled",),
    ),
    Example("an agent makes a key", [_handed_out("credential:access key", "unknown")], ("new_credential",)),
    Example("an agent hands out all of an account", [_handed_out("*:*", "unknown")], ("broad_grant",)),
    Example(
        "the same opening, approved, is noted only",
        [_changed(_TO_ORG, approval=Approval(id="CHG-7", by="dana"))],
        ("exposure",),
    ),
    Example(
        "a snapshot shared with another account",
        [_changed(Permission("grant", "444455556666", "group", None, "restore"), "unknown",
                  attributes={"grantee_account": "444455556666"})],
        ("shared_outside",),
    ),
    Example(
        "a reader from another house",
        [_unrated("roles/viewer", attributes={"grantee_outside": True})],
        ("shared_outside",),
    ),
    Example("support hands carol a password", [_unrated("credential:password", actor=_HELP)], ("handed_out",)),
    Example("the first collaborator", [_unrated("collaborator")], ("unfamiliar_grant",)),
    Example("carol is put out of the organisation", [_gone("member")], ("closed", "locked_out")),
    Example("carol leaves by herself", [_gone("member", "bob")], ("closed",)),
    Example("carol loses one right", [_gone("roles/storage.objectViewer")], ("closed",)),
    Example("a public page opened to all", [_changed(_TO_ORG, "public")], ()),
    Example("one colleague gets read access", [_changed(Permission("grant", "carol", "user", 1, "read"))], ()),
    Example("one colleague may look at something unrated", [_unrated("roles/viewer")], ()),
    Example("a service lets in another", [_unrated("collaborator", actor=_HELP)], ()),
    Example("a grant that was refused", [_unrated("roles/owner", outcome="denied")], ()),
)  # fmt: skip
