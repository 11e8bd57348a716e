"""Versions of the configuration: the effective settings as canonical JSON, and the hash that findings carry."""

import hashlib
from datetime import datetime
from typing import Any, Final

import msgspec

from detector import VERSION
from detector.config import Config
from detector.records import ConfigVersion

SHORT: Final = 16
"""Digits of the hash that findings and alerts carry."""


def effective(config: Config) -> dict[str, Any]:
    """The configuration as plain data, defaults and all; secrets appear only by where they are kept."""
    plain: dict[str, Any] = msgspec.json.decode(config.model_dump_json())
    return plain


def body(config: Config) -> str:
    """The effective configuration as canonical JSON: sorted keys, no white space, UTF-8.

    What tells one process from the others of its group is left out (`kafka.instance_id`, and where `metrics` are
    served): they all judge by one configuration. `files` are the digests of those that settings name, if any do.
    """
    plain = effective(config)
    if config.files:
        plain["files"] = dict(config.files)
    del plain["kafka"]["instance_id"], plain["metrics"]["address"], plain["metrics"]["port"]
    return msgspec.json.encode(plain, order="sorted").decode()


def short_hash(config: Config) -> str:
    """The first 16 hexadecimal digits of the hash: what findings and alerts say they were made under.

    >>> len(short_hash(Config()))
    16
    """
    return _hash(body(config))[:SHORT]


def config_version(config: Config, first_seen: datetime, source: str = "start") -> ConfigVersion:
    """The version that the configuration is, for the event store.

    Args:
        config: What is in force.
        first_seen: Since when.
        source: How it came into force.
    """
    text = body(config)
    return ConfigVersion(hash=_hash(text), first_seen=first_seen, version=VERSION, source=source, body=text)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
