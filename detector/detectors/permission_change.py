"""Grants, policies and flags that widen who can reach what."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, Final, NamedTuple

import msgspec

from detector.detectors.base import (
    ATTACK,
    OWASP_AGENTIC,
    Context,
    Example,
    StructDetector,
    sample,
)
from detector.events import SENSITIVE, Actor, Approval, Event, Permission, Sensitivity, Target
from detector.findings import Finding
from detector.reach import SENSITIVITY, audience_weight, privilege_weight
from detector.severity import Severity, worst
from detector.wording import duration, listing, number

CLOSING: Final = frozenset({"narrow", "revoke", "expire"})
OPEN_GRANTS_MOST: Final = 64

# How the privilege of a new key, token or password begins.
CREDENTIAL: Final = "credential:"

# The audience weight from which a group is as good as everybody: some 250 people.
WIDE: Final = 0.6


class Grants(msgspec.Struct):
    """Temporary grants of one principal: (grantee, target, privilege) in one string -> expiry."""

    temporary: dict[str, float] = {}


class _Verdict(NamedTuple):
    rule: str
    severity: Severity
    why: str


def _by_privilege(permission: Permission, target: Target, *, approved: bool, by_agent: bool) -> Iterator[_Verdict]:
    """What is wrong with the privilege alone; for people a note, since handing these out is work of some."""
    if permission.privilege.startswith(CREDENTIAL):
        name = permission.privilege.removeprefix(CREDENTIAL)
        yield _Verdict("new_credential", "SEV3" if by_agent and not approved else "SEV4", f"makes a new {name}")
    elif privilege_weight(permission.privilege) >= 1.0:
        if target.sensitivity in SENSITIVE and by_agent and not approved:
            yield _Verdict("high_privilege", "SEV2", f"gives {permission.privilege} on {target.sensitivity} data")
        elif target.sensitivity == "unknown":
            severity: Severity = "SEV3" if by_agent and not approved else "SEV4"
            yield _Verdict("broad_grant", severity, f"gives {permission.privilege}")


class PermissionChange(StructDetector[Grants]):
    """Changes that widen access, ranked by audience x privilege x sensitivity."""

    name = "permission_change"
    rules: ClassVar[Mapping[str, str]] = {
        "exposure": "opened sensitive data to many",
        "high_privilege": "gave full control of sensitive data",
        "self_grant": "granted itself access",
        "exceeds_request": "gave more than was asked for",
        "no_expiry": "gave temporary access without an end",
        "outlived_expiry": "built on access that should have ended",
        "safeguard_disabled": "switched off a safeguard",
        "broad_grant": "gave full control",
        "new_credential": "made a new credential",
        "closed": "took access back",
    }
    runbook = "Undo the change unless its owner confirms it; then list who read the resource meanwhile."
    tags = (
        f"{OWASP_AGENTIC}:ASI03",
        f"{ATTACK}:T1098.003",
        f"{ATTACK}:T1222",
        f"{ATTACK}:T1548.005",
        f"{ATTACK}:T1562",
    )
    kinds = frozenset({"permission"})
    State = Grants

    def detect(self, event: Event, state: Grants, context: Context) -> Iterator[Finding]:
        """One finding for all that is wrong with the change; a note when it takes access back."""
        permission, target = event.permission, event.target
        if permission is None or target is None or event.outcome != "success":
            return
        if permission.change in CLOSING:
            if target.sensitivity in SENSITIVE or target.sensitivity == "unknown":
                yield self._closing(event, permission, target, context)
            return
        verdicts = list(self._verdicts(event, permission, target, context))
        late = self._outlived(permission, target, state, context)
        verdicts += [late] if late else []
        if verdicts:
            yield self._opening(event, permission, target, context, verdicts)

    def _verdicts(self, event: Event, permission: Permission, target: Target, context: Context) -> Iterator[_Verdict]:
        approved = context.answer == "approved"
        by_agent = event.actor.kind == "agent"
        if permission.change == "disable":
            severity: Severity = "SEV4" if approved else "SEV2" if by_agent else "SEV3"
            yield _Verdict("safeguard_disabled", severity, f"switches off {permission.privilege or 'a safeguard'}")
            return
        wide = permission.audience in {"org", "public"} or audience_weight(permission) >= WIDE
        guarded = target.sensitivity in SENSITIVE
        if wide and (guarded or (target.sensitivity == "unknown" and permission.audience == "public")):
            people = f" ({number(permission.audience_count)} people)" if permission.audience_count else ""
            severity = "SEV1" if permission.audience == "public" and guarded else "SEV2"
            what = f"opens {target.sensitivity} data to the {permission.audience}{people}"
            yield _Verdict("exposure", "SEV4" if approved else severity, what)
        yield from _by_privilege(permission, target, approved=approved, by_agent=by_agent)
        if permission.grantee == event.actor.id and not approved and not permission.privilege.startswith(CREDENTIAL):
            agent = event.actor.kind != "human"
            yield _Verdict("self_grant", "SEV2" if agent else "SEV3", "grants it to the one who made the change")
        if permission.requested and privilege_weight(permission.privilege) > privilege_weight(permission.requested):
            source = f", inherited from {permission.inherited_from}" if permission.inherited_from else ""
            asked = f"gives {permission.privilege} where {permission.requested} was asked for{source}"
            yield _Verdict("exceeds_request", "SEV2", asked)
        if permission.temporary and permission.expires_at is None:
            yield _Verdict("no_expiry", "SEV4" if approved else "SEV3", "is called temporary and has no expiry")

    @staticmethod
    def _outlived(permission: Permission, target: Target, state: Grants, context: Context) -> _Verdict | None:
        """A privilege handed on from a grant that should have ended."""
        expiry = state.temporary.get(_key(permission, target))
        if expiry is None or context.now <= expiry or permission.change == "grant":
            return None
        ago = duration(context.now - expiry)
        return _Verdict("outlived_expiry", "SEV3", f"builds on a grant that expired {ago} ago")

    def _opening(
        self,
        event: Event,
        permission: Permission,
        target: Target,
        context: Context,
        verdicts: Sequence[_Verdict],
    ) -> Finding:
        weights = (
            audience_weight(permission),
            privilege_weight(permission.privilege),
            SENSITIVITY[target.sensitivity],
        )
        score = math.prod(weights)
        lead = min(verdicts, key=lambda v: v.severity)
        what = listing([v.why for v in verdicts], most=4)
        lacks = "" if context.answer in {"approved", "not_needed"} else f"; approval: {context.answer}"
        reason = (
            f"{event.actor.id} changed who can reach {target.uri} ({_change(permission)}), which {what}; "
            f"audience {weights[0]:.2g} x privilege {weights[1]:.2g} x sensitivity {weights[2]:.2g} "
            f"= {score:.2g}{lacks}"
        )
        return self.finding(
            event,
            context,
            lead.rule,
            worst(*(v.severity for v in verdicts)),
            reason,
            score=score,
            entities=_entities(permission, target),
            evidence={
                "rules": [v.rule for v in verdicts],
                "opens": any(v.rule == "exposure" and v.severity != "SEV4" for v in verdicts),
                "resource": target.uri,
                "sensitivity": target.sensitivity,
                "audience": permission.audience,
                "audience_count": permission.audience_count,
                "privilege": permission.privilege,
                "grantee": permission.grantee,
                "in_reply_to": event.in_reply_to,
            },
        )

    def _closing(self, event: Event, permission: Permission, target: Target, context: Context) -> Finding:
        return self.finding(
            event,
            context,
            "closed",
            "SEV4",
            f"{event.actor.id} took back access to {target.uri} ({_change(permission)})",
            score=0.0,
            entities=_entities(permission, target),
            evidence={
                "closes": True,
                "change": permission.change,
                "resource": target.uri,
                "audience": permission.audience,
                "grantee": permission.grantee,
            },
        )

    def learn(self, event: Event, state: Grants, context: Context, found: Sequence[Finding]) -> None:  # noqa: ARG002
        """Keep the expiry of temporary grants until they are taken back."""
        permission, target = event.permission, event.target
        if permission is None or target is None or event.outcome != "success":
            return
        key = _key(permission, target)
        if permission.change in CLOSING:
            state.temporary.pop(key, None)
        elif permission.expires_at is not None:
            state.temporary[key] = permission.expires_at.timestamp()
            if len(state.temporary) > OPEN_GRANTS_MOST:
                del state.temporary[next(iter(state.temporary))]

    @classmethod
    def examples(cls) -> Sequence[Example]:
        """Widening to everybody, helping oneself, inheriting too much; and changes that are in order."""
        bob = Actor(id="bob", kind="human", role="engineer")

        def changed(
            permission: Permission, sensitivity: Sensitivity = "restricted", approval: Approval | None = None
        ) -> Event:
            return sample(
                actor=bob,
                kind="permission",
                action="set_policy",
                target=Target(uri="warehouse://users", sensitivity=sensitivity),
                permission=permission,
                approval=approval,
            )

        to_org = Permission("widen", "all-staff", "org", 4100, "read")
        elevated = Permission("inherit", "agent-1", "user", 1, "admin", "sandbox", inherited_from="deploy-role")
        return [
            Example("user data opened to 4,100 people", [changed(to_org)], ("exposure",)),
            Example("an agent makes itself admin", [_self_grant()], ("self_grant",)),
            Example("a sandbox grant inherits admin", [changed(elevated)], ("exceeds_request",)),
            Example(
                "a temporary grant without end",
                [changed(Permission("grant", "carol", "user", 1, "read", temporary=True), "internal")],
                ("no_expiry",),
            ),
            Example("an agent hands out ownership", [_handed_out()], ("high_privilege",)),
            Example(
                "somebody switches off the audit log",
                [changed(Permission("disable", privilege="audit log"), "unknown")],
                ("safeguard_disabled",),
            ),
            Example("an agent makes a key", [_handed_out("credential:access key", "unknown")], ("new_credential",)),
            Example("an agent hands out all of an account", [_handed_out("*:*", "unknown")], ("broad_grant",)),
            Example(
                "the same opening, approved, is noted only",
                [changed(to_org, approval=Approval(id="CHG-7", by="dana"))],
                ("exposure",),
            ),
            Example("a public page opened to all", [changed(to_org, "public")], ()),
            Example(
                "one colleague gets read access",
                [changed(Permission("grant", "carol", "user", 1, "read"))],
                (),
            ),
        ]


def _handed_out(privilege: str = "owner", sensitivity: Sensitivity = "restricted") -> Event:
    return sample(
        kind="permission",
        action="add_role",
        target=Target(uri="iam://prod", sensitivity=sensitivity),
        permission=Permission("grant", "agent-2", "user", 1, privilege),
    )


def _self_grant() -> Event:
    return sample(
        kind="permission",
        action="add_role",
        target=Target(uri="iam://prod", sensitivity="internal"),
        permission=Permission("grant", "agent-1", "user", 1, "admin"),
    )


def _change(permission: Permission) -> str:
    whom = permission.grantee or f"the {permission.audience}"
    return f"{permission.change} of {permission.privilege or 'access'} for {whom}"


def _key(permission: Permission, target: Target) -> str:
    return f"{permission.grantee or permission.audience} {target.uri}"


def _entities(permission: Permission, target: Target) -> tuple[str, ...]:
    resource = f"resource:{target.uri}"
    if permission.grantee and permission.audience == "user":
        return resource, f"principal:{permission.grantee}"
    return (resource,)
