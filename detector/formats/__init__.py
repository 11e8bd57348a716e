"""Bytes -> events: one file a wire format, and their registry."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

from detector.formats.auto import Auto
from detector.formats.cloudevents import CloudEvents
from detector.formats.cloudtrail import decode as cloudtrail
from detector.formats.gcp_audit import decode as gcp_audit
from detector.formats.github import decode as github
from detector.formats.kubernetes import decode as kubernetes
from detector.formats.native import decode as native
from detector.formats.ocsf import decode as ocsf
from detector.formats.okta import decode as okta
from detector.formats.otel import decode as otel
from detector.formats.parts import Decoded
from detector.formats.values import of_values

Decode = Callable[[bytes], Decoded]
"""A message's events or parts (none if it holds nothing of ours), or why it was refused whole. Never raises."""


def registry(*, keep_content: bool = False) -> Mapping[str, Decode]:
    """What decodes each format, by its name.

    Args:
        keep_content: Keep what was said to and by a model in the bytes of its events, where a format has such.
    """
    plain: dict[str, Decode] = {
        "cloudtrail": cloudtrail,
        "gcp_audit": gcp_audit,
        "github": github,
        "kubernetes": kubernetes,
        "native": native,
        "ocsf": ocsf,
        "okta": okta,
        "otel": partial(otel, keep_content=keep_content),
    }
    around = plain | {"cloudevents": CloudEvents(plain).decode}
    return {name: of_values(decode) for name, decode in {**around, "auto": Auto(around).decode}.items()}


REGISTRY: Final[Mapping[str, Decode]] = registry()
