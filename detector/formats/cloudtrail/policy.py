"""AWS policies: whom a document lets in, and what they may do most. Parsed, never grepped.

A statement admits the principals that it names, as far as its conditions let them in. Conditions are joined by
"and", so the narrowest bounds the statement; the values of one are joined by "or", so the widest counts. A
condition that holds when its key is missing (`IfExists`, `ForAllValues`, the negated operators) bounds nothing
in an Allow; the negated ones are what bounds when they stand in a Deny.

Not judged: policies elsewhere that meet this one (a bucket's public access block, service control policies).
"""

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Any, Final, NamedTuple

import msgspec

from detector.events import Audience
from detector.formats.cloudtrail.conditions import LEVELS, Level, bound, denied_beyond, oidc_bound
from detector.reach import privilege_weight

_STATEMENTS_MOST: Final = 512
_ACTIONS_MOST: Final = 256
# A longer policy is read without its denials, as if it admitted all that it allows.
_WEIGHED_MOST: Final = 256

_AUDIENCES: Final[dict[Level, Audience]] = {"one": "user", "accounts": "group", "org": "org", "public": "public"}


class Reach(NamedTuple):
    """The widest that a policy lets in, and the most that they may do.

    `audience` is None if it admits nobody beyond the account that owns the resource. `outsiders` are the other
    accounts it names, in order.
    """

    audience: Audience | None
    privilege: str = ""
    grantee: str | None = None
    outsiders: tuple[str, ...] = ()


class _Admitted(NamedTuple):
    level: Level
    name: str
    action: str


def document(value: Any) -> dict[str, Any] | None:
    """A policy given as an object or as JSON text; None if it is neither.

    >>> document('{"Statement": []}'), document("no policy"), document([""])
    ({'Statement': []}, None, None)
    """
    if isinstance(value, str) and value.lstrip().startswith("{"):
        try:
            value = msgspec.json.decode(value)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
    if not isinstance(value, dict):
        return None
    if "Statement" not in value and "policy" in value:  # Glacier and others wrap it once more
        return document(value["policy"])
    return value if "Statement" in value else None


def reach(policy: dict[str, Any], account: str) -> Reach:
    """Whom a resource's policy (or a role's trust policy) lets in; `account` owns the resource.

    >>> everybody = {"Effect": "Allow", "Principal": "*", "Action": "s3:Get*"}
    >>> reach({"Statement": everybody}, "111122223333")
    Reach(audience='public', privilege='s3:Get*', grantee='*', outsiders=())
    >>> ours = {"StringEquals": {"aws:PrincipalOrgID": "o-1234567890"}}
    >>> reach({"Statement": [{**everybody, "Condition": ours}]}, "111122223333").audience
    'org'
    """
    statements = _statements(policy)
    denials = [item for item in statements if item.get("Effect") == "Deny"]
    if denials and sum(_length(item) for item in statements) > _WEIGHED_MOST:
        denials = []
    admitted: list[_Admitted] = []
    outsiders: dict[str, None] = {}
    for statement in statements:
        if statement.get("Effect") == "Allow":
            named = list(_principals(statement, account))
            found = list(_admitted(statement, named, denials))
            admitted += found
            if found:
                outsiders |= dict.fromkeys(who for _, name in named if (who := _account(name)) and who != account)
    if not admitted:
        return Reach(None, strongest(_allowed(statements)))
    widest = max(LEVELS[item.level] for item in admitted)
    wide = [item for item in admitted if LEVELS[item.level] == widest]
    privilege = strongest(item.action for item in wide)
    return Reach(_AUDIENCES[wide[0].level], privilege, wide[0].name[:512], tuple(outsiders)[:8])


def allowed(policy: dict[str, Any]) -> str:
    """The strongest action that an identity's policy allows; "" if it only denies.

    >>> allowed({"Statement": [{"Effect": "Allow", "Action": ["s3:GetObject", "iam:*"], "Resource": "*"}]})
    'iam:*'
    """
    return strongest(_allowed(_statements(policy)))


def names_principals(policy: dict[str, Any]) -> bool:
    """Whether a policy says for whom it is, as those of resources do and those of identities do not."""
    return any("Principal" in item or "NotPrincipal" in item for item in _statements(policy))


