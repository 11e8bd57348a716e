"""Bytes -> events: one file a wire format, and their registry."""

from collections.abc import Callable, Mapping
from typing import Final

from detector.events import Event, Reject
from detector.formats.cloudtrail import decode as cloudtrail
from detector.formats.gcp_audit import decode as gcp_audit
from detector.formats.github import decode as github
from detector.formats.kubernetes import decode as kubernetes
from detector.formats.native import decode as native
from detector.formats.okta import decode as okta
from detector.formats.otel import decode as otel

Decode = Callable[[bytes], tuple[Event, ...] | Reject]
"""A message's events (none if it holds nothing of ours), or why it could not be understood. Never raises."""

REGISTRY: Final[Mapping[str, Decode]] = {
    "cloudtrail": cloudtrail,
    "gcp_audit": gcp_audit,
    "github": github,
    "kubernetes": kubernetes,
    "native": native,
    "okta": okta,
    "otel": otel,
}
