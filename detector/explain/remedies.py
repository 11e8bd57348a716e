"""What would keep a finding from being made or told: each as a line of configuration, to be reviewed."""

import json
import math
import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from detector.detectors import REGISTRY
from detector.overrides import weighs

MUTED_FOR: Final = timedelta(days=30)


class Remedy(msgspec.Struct, frozen=True):
    """One way: what it does and what it costs, and the setting as YAML on one line."""

    way: str
    effect: str
    setting: str


def remedies(finding: Mapping[str, Any]) -> list[Remedy]:
    """Ways by which a finding would not be made, or would make no alert; the narrowest first.

    Args:
        finding: Its fields, as the store has them; `evidence` as plain data.
    """
    return [*_place(finding), *_threshold(finding), _mute(finding)]


def _place(finding: Mapping[str, Any]) -> Iterator[Remedy]:
    evidence = finding["evidence"]
    if finding["detector"] == "new_endpoint" and evidence.get("namespace") == "host" and evidence["zone"] != "public":
        yield Remedy(
            "approve the place",
            f"for everybody: findings about {evidence['endpoint']} are kept and suppressed, and it is learnt as usual",
            _yaml({"destinations": {"approved": [evidence["endpoint"]]}}),
        )


def _threshold(finding: Mapping[str, Any]) -> Iterator[Remedy]:
    """Above the score it is no finding. A fixed rule of a detector that weighs others has a share for a score."""
    detector = REGISTRY.get(finding["detector"])
    if detector is None or not weighs(detector) or finding["score"] <= 1.0:
        return
    threshold = math.ceil(finding["score"] * 10.0 + 0.5) / 10.0
    order = {
        "name": _name(finding),
        "reason": "…",
        "principals": [_exactly(finding["principal"])],
        "detectors": [finding["detector"]],
        "threshold": threshold,
    }
    yield Remedy(
        "raise its threshold",
        f"for {finding['principal']} alone, at all hours (`between:` narrows it): what is less strange than "
        f"p = {10.0**-threshold:.1g} is no finding, and is learnt as usual",
        _yaml({"overrides": [order]}),
    )


def _mute(finding: Mapping[str, Any]) -> Remedy:
    expires: datetime = finding["time"] + MUTED_FOR
    mute = {
        "name": _name(finding),
        "reason": "…",
        "owner": "…",
        "expires": f"{expires:%Y-%m-%dT00:00:00Z}",
        "up_to": finding["severity"],
        "detectors": [finding["detector"]],
        "rules": [finding["rule"]],
        "principals": [_exactly(finding["principal"])],
    }
    return Remedy(
        "mute it",
        f"until {expires:%Y-%m-%d}: such findings are kept and shown to nobody, and what they are about is not learnt",
        _yaml({"mutes": [mute]}),
    )


def _name(finding: Mapping[str, Any]) -> str:
    return f"{finding['rule']}-{finding['principal']}".replace("_", "-")


def _exactly(name: str) -> str:
    """A pattern that fits this name only."""
    return re.sub(r"([*?[])", r"[\1]", name)


def _yaml(setting: Mapping[str, Any]) -> str:
    """On one line, in the part of YAML that is JSON."""
    ((section, value),) = setting.items()
    return f"{section}: {json.dumps(value, ensure_ascii=False)}"
