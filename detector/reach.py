"""Who can reach what, as numbers from 0 to 1: how wide an audience is, how much a privilege lets one do."""

import math
import re
from collections.abc import Mapping
from typing import Final

from detector.events import Audience, Permission, Sensitivity

_AUDIENCE: Final[Mapping[Audience, float]] = {
    "user": 0.1,
    "unknown": 0.3,
    "group": 0.4,
    "org": 0.8,
    "public": 1.0,
}
SENSITIVITY: Final[Mapping[Sensitivity, float]] = {
    "public": 0.05,
    "internal": 0.3,
    "unknown": 0.4,
    "confidential": 0.8,
    "restricted": 1.0,
}
# Privileges by the strongest word in their name; a name without any of them counts as 0.5.
_PRIVILEGE: Final[tuple[tuple[float, frozenset[str]], ...]] = (
    (1.0, frozenset({"*", "admin", "administrator", "owner", "root", "full", "superuser", "impersonate", "elevated"})),
    (0.8, frozenset({"power", "grant", "share", "policy", "delegate", "passrole", "acl"})),
    (
        0.7,
        frozenset({"write", "rw", "edit", "editor", "create", "delete", "update", "put", "execute", "exec", "manage"}),
    ),
    (0.5, frozenset({"read", "reader", "r", "ro", "readonly", "view", "viewer", "list", "get", "select", "download"})),
    (0.3, frozenset({"sandbox", "none", "metadata"})),
)
_READING: Final = _PRIVILEGE[3][1]
_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\*")


def privilege_weight(privilege: str) -> float:
    """How much a privilege lets its holder do, 0..1, by the field's usual words.

    >>> privilege_weight("roles/storage.admin"), privilege_weight("output.read"), privilege_weight("sandbox")
    (1.0, 0.5, 0.3)
    >>> privilege_weight("PutBucketPolicy"), privilege_weight("s3:*"), privilege_weight("IAMFullAccess")
    (0.8, 1.0, 1.0)
    """
    words = {word.lower() for word in _WORD.findall(privilege)}
    return next((weight for weight, names in _PRIVILEGE if words & names), 0.5)


def only_reads(privilege: str) -> bool:
    """Whether a privilege says of itself that it lets one look and no more.

    >>> only_reads("roles/storage.objectViewer"), only_reads("roles/editor"), only_reads("member")
    (True, False, False)
    """
    words = {word.lower() for word in _WORD.findall(privilege)}
    return bool(words & _READING) and privilege_weight(privilege) <= 0.5


def audience_weight(permission: Permission) -> float:
    """How wide the audience is, 0..1: by its kind, or by its head count where that says more."""
    by_kind = _AUDIENCE[permission.audience]
    if permission.audience in {"user", "public"} or not permission.audience_count:
        return by_kind
    return max(by_kind, min(1.0, math.log10(1 + permission.audience_count) / 4.0))
