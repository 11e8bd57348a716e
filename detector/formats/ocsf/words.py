"""What an operation means by its words, where a class only says that something was created, read or updated.

The name of an operation ("CreateApiToken", "projects.setIamPolicy", "disable-audit-log") is a verb and what it is
done to; the type of the resource may name that too.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from detector.formats.audit import Act, text
from detector.formats.ocsf.classes import ACCESS, CALL, DELETE, TRANSFER


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_WORD: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+")

_OPENS: Final = _set("add grant assign attach invite share allow authorize authorise bind join associate elevate")
_SETS: Final = _set("set put update create modify patch change apply replace edit insert import publicize make enable")
_CLOSES: Final = _set("remove revoke detach unshare deny unassign unbind uninvite disassociate unpublish delete drop")
_ENDS: Final = _set("delete destroy purge drop terminate truncate wipe erase deletecollection bulkdelete")
_STOPS: Final = _set("disable deactivate stop suspend pause mute bypass skip delete remove destroy detach drop turnoff")
_MAKES: Final = _set("create generate issue add register reset rotate import mint new enable regenerate")
_READS: Final = _set(
    "get list read describe view search query download head select watch fetch lookup show scan count check simulate"
    " validate verify preview evaluate"
)
_SENDS: Final = _set("export upload send transfer replicate forward")
_PROMOTES: Final = _OPENS | {"make", "promote", "set"}
_FLIPS: Final = _set("make set enable disable allow publicize turnoff")
_VERBS: Final = _OPENS | _SETS | _CLOSES | _ENDS | _STOPS | _MAKES | _READS | _SENDS | {"promote", "block", "clear"}

_LOGS: Final = _set("audit auditing log logs logging")
_SAFEGUARD: Final = _LOGS | _set(
    "trail trails monitor monitoring alert alerts alarm alarms detector detectors detection mfa twofactor otp firewall"
    " firewalls waf protection protections retention encryption guardrail guardrails antivirus edr siem quarantine dlp"
    " ruleset safeguard safeguards policy policies"
)
_GUARDING: Final = _SAFEGUARD | {"zone", "rule", "control", "device"}
_CREDENTIAL: Final[Mapping[str, str]] = {
    **dict.fromkeys(("key", "keys", "apikey", "apikeys"), "key"),
    **dict.fromkeys(("token", "tokens", "pat"), "token"),
    **dict.fromkeys(("password", "passwords", "passcode"), "password"),
    **dict.fromkeys(("credential", "credentials"), "credential"),
    **dict.fromkeys(("certificate", "certificates"), "certificate"),
    **dict.fromkeys(("passkey", "passkeys", "webauthn"), "passkey"),
}
_NO_CREDENTIAL: Final = _set("foreign primary sort partition index page continuation cancellation")
_REACH: Final = _set(
    "permission permissions role roles acl acls policy policies iam member members membership memberships collaborator"
    " collaborators grant grants access binding bindings rolebinding rolebindings clusterrolebinding"
    " clusterrolebindings clusterrole clusterroles sharing visibility privilege privileges owner owners ownership"
    " entitlement entitlements scope scopes delegation"
)
_SHARES: Final = _set("share invite")
_RANK: Final = _set("admin admins administrator administrators superuser root")
_SECRET: Final = _set("secret secrets vault")
_EVERYBODY: Final = _set("public publicize anonymous everyone world anyone")


@lru_cache(maxsize=4096)
def act_of(operation: str, thing: str = "") -> Act | None:
    """What an operation does, None where its words don't tell.

    Args:
        operation: Its name.
        thing: The type of what it is done to; counts where the operation is a bare verb.

    >>> act_of("CreateApiToken").privilege, act_of("auditLogs.disable").privilege, act_of("Export").kind
    ('credential:api token', 'audit logs', 'transfer')
    >>> act_of("delete", "clusterrolebindings").change, act_of("get", "secrets").sensitivity
    ('revoke', 'restricted')
    >>> act_of("setBucketPublic").audience, act_of("BlockPublicAccess").change, act_of("frobnicate")
    ('public', 'narrow', None)
    """
    words = _words(operation)
    bare = all(word in _VERBS or len(word) == 1 or word.isdigit() for word in words)
    nouns = (*words, *_words(thing)) if bare else words
    verbs, named = frozenset(words), frozenset(nouns)
    reads = next((word for word in words if word in _VERBS), "") in _READS
    if named & _SECRET:
        if verbs & _MAKES and named & {"client", "app", "application"}:
            return Act("permission", "grant", "credential:client secret", "user")
        return Act("delete" if verbs & _ENDS else "access" if reads else "call", sensitivity="restricted")
    if reads:
        return ACCESS
    return (
        _credential(verbs, nouns)
        or _public(verbs, named, operation)
        or _safeguard(verbs, nouns)
        or _reach(verbs, named, operation)
        or (DELETE if verbs & _ENDS else TRANSFER if verbs & _SENDS else None)
    )


def act_on(verb: str, thing: str, name: str) -> Act:
    """What a change of a managed entity means: `verb` of `classes.ENTITY`, the entity's type and its name."""
    if verb == "read":
        return ACCESS
    words = _words(thing)
    named = frozenset(words)
    if found := _credential(frozenset({verb}), words):
        return found
    if named & {"user", "account"}:
        if verb in {"create", "enable"}:
            return Act("permission", "grant", "account", "user")
        return Act("permission", "revoke", "account", "user") if verb == "disable" else _ended(verb)
    if verb in {"disable", "delete"} and named & _GUARDING:
        return Act("permission", "disable", text(f"{thing} {name}".strip()))
    gives = {"create": "grant", "enable": "grant", "delete": "revoke", "disable": "revoke"}.get(verb, "")
    return (None if named & _GUARDING else _reach(frozenset({gives}), named, name)) or _ended(verb)


