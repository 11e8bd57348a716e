"""Grants, policies and flags that widen who can reach what."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, Final

import msgspec
from pydantic import Field

from detector.detectors.base import (
    ATTACK,
    OWASP_AGENTIC,
    Context,
    DetectorSettings,
    Example,
    StructDetector,
)
from detector.detectors.familiar import Familiar, Standing, days_before, others_flag
from detector.detectors.own_accounts import is_ours
from detector.detectors.permission_examples import EXAMPLES
from detector.detectors.verdicts import Verdict, locks_out, verdicts
from detector.events import SENSITIVE, Event, Permission, Target
from detector.findings import Finding
from detector.reach import SENSITIVITY, audience_weight, privilege_weight
from detector.severity import worst
from detector.wording import duration, listing

CLOSING: Final = frozenset({"narrow", "revoke", "expire"})
OPEN_GRANTS_MOST: Final = 64
# What makes a note of what habit excuses. Who changes much by habit is excused from usual verdicts alone.
_EXCUSES: Final[Mapping[Standing, str]] = {"habit": "it does by habit", "peers": "several of its role do by habit"}
_USUAL: Final = "is usual of its kind"


class Grants(msgspec.Struct):
    """Temporary grants of one principal: (grantee, target, privilege) in one string -> expiry; and its habits."""

    temporary: dict[str, float] = {}
    familiar: Familiar = msgspec.field(default_factory=Familiar)


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
        "handed_out": "handed a credential to another",
        "shared_outside": "let in somebody from outside",
        "unfamiliar_grant": "handed out rights, as it does not by habit",
        "locked_out": "shut somebody out",
        "closed": "took access back",
    }
    runbook = "Undo the change unless its owner confirms it; then list who read the resource meanwhile."
    tags = (
        f"{OWASP_AGENTIC}:ASI03",
        f"{ATTACK}:T1098.003",
        f"{ATTACK}:T1222",
        f"{ATTACK}:T1548.005",
        f"{ATTACK}:T1562",
        f"{ATTACK}:T1531",
        f"{ATTACK}:T1537",
    )
    kinds = frozenset({"permission"})
    State = Grants

    class Settings(DetectorSettings):
        """What counts as habit for `permission_change`."""

        habit_days: int = Field(
            3, ge=1, description="Days with like changes after which these are a habit and only noted."
        )

    settings: Settings

    def detect(self, event: Event, state: Grants, context: Context) -> Iterator[Finding]:
        """One finding for all that is wrong with the change; a note when it takes access back."""
        permission, target = event.permission, event.target
        if permission is None or target is None or event.outcome != "success":
            return
        if permission.change in CLOSING:
            if target.sensitivity in SENSITIVE or target.sensitivity == "unknown":
                yield self._closing(event, permission, target, context)
            if target.sensitivity == "unknown" and locks_out(event, permission):
                yield from self._locked_out(event, permission, target, state, context)
            return
        approved = context.answer == "approved"
        ours = is_ours(event, context)
        told = verdicts(event, permission, target, approved=approved, ours=ours)
        found = [self._by_habit(v, state, context) for v in told]
        late = self._outlived(permission, target, state, context)
        found += [late] if late else []
        if found:
            yield self._opening(event, permission, target, context, found)

    def _by_habit(self, verdict: Verdict, state: Grants, context: Context) -> Verdict:
        """The verdict; a note if it is of something that is usual, or was told often enough today."""
        if not verdict.habit or verdict.severity == "SEV4":
            return verdict
        standing = state.familiar.standing(verdict.habit, context, self.settings.habit_days)
        if standing in _EXCUSES or (verdict.usual and standing != "news"):
            return verdict._replace(severity="SEV4", why=f"{verdict.why}, as {_EXCUSES.get(standing, _USUAL)}")
        if not state.familiar.is_news(verdict.habit, context):
            return verdict._replace(severity="SEV4", why=f"{verdict.why}, as was told often today")
        return verdict

    def _locked_out(
        self, event: Event, permission: Permission, target: Target, state: Grants, context: Context
    ) -> Iterator[Finding]:
        key, least = f"lock {event.action}", self.settings.habit_days
        standing = state.familiar.standing(key, context, least)
        if standing in {"habit", "peers"} or not state.familiar.is_news(key, context):
            return
        before = state.familiar.known(key, context.now)
        yield self.finding(
            event,
            context,
            "locked_out",
            "SEV4" if context.answer == "approved" or standing == "common" else "SEV3",
            f"{event.actor.id} shut {permission.grantee} out of {target.uri} ({_change(permission)}); it had shut out "
            f"anybody {days_before(before)}, {least} make a habit",
            score=privilege_weight(permission.privilege),
            entities=_entities(permission, target),
            evidence={"resource": target.uri, "grantee": permission.grantee, "days_before": before},
        )

    @staticmethod
    def _outlived(permission: Permission, target: Target, state: Grants, context: Context) -> Verdict | None:
        """A privilege handed on from a grant that should have ended."""
        expiry = state.temporary.get(_key(permission, target))
        if expiry is None or context.now <= expiry or permission.change == "grant":
            return None
        ago = duration(context.now - expiry)
        return Verdict("outlived_expiry", "SEV3", f"builds on a grant that expired {ago} ago")

    def _opening(
        self,
        event: Event,
        permission: Permission,
        target: Target,
        context: Context,
        found: Sequence[Verdict],
    ) -> Finding:
        weights = (
            audience_weight(permission),
            privilege_weight(permission.privilege),
            SENSITIVITY[target.sensitivity],
        )
        score = math.prod(weights)
        lead = min(found, key=lambda v: v.severity)
        what = listing([v.why for v in found], most=4)
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
            worst(*(v.severity for v in found)),
            reason,
            score=score,
            entities=_entities(permission, target),
            evidence={
                "rules": [v.rule for v in found],
                "opens": any(v.rule == "exposure" and v.severity != "SEV4" for v in found),
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

    def learn(self, event: Event, state: Grants, context: Context, found: Sequence[Finding]) -> None:
        """Keep the expiry of temporary grants until they are taken back, and what is done day by day."""
        permission, target = event.permission, event.target
        if permission is None or target is None or event.outcome != "success":
            return
        key = _key(permission, target)
        if not others_flag(self.name, found):
            for habit in _habits(event, permission, target):
                state.familiar.learn(habit, context, self.settings.habit_days)
        if permission.change in CLOSING:
            state.temporary.pop(key, None)
        elif permission.expires_at is not None:
            state.temporary[key] = permission.expires_at.timestamp()
            if len(state.temporary) > OPEN_GRANTS_MOST:
                del state.temporary[next(iter(state.temporary))]

    @classmethod
    def examples(cls) -> Sequence[Example]:
        """Widening to everybody, helping oneself, letting in strangers; and changes that are in order."""
        return EXAMPLES


def _habits(event: Event, permission: Permission, target: Target) -> list[str]:
    """What the change is a habit of."""
    if permission.change in CLOSING:
        return [f"lock {event.action}"] if locks_out(event, permission) else []
    found = (verdict.habit for verdict in verdicts(event, permission, target, approved=False))
    return [habit for habit in dict.fromkeys(found) if habit]


def _change(permission: Permission) -> str:
    whom = permission.grantee or ("" if permission.audience == "unknown" else f"the {permission.audience}")
    return f"{permission.change} of {permission.privilege or 'access'}{f' for {whom}' if whom else ''}"


def _key(permission: Permission, target: Target) -> str:
    return f"{permission.grantee or permission.audience} {target.uri}"


def _entities(permission: Permission, target: Target) -> tuple[str, ...]:
    resource = f"resource:{target.uri}"
    if permission.grantee and permission.audience == "user":
        return resource, f"principal:{permission.grantee}"
    return (resource,)
