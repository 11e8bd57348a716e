"""What is wrong with a change of who can reach what: by its privilege, its receiver, its kind."""

from collections.abc import Iterator
from typing import Final, NamedTuple

from detector.detectors.familiar import kin_of
from detector.detectors.holdings import by_service, words
from detector.events import SENSITIVE, Event, Permission, Target
from detector.reach import audience_weight, only_reads, privilege_weight
from detector.severity import Severity
from detector.wording import number

# How the privilege of a new key, token or password begins.
CREDENTIAL: Final = "credential:"

# The audience weight from which a group is as good as everybody: some 250 people.
WIDE: Final = 0.6

# New proofs of who one is that people make from day to day, for themselves or at a help desk.
_DAILY: Final = frozenset({"password", "MFA factor", "MFA device", "recovery", "SSO authorisation", "OAuth token"})

# What everybody in a house is given and loses with their work, without power over others.
_COMMON: Final = frozenset({"app", "account"})

_MEMBER: Final = "group member"

# What a source calls a policy that its log leaves out: nothing can be said of it.
_UNREAD: Final = "resource policy"


class Verdict(NamedTuple):
    """One thing that is wrong with a change.

    `habit` names what it is a habit of, if whoever does this often need not be told of: "" where habit is no excuse.
    `usual` says that it is also excused where peers do it, or by whoever does many such things.
    """

    rule: str
    severity: Severity
    why: str
    habit: str = ""
    usual: bool = False


def verdicts(
    event: Event, permission: Permission, target: Target, *, approved: bool, ours: bool = False
) -> Iterator[Verdict]:
    """What is wrong with a change that opens, with what habit says left out.

    Args:
        event: The change.
        permission: Its permission.
        target: Its target.
        approved: Whether it has the yes it needs.
        ours: Whether the account that is let in is one of the house, though not the one that lets it in.
    """
    if permission.change == "disable":
        severity: Severity = "SEV4" if approved else "SEV2" if event.actor.kind == "agent" else "SEV3"
        yield Verdict("safeguard_disabled", severity, f"switches off {permission.privilege or 'a safeguard'}")
        return
    found = [
        *_exposed(permission, target, approved=approved),
        *_by_privilege(event, permission, target, approved=approved),
        *_by_receiver(event, permission, approved=approved, ours=ours),
    ]
    yield from found
    if not found and target.sensitivity == "unknown" and _hands_out(event, permission):
        told = permission.privilege or "access of unknown extent"
        severity = "SEV4" if approved else "SEV3"
        yield Verdict("unfamiliar_grant", severity, f"hands out {told}", f"grant {event.action}", usual=True)
    yield from _by_request(permission, approved=approved)


def _exposed(permission: Permission, target: Target, *, approved: bool) -> Iterator[Verdict]:
    wide = permission.audience in {"org", "public"} or audience_weight(permission) >= WIDE
    guarded = target.sensitivity in SENSITIVE
    if wide and (guarded or (target.sensitivity == "unknown" and permission.audience == "public")):
        people = f" ({number(permission.audience_count)} people)" if permission.audience_count else ""
        severity: Severity = "SEV1" if permission.audience == "public" and guarded else "SEV2"
        what = f"opens {target.sensitivity} data to the {permission.audience}{people}"
        yield Verdict("exposure", "SEV4" if approved else severity, what)


