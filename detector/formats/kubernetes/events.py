"""An audited request -> an event.

| event | audit event |
| --- | --- |
| id | the cluster's name and `auditID`; without one a digest of the event |
| time | `requestReceivedTimestamp`, else `stageTimestamp`, else the shipper's |
| actor | `user.username`; a role that EKS maps to is the role, its session apart |
| actor.kind | service: the control plane and the nodes; human: a mail address of a person; agent: the rest |
| on_behalf_of | `impersonatedUser.username` |
| session | the role's session, else the pod that a service account's token is bound to |
| action | verb and resource as RBAC has them: `create pods/exec` |
| target | `k8s://cluster/namespace/resource/name`, `-` where there is no namespace |
| kind | by `MEANINGS` for writes; reads are access, deletes are deletes, the rest calls |
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from detector.events import Actor, ActorKind, Event, Sensitivity, Target
from detector.formats.audit import EPOCH, UNDATED, BadRecordError, digest
from detector.formats.kubernetes import credentials, exposure, rbac, safeguards
from detector.formats.kubernetes.acts import CHANGES, DELETES, PUBLIC, READS, Act, Meaning, disabled
from detector.formats.kubernetes.audit import Audit, User
from detector.formats.kubernetes.pods import workload
from detector.formats.kubernetes.wrapped import Found, annotated

MEANINGS: Final[Mapping[str, Callable[[Act], Meaning]]] = {
    **dict.fromkeys(("roles", "clusterroles"), rbac.role),
    **dict.fromkeys(("rolebindings", "clusterrolebindings"), rbac.binding),
    **dict.fromkeys(("pods", "pods/ephemeralcontainers", "podtemplates", "replicationcontrollers"), workload),
    **dict.fromkeys(("deployments", "daemonsets", "statefulsets", "replicasets", "jobs", "cronjobs"), workload),
    **dict.fromkeys(("mutatingwebhookconfigurations", "validatingwebhookconfigurations"), safeguards.webhooks),
    **dict.fromkeys(("validatingadmissionpolicies", "validatingadmissionpolicybindings"), safeguards.policy),
    "auditsinks": safeguards.sink,
    "namespaces": safeguards.namespace,
    "serviceaccounts/token": credentials.token,
    "secrets": credentials.secret,
    "certificatesigningrequests/approval": credentials.approval,
    "configmaps": credentials.user_map,
    "serviceaccounts": credentials.system_account,
    "pods/eviction": lambda _: Meaning("delete", records=1),
    "services": exposure.service,
    "ingresses": exposure.ingress,
    "networkpolicies": exposure.network_policy,
}
"""What creating, updating or patching a resource means; what is not here is a call."""

_WRITES: Final = CHANGES | {"create"}
_STREAMS: Final = frozenset({"exec", "attach", "portforward", "proxy"})
_RBAC: Final = frozenset({"roles", "clusterroles", "rolebindings", "clusterrolebindings"})
_REMOTE: Final = "remote_command"
_PROBES: Final = ("/healthz", "/livez", "/readyz")

# The control plane's own: its users, the nodes, and the accounts of the built-in controllers.
_SYSTEM: Final = re.compile(
    r"system:(?!anonymous|unauthenticated|admin$|masters|serviceaccount:)"
    r"|eks:|aksService$"
    r"|system:serviceaccount:kube-system:(?:[a-z-]+-controller|generic-garbage-collector|endpoint[a-z-]*"
    r"|horizontal-pod-autoscaler|[a-z]+-provisioner|root-ca-cert-publisher|token-cleaner|bootstrap-signer)$"
)
_PERSON: Final = re.compile(r"[^@\s:/]+@(?![\w.-]*gserviceaccount\.com$)[\w-]+(?:\.[\w-]+)+$")
_ASSUMED: Final = re.compile(r"arn:(aws[\w-]*):sts::(\d+):assumed-role/([^/]+)/(.+)")
_POD: Final = "authentication.kubernetes.io/pod-name"


def to_event(found: Found) -> Event | None:
    """The event of an audited request, None if it is nobody's act or not over yet.

    Raises:
        BadRecordError: It names no user, or a time at which nothing happened.
        UnicodeDecodeError: A part that is needed is not UTF-8.
    """
    audit = found.audit
    if audit.stage not in {None, "", "ResponseComplete", "Panic"}:
        return None
    path = (audit.request_uri or "").partition("?")[0]
    if audit.object_ref is None and path.startswith(_PROBES):
        return None
    cluster = (found.cluster or annotated(audit.annotations) or "cluster")[:256]
    actor = _actor(audit)
    meaning = means(Act(audit, actor, cluster, found.cloud))
    time = audit.time
    return Event(
        id=f"{cluster}/{_id(found)}"[:512],
        time=time,
        actor=actor,
        kind=meaning.kind,
        action=f"{audit.verb or 'request'} {audit.resource or path}".rstrip()[:512],
        target=_target(audit, cluster, path, meaning),
        destination=meaning.destination,
        records=meaning.records,
        permission=meaning.permission,
        outcome=audit.outcome,
        attributes=_attributes(audit, cluster) | dict(meaning.notes) | ({UNDATED: True} if time == EPOCH else {}),
    )


def means(act: Act) -> Meaning:
    """What a request does, by its verb and its resource; a dry run does nothing."""
    audit, verb, resource = act.audit, act.verb, act.audit.resource
    plain, _, below = resource.partition("/")
    guarded: Sensitivity = "restricted" if plain == "secrets" else "unknown"
    if audit.rehearsal:
        return Meaning(sensitivity=guarded)
    if below in _STREAMS:
        return Meaning(sensitivity=guarded, notes=((_REMOTE, below),))
    if verb in READS or (not verb and not bytes(audit.request_object)):
        every = verb == "list" and resource == "secrets" and not act.name
        return Meaning("access", sensitivity=guarded, notes=(("whole", "secrets"),) if every else ())
    if verb in DELETES and not below:
        return _deleted(act, plain) or Meaning("delete", sensitivity=guarded, records=1)
    return _written(act, resource, below) if verb in _WRITES else Meaning(sensitivity=guarded)


def _written(act: Act, resource: str, below: str) -> Meaning:
    """What a write means, by `MEANINGS`."""
    meaning = MEANINGS.get(resource)
    if meaning is None:
        return Meaning(sensitivity="restricted" if resource.startswith("secrets") else "unknown")
    found = meaning(act)
    # A container put into what runs is a shell in it, whatever its rights.
    return found._replace(notes=(*found.notes, (_REMOTE, below))) if below == "ephemeralcontainers" else found


def _deleted(act: Act, resource: str) -> Meaning | None:
    """What it means that this is gone, if that is more than a delete."""
    if resource in _RBAC:
        return rbac.unwritten(act)
    safeguard = safeguards.SAFEGUARDS.get(resource)
    return disabled(safeguard) if safeguard else None


def _actor(audit: Audit) -> Actor:
    user = audit.user or User()
    name = (user.username or "").strip()
    if not name:
        raise BadRecordError("the audit event names no user: user.username")
    session = _text(user, _POD) or _text(user, "sessionName")
    if role := _ASSUMED.fullmatch(name):
        partition, number, role_name, session = role.groups()
        name = f"arn:{partition}:iam::{number}:role/{role_name}"
    kind: ActorKind = "service" if _SYSTEM.match(name) else "human" if _PERSON.fullmatch(name) else "agent"
    other = audit.impersonated_user.username if audit.impersonated_user else None
    return Actor(name[:512], kind, on_behalf_of=(other or "")[:512] or None, session=session[:512] or None)


def _text(user: User, key: str) -> str:
    """The first of an extra's values; "" without one."""
    values = (user.extra or {}).get(key)
    first = values[0] if isinstance(values, list) and values else values
    return first if isinstance(first, str) else ""


