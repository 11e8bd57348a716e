"""Kubernetes audit events as an API server writes them."""

from collections.abc import Mapping
from typing import Any

import msgspec

from detector.events import Event, Permission
from detector.formats.kubernetes import decode
from detector.formats.parts import events_of


def audited(verb: str, resource: str, body: Any = None, /, **changes: Any) -> dict[str, Any]:
    """A request of `ops-bot` that worked: `audited("create", "pods/exec", name="web-0", namespace="web")`.

    Args:
        verb: As in RBAC.
        resource: The plural, perhaps with a subresource.
        body: The object in the request, None for none.
        changes: `name`, `namespace` and `group` of the object, `user` its name, `code` of the answer;
            other names are fields of the event.
    """
    plain, _, below = resource.partition("/")
    reference = {
        "resource": plain,
        "subresource": below,
        "namespace": changes.pop("namespace", ""),
        "name": changes.pop("name", "thing"),
        "apiGroup": changes.pop("group", ""),
        "apiVersion": "v1",
    }
    made = {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "RequestResponse",
        "auditID": "a-1",
        "stage": "ResponseComplete",
        "requestURI": f"/api/v1/{plain}",
        "verb": verb,
        "user": {"username": changes.pop("user", "ops-bot"), "groups": ["system:authenticated"]},
        "sourceIPs": ["198.51.100.7"],
        "userAgent": "kubectl/v1.31.0",
        "objectRef": {key: value for key, value in reference.items() if value},
        "responseStatus": {"metadata": {}, "code": changes.pop("code", 200)},
        "requestReceivedTimestamp": "2026-03-02T09:00:00.123456Z",
        "stageTimestamp": "2026-03-02T09:00:00.223456Z",
        "annotations": {"authorization.k8s.io/decision": "allow"},
    }
    return made | ({"requestObject": body} if body is not None else {}) | changes


def binding(role: str, *subjects: Mapping[str, str]) -> dict[str, Any]:
    """A role binding's object."""
    return {"kind": "RoleBinding", "roleRef": {"kind": "ClusterRole", "name": role}, "subjects": list(subjects)}


def rule(verbs: str, resources: str, groups: str = "", **more: Any) -> dict[str, Any]:
    """A role's rule, its lists as words: `rule("get list", "secrets")`; the group of no name is the core."""
    return {"verbs": verbs.split(), "resources": resources.split(), "apiGroups": groups.split() or [""], **more}


def pod(container: Mapping[str, Any] | None = None, /, **spec: Any) -> dict[str, Any]:
    """A pod with one container."""
    return {
        "kind": "Pod",
        "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "c", **(container or {})}], **spec},
    }


def raw(event: Mapping[str, Any]) -> bytes:
    """A message."""
    return msgspec.json.encode(event)


def one(verb: str, resource: str, body: Any = None, /, **changes: Any) -> Event:
    """The one event that such a call decodes to."""
    decoded = decode(raw(audited(verb, resource, body, **changes)))
    assert isinstance(decoded, tuple), decoded
    (event,) = events_of(decoded)
    return event


def permission(verb: str, resource: str, body: Any = None, /, **changes: Any) -> Permission:
    """The permission of the one event that such a call decodes to."""
    event = one(verb, resource, body, **changes)
    assert event.kind == "permission", event
    assert event.permission is not None
    return event.permission