def _by_privilege(event: Event, permission: Permission, target: Target, *, approved: bool) -> Iterator[Verdict]:
    """What is wrong with the privilege alone; a note only where nobody has to answer for it."""
    by = event.actor.kind
    if permission.privilege.startswith(CREDENTIAL):
        name = permission.privilege.removeprefix(CREDENTIAL)
        daily = by == "human" and name in _DAILY
        # What a service makes for a moment, or for itself, is how it works.
        lent = by == "service" and (permission.temporary or permission.grantee in {None, event.actor.id})
        rule = "handed_out" if by == "service" else "new_credential"
        severity: Severity = "SEV4" if approved or daily or lent else "SEV3"
        what = f"hands a new {name} to another" if rule == "handed_out" else f"makes a new {name}"
        # What is only noted is told to nobody, so it can't be what a habit is made of.
        yield Verdict(rule, severity, what, "" if daily or lent else f"{name} {event.action}")
    elif privilege_weight(permission.privilege) >= 1.0:
        if target.sensitivity in SENSITIVE and by == "agent" and not approved:
            yield Verdict("high_privilege", "SEV2", f"gives {permission.privilege} on {target.sensitivity} data")
        elif target.sensitivity == "unknown":
            severity = "SEV4" if approved or by == "service" else "SEV3"
            whom = permission.grantee or permission.audience
            habit = f"full control {event.action} {kin_of(Target(whom))}" if by != "service" else ""
            yield Verdict("broad_grant", severity, f"gives {permission.privilege}", habit)


def _by_receiver(event: Event, permission: Permission, *, approved: bool, ours: bool) -> Iterator[Verdict]:
    """What is wrong with who gets it: the one who made the change, or somebody of another house."""
    own = permission.grantee == event.actor.id
    if own and not approved and not permission.privilege.startswith(CREDENTIAL):
        severity: Severity = "SEV2" if event.actor.kind != "human" else "SEV3"
        yield Verdict("self_grant", severity, "grants it to the one who made the change")
    account = event.attributes.get("grantee_account")
    if (account and not ours) or event.attributes.get("grantee_outside") is True:
        whom = f"account {account}" if account else permission.grantee or "somebody"
        severity = "SEV4" if approved else "SEV2" if event.actor.kind == "agent" else "SEV3"
        yield Verdict("shared_outside", severity, f"lets in {whom}, of another house", f"outside {whom}")


def _hands_out(event: Event, permission: Permission) -> bool:
    """Whether a change whose target nobody has rated gives away more than a look at something."""
    # What a service does for somebody is part of something larger that was asked for, a stack or a rotation.
    if event.actor.kind == "service" or permission.privilege in _COMMON or by_service(event):
        return False
    # One more host let through a firewall, a policy that stays in the house: work of every day.
    host = permission.audience == "user" and permission.privilege.startswith("ingress")
    if host or permission.privilege == _UNREAD or event.attributes.get("private"):
        return False
    if permission.privilege == _MEMBER:  # what a group may do, only its name tells
        named = f"{event.target.uri if event.target else ''} {event.attributes.get('target_names', '')}"
        return privilege_weight(" ".join(words(named))) >= 1.0
    return permission.audience in {"org", "public"} or not only_reads(permission.privilege)


def _by_request(permission: Permission, *, approved: bool) -> Iterator[Verdict]:
    """What is wrong by what was asked for."""
    if permission.requested and privilege_weight(permission.privilege) > privilege_weight(permission.requested):
        source = f", inherited from {permission.inherited_from}" if permission.inherited_from else ""
        asked = f"gives {permission.privilege} where {permission.requested} was asked for{source}"
        yield Verdict("exceeds_request", "SEV2", asked)
    if permission.temporary and permission.expires_at is None:
        yield Verdict("no_expiry", "SEV4" if approved else "SEV3", "is called temporary and has no expiry")


# What makes somebody part of a house, by the words of a revoked privilege.
_BELONGING: Final = frozenset({"member", "account", "collaborator"})


def locks_out(event: Event, permission: Permission) -> bool:
    """Whether taking this away shuts a person out: membership or an account; not an office, a key or one right.

    Somebody who leaves by themselves shuts out nobody.
    """
    words = permission.privilege.lower().replace(":", " ").split()
    belongs = (
        bool(_BELONGING.intersection(words))
        and "group" not in words
        and not permission.privilege.startswith(CREDENTIAL)
    )
    named = permission.audience == "user" and permission.grantee not in {None, event.actor.id}
    return permission.change == "revoke" and belongs and named and event.actor.kind != "service"
