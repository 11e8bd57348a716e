"""Kubernetes audit logs: audit.k8s.io/v1 events, one a message, in an `EventList`, or as EKS, AKS and GKE ship them.

A request counts once, when it is over (stage ResponseComplete or Panic; a shipper may have dropped the stage).
Probes of health and the stages before are passed over, so a message may hold no event at all. What a request
means stands in `kubernetes_events.MEANINGS`; where the policy keeps only metadata, its contents are unknown.

A request that carries a pod, a role, a secret: of it only what a meaning needs is looked at, and none is kept.
"""

from detector.events import Event, Reject
from detector.formats.audit import read
from detector.formats.kubernetes.events import to_event
from detector.formats.kubernetes.wrapped import found_in


def decode(raw: bytes) -> tuple[Event, ...] | Reject:
    """The events of a message in its order, perhaps none.

    >>> [decode(raw).reason for raw in (b"{}", b"no", b"")]
    ['wrong_shape', 'not_json', 'empty']
    >>> decode(b'{"kind": "EventList", "items": []}')
    ()
    """
    return read(raw, _events)


def _events(raw: bytes) -> tuple[Event, ...]:
    return tuple(event for found in found_in(raw) if (event := to_event(found)) is not None)
