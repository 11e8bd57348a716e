"""Findings and alerts -> bytes for others: the forms they are handed out in, and their registry."""

from collections.abc import Callable, Mapping
from typing import Final, Literal

import msgspec

from detector.alerts import Alert
from detector.findings import Finding
from detector.renderings.ocsf import encode as ocsf

Rendering = Literal["native", "ocsf"]
Encode = Callable[[Finding | Alert], bytes]
"""A finding or a version of an alert as one JSON object without line breaks; the same one, the same bytes."""

RENDERINGS: Final[Mapping[Rendering, Encode]] = {"native": msgspec.json.Encoder().encode, "ocsf": ocsf}
