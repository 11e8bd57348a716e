"""RBAC: what a role allows, and to whom a binding gives it.

A role that nobody is bound to gives nothing yet, but its making is where the privilege comes from; a binding
without subjects gives nothing and is a plain call.
"""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

import msgspec

from detector.events import Audience, Permission, Sensitivity
from detector.formats.kubernetes.acts import ELEVATED, PUBLIC, Act, Meaning, account, changed

# Ways from a role to more than it says, as the project's own good practices for RBAC list them:
# API group, resource, verbs. Making workloads is on that list too, and left out: it is every deployer's work.
ESCALATIONS: Final[Sequence[tuple[str, str, frozenset[str]]]] = tuple(
    (group, resource, frozenset(verbs.split()))
    for group, resource, verbs in (
        ("", "secrets", "get list watch"),
        ("", "pods/exec", "create get"),
        ("", "pods/attach", "create get"),
        ("", "pods/ephemeralcontainers", "update patch"),
        ("", "nodes/proxy", "get create update patch delete"),
        ("", "persistentvolumes", "create"),
        ("", "serviceaccounts/token", "create"),
        ("", "users", "impersonate"),
        ("", "groups", "impersonate"),
        ("", "serviceaccounts", "impersonate"),
        ("authentication.k8s.io", "uids", "impersonate"),
        ("authentication.k8s.io", "userextras", "impersonate"),
        ("rbac.authorization.k8s.io", "roles", "escalate bind"),
        ("rbac.authorization.k8s.io", "clusterroles", "escalate bind"),
        ("certificates.k8s.io", "certificatesigningrequests/approval", "update patch"),
        ("certificates.k8s.io", "signers", "approve sign"),
        ("admissionregistration.k8s.io", "mutatingwebhookconfigurations", "create update patch"),
        ("admissionregistration.k8s.io", "validatingwebhookconfigurations", "create update patch"),
    )
)

# Roles and groups of the control plane's own parts: whoever else holds one holds the cluster or its nodes.
CONTROL_PLANE: Final = frozenset(
    f"system:{name}"
    for name in (
        *("masters", "kube-controller-manager", "kube-scheduler", "cloud-controller-manager", "node"),
        *("node-bootstrapper", "persistent-volume-provisioner", "kubelet-api-admin", "aggregate-to-admin"),
    )
)
CONTROL_PLANE_PREFIXES: Final = ("system:controller:", "system:certificates.k8s.io:")

# Bound to everybody in every cluster, and about nothing but the API itself.
OPEN_ROLES: Final = frozenset(
    f"system:{name}" for name in ("public-info-viewer", "discovery", "basic-user", "service-account-issuer-discovery")
)

_POWERFUL: Final = frozenset({"cluster-admin", "system:masters"}) | CONTROL_PLANE
_REACHING: Final = frozenset(resource for _, resource, _ in ESCALATIONS)
_KEPT_MOST: Final = 8
# Rights of a workload or a person within what they own: what every deployment hands out.
_USUAL: Final = ("private", "rbac")


class Rule(msgspec.Struct, rename="camel"):
    """One rule of a role: these verbs on these resources of these groups, perhaps of these names only."""

    verbs: list[str] | None = None
    resources: list[str] | None = None
    api_groups: list[str] | None = None
    resource_names: list[str] | None = None
    non_resource_urls: list[str] | None = msgspec.field(default=None, name="nonResourceURLs")


class _Role(msgspec.Struct):
    rules: list[Rule] | msgspec.UnsetType | None = msgspec.UNSET


class _RoleRef(msgspec.Struct):
    name: str | None = None


class _Subject(msgspec.Struct):
    kind: str | None = None
    name: str | None = None
    namespace: str | None = None


class _Binding(msgspec.Struct):
    subjects: list[_Subject] | msgspec.UnsetType | None = msgspec.UNSET
    role_ref: _RoleRef | None = msgspec.field(default=None, name="roleRef")


class Given(NamedTuple):
    """To whom: the audience and its name."""

    audience: Audience = "unknown"
    grantee: str | None = None


def role(act: Act) -> Meaning:
    """A role or cluster role written: its most powerful rule is the privilege."""
    written = act.audit.written(_Role) or act.audit.answered(_Role)
    if written is None:
        return changed(Permission(act.change))
    if act.verb == "patch" and written.rules is msgspec.UNSET:
        removed = any(path.startswith("/rules") for path in act.audit.removed())
        return changed(Permission("narrow")) if removed else Meaning()
    rules = written.rules or []
    if any(not rule.verbs or not (rule.resources or rule.non_resource_urls) for rule in rules or ()):
        whole = act.audit.answered(_Role)  # a patch that wrote a part of a rule
        rules = (whole.rules if whole else None) or rules
    if not rules:
        return changed(Permission("narrow")) if act.verb == "patch" else Meaning()
    worst = privilege(rules)
    usual = () if worst.startswith(ELEVATED) else (_USUAL,)
    return changed(Permission(act.change, privilege=worst), *usual)


