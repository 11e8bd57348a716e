"""Kubernetes audit logs: audit.k8s.io/v1 events, one a message, in an `EventList`, or as EKS, AKS and GKE ship them.

A request counts once, when it is over (stage ResponseComplete or Panic; a shipper may have dropped the stage).
Probes of health and the stages before are passed over, so a message may hold no event at all. What a request
means stands in `kubernetes_events.MEANINGS`; where the policy keeps only metadata, its contents are unknown.

A request that carries a pod, a role, a secret: of it only what a meaning needs is looked at, and none is kept.
"""

from functools import partial

from detector.events import Event
from detector.formats.audit import few, parts_of, read
from detector.formats.kubernetes.events import to_event
from detector.formats.kubernetes.wrapped import Found, Record, found_in
from detector.formats.parts import Decoded, Part


def decode(raw: bytes) -> Decoded:
    """The events of a message in its order, perhaps none.

    >>> [decode(raw).reason for raw in (b"{}", b"no", b"")]
    ['wrong_shape', 'not_json', 'empty']
    >>> decode(b'{"kind": "EventList", "items": []}')
    ()
    """
    return read(raw, _events)


def _events(raw: bytes) -> tuple[Event | Part, ...]:
    found = found_in(raw)
    if isinstance(found, list):
        return tuple(part for record in few(found) for part in parts_of(record.raw, partial(_of_record, record)))
    return _event(found)


def _of_record(record: Record, _: bytes) -> tuple[Event, ...]:
    return _event(record.found())


def _event(found: Found | None) -> tuple[Event, ...]:
    event = to_event(found) if found is not None else None
    return () if event is None else (event,)
