"""What guards a cluster, and is switched off: admission control, policies, audit sinks, pod security.

Deleting one disables it. Changing one is read: emptied, put to sleep or told to let failures pass it is
disabled as well; a renewed certificate in it is routine.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from detector.events import Destination, Permission
from detector.formats.kubernetes.acts import ELEVATED, Act, Meaning, changed, disabled

SAFEGUARDS: Final[Mapping[str, str]] = {
    "validatingwebhookconfigurations": "admission webhook",
    "mutatingwebhookconfigurations": "admission webhook",
    "validatingadmissionpolicies": "admission policy",
    "validatingadmissionpolicybindings": "admission policy",
    "mutatingadmissionpolicies": "admission policy",
    "mutatingadmissionpolicybindings": "admission policy",
    "podsecuritypolicies": "pod security policy",
    "auditsinks": "audit log",
    "events": "cluster events",
    "networkpolicies": "network policy",
    "adminnetworkpolicies": "network policy",
    "ciliumnetworkpolicies": "network policy",
    "ciliumclusterwidenetworkpolicies": "network policy",
    "globalnetworkpolicies": "network policy",
    "authorizationpolicies": "service mesh policy",
    "peerauthentications": "service mesh policy",
    "clusterpolicies": "admission policy",
    "constrainttemplates": "admission policy",
    "tracingpolicies": "threat detection",
}
"""Plural of a resource -> the safeguard that it is."""

_ENFORCE: Final = "pod-security.kubernetes.io/enforce"


class _ClientConfig(msgspec.Struct):
    url: str | None = None
    service: dict[str, Any] | None = None


class _Webhook(msgspec.Struct, rename="camel"):
    name: str | None = None
    failure_policy: str | None = None
    rules: list[Any] | msgspec.UnsetType | None = msgspec.UNSET
    client_config: _ClientConfig | None = None


class _Configuration(msgspec.Struct):
    webhooks: list[_Webhook] | msgspec.UnsetType | None = msgspec.UNSET


class _PolicySpec(msgspec.Struct, rename="camel"):
    failure_policy: str | None = None
    validation_actions: list[str] | None = None


class _Policy(msgspec.Struct):
    spec: _PolicySpec | None = None


class _Metadata(msgspec.Struct):
    labels: dict[str, str | None] | None = None


class _Labelled(msgspec.Struct):
    metadata: _Metadata | None = None


def webhooks(act: Act) -> Meaning:
    """An admission webhook written: it sees, and perhaps alters, every object that it asks for."""
    written = act.audit.written(_Configuration)
    if written is None:
        return changed(Permission(act.change, privilege="admission webhook"))
    if any(path.startswith("/webhooks") for path in act.audit.removed()):
        return disabled("admission webhook")
    if written.webhooks is msgspec.UNSET:
        return Meaning()
    hooks = written.webhooks or []
    if act.verb != "create":
        weak = any(each.failure_policy == "Ignore" or not each.rules for each in hooks)
        if not hooks or (weak and not all(_renews(each) for each in hooks)):
            return disabled("admission webhook")
        return Meaning()
    url = next((each.client_config.url for each in hooks if each.client_config and each.client_config.url), None)
    permission = Permission("grant", (url or "")[:512] or None, privilege=f"{ELEVATED}admission webhook")
    host = url.partition("://")[2].partition("/")[0].partition(":")[0] if url else ""
    return Meaning("permission", permission, destination=Destination(host=host[:512]) if host else None)


def _renews(webhook: _Webhook) -> bool:
    """A part that touches neither what the webhook asks for nor what follows when it fails."""
    return webhook.failure_policy is None and webhook.rules is msgspec.UNSET


def policy(act: Act) -> Meaning:
    """An admission policy or its binding changed: disabled if it denies no longer."""
    written = act.audit.written(_Policy)
    spec = written.spec if written else None
    if spec is None or act.verb == "create":
        return Meaning()
    sleeps = spec.validation_actions is not None and "Deny" not in spec.validation_actions
    return disabled("admission policy") if sleeps or spec.failure_policy == "Ignore" else Meaning()


def namespace(act: Act) -> Meaning:
    """A namespace changed: pod security is off where its level becomes `privileged` or is taken away."""
    if act.verb == "create":
        return Meaning()
    if any("pod-security.kubernetes.io~1enforce" in path for path in act.audit.removed()):
        return disabled("pod security")
    written = act.audit.written(_Labelled)
    labels = (written.metadata.labels if written and written.metadata else None) or {}
    taken = _ENFORCE in labels and labels[_ENFORCE] in {None, "privileged"}
    return disabled("pod security") if taken else Meaning()


def sink(act: Act) -> Meaning:
    """An audit sink changed; a new one is a place that the log goes to."""
    return disabled("audit log") if act.verb != "create" else Meaning()