def binding(act: Act) -> Meaning:
    """A role binding or cluster role binding written: the widest of its subjects is the grantee."""
    written, whole = act.audit.written(_Binding), act.audit.answered(_Binding)
    known = written or whole
    if known is None:
        return changed(Permission(act.change))
    if not known.subjects:
        return _unbound(act, known)
    reference = known.role_ref or (whole.role_ref if whole else None)
    named = (reference.name if reference else None) or ""
    given = _widest(act, known.subjects)
    sensitivity: Sensitivity = "public" if named in OPEN_ROLES else "unknown"
    subjects = ", ".join(subject.name or "" for subject in known.subjects[:_KEPT_MOST])[:512]
    count = 1 if given.audience == "user" and len(known.subjects) == 1 else None
    permission = Permission("grant", given.grantee, given.audience, count, of_role(named))
    inside = given.audience in {"user", "group"} and not permission.privilege.startswith(ELEVATED)
    return changed(permission, ("subjects", subjects), *((_USUAL,) if inside else ()), sensitivity=sensitivity)


def unwritten(act: Act) -> Meaning:
    """A role or a binding deleted."""
    return changed(Permission("revoke", privilege=act.name[:512]))


def _unbound(act: Act, known: _Binding) -> Meaning:
    removed = any(path.startswith("/subjects") for path in act.audit.removed())
    emptied = act.verb == "patch" and known.subjects is not msgspec.UNSET
    return changed(Permission("revoke")) if removed or emptied else Meaning()


def of_role(name: str) -> str:
    """A bound role as a privilege.

    >>> of_role("cluster-admin"), of_role("system:node")
    ('cluster-admin', 'elevated: system:node')
    """
    elevated = name in CONTROL_PLANE or name.startswith(CONTROL_PLANE_PREFIXES)
    return (ELEVATED + name if elevated else name)[:512]


def privilege(rules: Iterable[Rule]) -> str:
    """The most powerful of some rules, in words: one that leads to more than it says, else the first.

    >>> privilege([Rule(["get"], ["pods"], [""]), Rule(["*"], ["*"], ["*"])])
    'elevated: * *'
    >>> privilege([Rule(["*"], ["widgets"], ["example.com"])])
    'any widgets.example.com'
    """
    rules = tuple(rules)
    worst = next((rule for rule in rules if _is_all(rule)), None) or next(filter(_escalates, rules), None)
    if worst is not None:
        return ELEVATED + _words(worst)[: 512 - len(ELEVATED)]
    return _words(rules[0]).replace("*", "any")[:512]


def _is_all(rule: Rule) -> bool:
    return "*" in (rule.verbs or ()) and "*" in (rule.resources or ()) and "*" in (rule.api_groups or ("*",))


def _escalates(rule: Rule) -> bool:
    if rule.resource_names and not _POWERFUL.intersection(rule.resource_names):
        return False
    verbs, resources, groups = set(rule.verbs or ()), set(rule.resources or ()), set(rule.api_groups or ("*",))
    if not resources & _REACHING and not any(name.startswith("*") for name in resources):
        return False  # most rules: none of these resources
    return any(
        ("*" in verbs or verbs & dangerous) and ("*" in groups or group in groups) and _covers(resources, resource)
        for group, resource, dangerous in ESCALATIONS
    )


def _covers(resources: set[str], resource: str) -> bool:
    """Whether a rule's resources include this one, by its name or by `*`, `*/exec`."""
    below = resource.partition("/")[2]
    return resource in resources or "*" in resources or (bool(below) and f"*/{below}" in resources)


def _words(rule: Rule) -> str:
    groups = [group for group in rule.api_groups or () if group not in {"", "*"}]
    suffix = f".{groups[0]}" if len(groups) == 1 else ""
    things = [f"{each}{suffix}" for each in (rule.resources or ())[:_KEPT_MOST]] or rule.non_resource_urls or []
    only = f" named {','.join(rule.resource_names[:_KEPT_MOST])}" if rule.resource_names else ""
    return f"{','.join((rule.verbs or ())[:_KEPT_MOST])} {','.join(things[:_KEPT_MOST])}{only}"


def _widest(act: Act, subjects: Sequence[_Subject]) -> Given:
    """The one among the subjects that opens most; the actor itself before others like it."""
    order: Sequence[Audience] = ("public", "org", "group", "user", "unknown")
    given = [_given(act, subject) for subject in subjects]
    return min(given, key=lambda each: (order.index(each.audience), each.grantee != act.actor.id))


def _given(act: Act, subject: _Subject) -> Given:
    name = subject.name or ""
    if subject.kind == "ServiceAccount":
        namespace = subject.namespace or act.namespace
        # Whatever runs in a namespace and asks for no account of its own has this one.
        return Given("group" if name == "default" else "user", account(namespace, name))
    if name in PUBLIC or (name == "system:authenticated" and act.cloud == "gke"):
        return Given("public", name)  # to GKE anybody with a Google account is authenticated
    if name in {"system:authenticated", "system:serviceaccounts"}:
        return Given("org", name)
    return Given("group" if subject.kind == "Group" else "user", name[:512] or None)