def _ended(verb: str) -> Act:
    return DELETE if verb == "delete" else CALL


def _words(name: str) -> tuple[str, ...]:
    # Of a method's full name, the last two parts say what it does: "google.iam.v1.IAMPolicy.SetIamPolicy".
    last = ".".join(re.split(r"[./:]", name[-256:])[-2:])
    found = tuple(word.lower() for word in _WORD.findall(last))
    return (*found, "turnoff") if "off" in found and not {"turn", "switch"}.isdisjoint(found) else found


def _credential(verbs: frozenset[str], nouns: tuple[str, ...]) -> Act | None:
    place = next((i for i, word in enumerate(nouns) if word in _CREDENTIAL), None)
    if place is None:
        return None
    before = nouns[place - 1] if place and nouns[place - 1] not in _VERBS else ""
    what = _CREDENTIAL[nouns[place]]
    if before in _NO_CREDENTIAL:
        return None
    privilege = f"credential:{before} {what}".replace(": ", ":")
    if verbs & (_CLOSES | _STOPS):
        return Act("permission", "revoke", privilege, "user")
    # A bare key that is put or set may be that of a value.
    makes = _MAKES - {"add", "register", "enable"} if what == "key" and not before else _MAKES | _SETS
    return Act("permission", "grant", privilege, "user") if verbs & makes else None


def _public(verbs: frozenset[str], named: frozenset[str], operation: str) -> Act | None:
    """Opened to everybody or shut again; to remove or disable a block opens."""
    if not named & _EVERYBODY or not (verbs & _FLIPS or named & _REACH):
        return None
    shut = bool(verbs & (_CLOSES | _STOPS)) != ("block" in verbs)
    return Act("permission", "narrow" if shut else "widen", text(operation), "public")


def _safeguard(verbs: frozenset[str], nouns: tuple[str, ...]) -> Act | None:
    found = [word for word in nouns if word in _SAFEGUARD]
    named = frozenset(found)
    # A policy that is taken away or detached may have granted as well as guarded.
    stops = verbs & _STOPS and not (named <= {"policy", "policies"} and verbs & _CLOSES)
    if found and (stops or ("clear" in verbs and named & _LOGS)):
        return Act("permission", "disable", " ".join(found))
    return None


def _reach(verbs: frozenset[str], named: frozenset[str], privilege: str) -> Act | None:
    if named & _RANK and verbs & _PROMOTES:
        return Act("permission", "grant", text(privilege))
    if verbs & _SHARES:
        return Act("permission", "grant", text(privilege))
    if not named & (_REACH | _RANK):
        return None
    if verbs & _CLOSES:
        return Act("permission", "revoke", text(privilege))
    if verbs & _OPENS:
        return Act("permission", "grant", text(privilege))
    return Act("permission", "widen", text(privilege)) if named & _REACH and verbs & _SETS else None
