"""Severity: SEV0 (worst) to SEV4 (informational), the one scale of findings and alerts."""

from typing import Final, Literal, get_args

Severity = Literal["SEV0", "SEV1", "SEV2", "SEV3", "SEV4"]

SEVERITIES: Final[tuple[Severity, ...]] = get_args(Severity)

# OCSF 1.x `severity_id`: 1 Informational, 2 Low, 3 Medium, 4 High, 5 Critical.
OCSF_SEVERITY_ID: Final[dict[Severity, int]] = {"SEV0": 5, "SEV1": 5, "SEV2": 4, "SEV3": 3, "SEV4": 1}

_RANK: Final[dict[Severity, int]] = {name: rank for rank, name in enumerate(SEVERITIES)}


def rank(severity: Severity) -> int:
    """Position on the scale: 0 for SEV0 (worst) to 4 for SEV4."""
    return _RANK[severity]


def worst(*severities: Severity) -> Severity:
    """The worst of the severities given.

    >>> worst("SEV3", "SEV1", "SEV4")
    'SEV1'
    """
    return min(severities, key=rank)


def at_least(severity: Severity, floor: Severity) -> bool:
    """True when `severity` is as bad as `floor` or worse.

    >>> at_least("SEV1", "SEV2"), at_least("SEV3", "SEV2")
    (True, False)
    """
    return _RANK[severity] <= _RANK[floor]
