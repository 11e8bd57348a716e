"""Records of how the detector itself was run: the configurations in force, and what operators did."""

from datetime import datetime
from typing import Any

import msgspec


class ConfigVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A configuration that came into force.

    `hash` is the SHA-256 of `body` (64 hexadecimal digits), of which findings and alerts carry the first 16 as
    `config`. `first_seen` is when the writer first ran under it, by its own clock. `version` is the program's, `source`
    how it came into force ("start", "reload").
    """

    hash: str
    first_seen: datetime
    version: str
    source: str
    body: str


class OperatorAction(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a person did to the detector or to what it stored.

    `action` is a word ("hold", "release", "reload"), `subject` what it was done to ("incident:a-1", "hold:h-1"),
    `details` the rest, as JSON knows it. `time` is of the program's clock. `config` is the configuration in force.
    """

    id: str
    time: datetime
    operator: str
    action: str
    subject: str
    reason: str
    details: dict[str, Any] = {}
    config: str = ""