def _id(found: Found) -> str:
    return found.audit.audit_id or digest(found.raw)


def _target(audit: Audit, cluster: str, path: str, meaning: Meaning) -> Target:
    ref = audit.object_ref
    if ref is None or not ref.resource:
        return Target(f"k8s://{cluster}{path if path.startswith('/') else '/' + path}"[:4096], "api")
    namespace = "-" if ref.resource == "namespaces" else ref.namespace or "-"
    name = f"/{ref.name}" if ref.name else ""
    return Target(f"k8s://{cluster}/{namespace}/{ref.resource}{name}"[:4096], ref.resource[:512], meaning.sensitivity)


def _attributes(audit: Audit, cluster: str) -> dict[str, Any]:
    """Where from, with what and in whose groups; nothing of what was asked or answered."""
    groups = [group[:128] for group in ((audit.user or User()).groups or [])[:8]]
    impersonated = audit.impersonated_user.groups if audit.impersonated_user else None
    code = audit.response_status.code if audit.response_status else None
    kept: dict[str, Any] = {
        "cluster": cluster,
        "source_ip": (audit.source_ips or [""])[0][:64],
        "user_agent": (audit.user_agent or "")[:256],
        "groups": groups,
        "impersonated_groups": [group[:128] for group in (impersonated or [])[:8]],
        "api_group": ((audit.object_ref.api_group if audit.object_ref else None) or "")[:256],
        "status_code": code if code and 0 < code < 1000 else None,
        "authorization_reason": _reason(audit),
        "dry_run": audit.rehearsal,
        "anonymous": bool(audit.resource and audit.user and audit.user.username in PUBLIC),
    }
    return {key: value for key, value in kept.items() if value}


def _reason(audit: Audit) -> str:
    """By which binding the request was allowed."""
    reason = (audit.annotations or {}).get("authorization.k8s.io/reason")
    return reason[:256] if isinstance(reason, str) else ""
