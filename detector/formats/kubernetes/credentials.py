"""New ways to prove who one is: service accounts' tokens, client certificates, entries in a cluster's user map."""

from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from detector.events import Permission
from detector.formats.audit import BadRecordError, when
from detector.formats.kubernetes.acts import ELEVATED, Act, Meaning, account, changed

_SECRET_TYPES: Final = {
    "kubernetes.io/service-account-token": "credential:service account token",
    "bootstrap.kubernetes.io/token": "credential:bootstrap token",
}
_OWNER: Final = "kubernetes.io/service-account.name"
_YEAR_SECONDS: Final = 366 * 86400


class _TokenSpec(msgspec.Struct):
    expiration_seconds: int | None = msgspec.field(default=None, name="expirationSeconds")


class _TokenStatus(msgspec.Struct):
    expires: str | None = msgspec.field(default=None, name="expirationTimestamp")


class _TokenRequest(msgspec.Struct):
    spec: _TokenSpec | None = None
    status: _TokenStatus | None = None


class _Metadata(msgspec.Struct):
    annotations: dict[str, Any] | None = None


class _Secret(msgspec.Struct):
    """A secret without what it holds."""

    type: str | None = None
    metadata: _Metadata | None = None


class _Condition(msgspec.Struct):
    type: str | None = None


class _SigningStatus(msgspec.Struct):
    conditions: list[_Condition] | None = None


class _SigningSpec(msgspec.Struct):
    username: str | None = None
    signer: str | None = msgspec.field(default=None, name="signerName")


class _SigningRequest(msgspec.Struct):
    spec: _SigningSpec | None = None
    status: _SigningStatus | None = None


class _Map(msgspec.Struct):
    data: dict[str, Any] | None = None


def token(act: Act) -> Meaning:
    """A token requested; a node asks for its pods' tokens all day, as the control plane does for its own."""
    if act.actor.kind == "service":
        return Meaning()
    answered, asked = act.audit.answered(_TokenRequest), act.audit.written(_TokenRequest)
    expires = _end(answered.status.expires if answered and answered.status else None)
    seconds = asked.spec.expiration_seconds if asked and asked.spec else None
    if expires is None and seconds and 0 < seconds <= 100 * _YEAR_SECONDS:
        expires = act.audit.time + timedelta(seconds=seconds)
    whose = account(act.namespace, act.name)
    permission = Permission(
        "grant", whose, "user", 1, "credential:service account token", temporary=expires is not None, expires_at=expires
    )
    return changed(permission)


def _end(told: str | None) -> datetime | None:
    try:
        return when(told) if told else None
    except BadRecordError:
        return None


def secret(act: Act) -> Meaning:
    """A secret written: a credential if the control plane fills or reads it as one, a call else."""
    written = act.audit.written(_Secret)
    name = _SECRET_TYPES.get((written.type if written else None) or "")
    if written is None or name is None or act.actor.kind == "service":
        return Meaning(sensitivity="restricted")
    annotations = (written.metadata.annotations if written.metadata else None) or {}
    owner = annotations.get(_OWNER)
    whose = account(act.namespace, owner) if isinstance(owner, str) and owner else None
    return changed(Permission("grant", whose, "user", 1, name), sensitivity="restricted")


def system_account(act: Act) -> Meaning:
    """An account made among those of the control plane, where the built-in controllers' are."""
    if act.actor.kind == "service" or act.verb != "create" or act.namespace != "kube-system":
        return Meaning()
    return changed(Permission("grant", account(act.namespace, act.name), "user", 1, "service account"))


def approval(act: Act) -> Meaning:
    """A certificate signing request approved by somebody; the control plane approves the nodes' own."""
    written = act.audit.written(_SigningRequest)
    conditions = (written.status.conditions if written and written.status else None) or ()
    if act.actor.kind == "service" or not any(each.type == "Approved" for each in conditions):
        return Meaning()
    whole = act.audit.answered(_SigningRequest)
    spec = (written.spec if written else None) or (whole.spec if whole else None) or _SigningSpec()
    signer = f" of {spec.signer}" if spec.signer else ""
    whose = (spec.username or "")[:512] or None
    return changed(Permission("grant", whose, "user", 1, f"credential:client certificate{signer}"[:512]))


def user_map(act: Act) -> Meaning:
    """EKS's `aws-auth`: which IAM roles and users are whom in the cluster."""
    if act.name != "aws-auth" or act.namespace != "kube-system":
        return Meaning()
    written = act.audit.written(_Map)
    if written is None or written.data is None:
        return Meaning() if written else changed(Permission(act.change, privilege="aws-auth"))
    masters = any("system:masters" in str(value) for value in written.data.values())
    return changed(Permission(act.change, None, "group", None, f"{ELEVATED if masters else ''}aws-auth"))
