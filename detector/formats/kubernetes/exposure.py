"""What opens a way in from outside: services, ingresses, and network policies that let everybody through."""

from typing import Any, Final

import msgspec

from detector.events import Audience, Permission
from detector.formats.kubernetes.acts import Act, Meaning, changed

# Annotation (its end) -> the values by which a cloud keeps a load balancer inside its network.
_INSIDE: Final = {
    "aws-load-balancer-internal": {"true", "0.0.0.0/0"},
    "aws-load-balancer-scheme": {"internal"},
    "load-balancer-type": {"internal"},
    "azure-load-balancer-internal": {"true"},
    "oci-load-balancer-internal": {"true"},
    "openstack-internal-load-balancer": {"true"},
}
_SCHEME: Final = "alb.ingress.kubernetes.io/scheme"
_EVERYWHERE: Final = frozenset({"0.0.0.0/0", "::/0"})


class _Metadata(msgspec.Struct):
    annotations: dict[str, Any] | None = None


class _ServiceSpec(msgspec.Struct):
    type: str | None = None
    ranges: list[str] | None = msgspec.field(default=None, name="loadBalancerSourceRanges")
    external: list[str] | None = msgspec.field(default=None, name="externalIPs")


class _Service(msgspec.Struct):
    metadata: _Metadata | None = None
    spec: _ServiceSpec | None = None


class _Annotated(msgspec.Struct):
    metadata: _Metadata | None = None


class _Block(msgspec.Struct):
    cidr: str | None = None


class _Peer(msgspec.Struct):
    ip_block: _Block | None = msgspec.field(default=None, name="ipBlock")


class _Ingress(msgspec.Struct):
    sources: list[_Peer] | None = msgspec.field(default=None, name="from")


class _NetworkSpec(msgspec.Struct):
    ingress: list[_Ingress] | None = None


class _NetworkPolicy(msgspec.Struct):
    spec: _NetworkSpec | None = None


def service(act: Act) -> Meaning:
    """A service written: open to the public, to whoever reaches a node, or to nobody outside."""
    written = act.audit.written(_Service) or act.audit.answered(_Service)
    spec = written.spec if written else None
    if written is None or spec is None:
        return Meaning()
    if spec.type == "LoadBalancer":
        whole = act.audit.answered(_Service) if act.verb == "patch" else None
        private = any(each is not None and _is_private(each) for each in (written, whole))
        return _opened(act, "org" if private else "public", "reach LoadBalancer")
    if spec.type == "NodePort" or spec.external:
        return _opened(act, "org", f"reach {'NodePort' if spec.type == 'NodePort' else 'externalIPs'}")
    return Meaning()


def _is_private(written: _Service) -> bool:
    """Whether a load balancer stays inside, by its annotations or by the addresses that it lets in."""
    annotations = (written.metadata.annotations if written.metadata else None) or {}
    inside = any(str(value).lower() in _INSIDE.get(key.rpartition("/")[2], ()) for key, value in annotations.items())
    ranges = written.spec.ranges if written.spec else None
    return inside or bool(ranges and not _EVERYWHERE.intersection(ranges))


def ingress(act: Act) -> Meaning:
    """An ingress written; whether its controller stands outside it does not say, but where AWS makes one."""
    written = act.audit.written(_Annotated)
    annotations = (written.metadata.annotations if written and written.metadata else None) or {}
    outside = annotations.get(_SCHEME) == "internet-facing"
    return _opened(act, "public", "reach Ingress") if outside else Meaning()


def network_policy(act: Act) -> Meaning:
    """A network policy written: a rule without sources, or from everywhere, lets in all who can reach a pod."""
    written = act.audit.written(_NetworkPolicy)
    rules = (written.spec.ingress if written and written.spec else None) or ()
    blocks = {peer.ip_block.cidr for rule in rules for peer in rule.sources or () if peer.ip_block}
    if _EVERYWHERE & blocks or any(not rule.sources for rule in rules):
        return _opened(act, "org", "network ingress")
    return changed(Permission("narrow", privilege="network ingress")) if act.verb == "create" else Meaning()


def _opened(act: Act, audience: Audience, privilege: str) -> Meaning:
    return changed(Permission(act.change, None, audience, None, privilege))