def strongest(actions: Iterable[str]) -> str:
    """The action that lets one do most, the first of equals; "" of none."""
    return max(actions, key=lambda action: (action == "*", privilege_weight(action)), default="")[:512]


def listed(value: Any) -> list[Any]:
    """What may be one or several, as a list."""
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


def _statements(policy: dict[str, Any]) -> list[dict[str, Any]]:
    return [item for item in listed(policy.get("Statement"))[:_STATEMENTS_MOST] if isinstance(item, dict)]


def _allowed(statements: Iterable[dict[str, Any]]) -> Iterator[str]:
    for statement in statements:
        if statement.get("Effect") == "Allow":
            yield from _actions(statement)


def _actions(statement: dict[str, Any]) -> list[str]:
    if "NotAction" in statement:  # all but a few: as good as all
        return ["*"]
    return _texts(statement.get("Action"))[:_ACTIONS_MOST]


def _length(statement: dict[str, Any]) -> int:
    return sum(len(listed(statement.get(field))) for field in ("Action", "NotAction", "Resource"))


def _admitted(
    statement: dict[str, Any], named: list[tuple[Level, str]], denials: list[dict[str, Any]]
) -> Iterator[_Admitted]:
    """The widest principal of a statement, by action."""
    if not named:
        return
    level, name = max(named, key=lambda item: LEVELS[item[0]])
    level = min(level, bound(statement.get("Condition")), key=LEVELS.__getitem__)
    concerned = [item for item in denials if _covers_resources(item, statement)]
    for action in _actions(statement):
        least = min(level, _left_by(concerned, action), key=LEVELS.__getitem__)
        if least != "none":
            yield _Admitted(least, name, action)


def _principals(statement: dict[str, Any], account: str) -> Iterator[tuple[Level, str]]:
    if "NotPrincipal" in statement:  # everybody but a few
        yield "public", "*"
        return
    principal = statement.get("Principal")
    if not isinstance(principal, dict):
        principal = {"AWS": principal}
    for kind, names in principal.items():
        for name in _texts(names):
            if kind == "AWS":
                yield _aws(name, account), name
            elif kind == "Federated":
                yield oidc_bound(name, statement.get("Condition")), name
            else:
                yield "one", name


def _aws(name: str, account: str) -> Level:
    if name == "*":
        return "public"
    owner = _account(name)
    if not owner or not (name == owner or name.endswith(":root")):
        return "one"
    return "none" if owner == account else "accounts"


def _account(name: str) -> str:
    """The account that a principal belongs to; "" if its name does not tell."""
    number = name if name.isdigit() else name.split(":", 5)[4] if name.count(":") >= 5 else ""
    return number if len(number) == 12 and number.isdigit() else ""


def _left_by(denials: list[dict[str, Any]], action: str) -> Level:
    """The widest that the Deny statements leave of an allowed action."""
    covering = (_beyond(denial) for denial in denials if _covers_action(denial, action))
    return min(covering, default="public", key=LEVELS.__getitem__)


def _beyond(denial: dict[str, Any]) -> Level:
    if "NotPrincipal" in denial:
        return "one"
    principal = denial.get("Principal")
    names = principal.get("AWS") if isinstance(principal, dict) else principal
    return denied_beyond(denial.get("Condition")) if "*" in listed(names) else "public"


def _covers_action(denial: dict[str, Any], action: str) -> bool:
    if "NotAction" in denial:
        return not any(_matches(action, pattern) for pattern in _texts(denial["NotAction"]))
    return any(_matches(action, pattern) for pattern in _texts(denial.get("Action")))


def _covers_resources(denial: dict[str, Any], statement: dict[str, Any]) -> bool:
    patterns = _texts(denial.get("Resource"))
    if not patterns:
        return "NotResource" not in denial
    return all(any(fnmatchcase(name, p) for p in patterns) for name in _texts(statement.get("Resource")))


def _matches(action: str, pattern: str) -> bool:
    return fnmatchcase(action.lower(), pattern.lower())


def _texts(value: Any) -> list[str]:
    return [item for item in listed(value) if isinstance(item, str)]
