"""One file a behaviour that is watched, and their registry: the order in which they run and are told."""

from collections.abc import Mapping
from typing import Any, Final

from detector.detectors.base import Detector, DetectorSettings
from detector.detectors.behaviour import Behaviour
from detector.detectors.bulk_export import BulkExport
from detector.detectors.forest_challenger import ForestChallenger
from detector.detectors.goal_hijack import GoalHijack
from detector.detectors.identity_misuse import IdentityMisuse
from detector.detectors.mass_deletion import MassDeletion
from detector.detectors.new_endpoint import NewEndpoint
from detector.detectors.out_of_charter import OutOfCharter
from detector.detectors.permission_change import PermissionChange
from detector.detectors.sensitive_read import SensitiveRead
from detector.detectors.stop_violation import StopViolation
from detector.detectors.transfer_rate import TransferRate
from detector.detectors.unapproved_action import UnapprovedAction

REGISTRY: Final[Mapping[str, type[Detector[Any]]]] = {
    detector.name: detector
    for detector in (
        NewEndpoint,
        TransferRate,
        PermissionChange,
        OutOfCharter,
        UnapprovedAction,
        MassDeletion,
        BulkExport,
        IdentityMisuse,
        StopViolation,
        SensitiveRead,
        GoalHijack,
        Behaviour,
        ForestChallenger,
    )
}


def build(settings: Mapping[str, DetectorSettings] | None = None) -> list[Detector[Any]]:
    """The enabled detectors in registry order; defaults for those that `settings` does not name."""
    chosen = {name: (settings or {}).get(name) or detector.Settings() for name, detector in REGISTRY.items()}
    return [detector(chosen[name]) for name, detector in REGISTRY.items() if chosen[name].enabled]
