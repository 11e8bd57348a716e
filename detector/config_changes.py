"""What differs between two configurations, and what of it a running service can't take on."""

from typing import Final

from detector.config import Config
from detector.config_file import Loaded
from detector.config_paths import Path, dotted, leaves
from detector.config_versions import effective
from detector.detectors import REGISTRY

# Connections and topics, what they are made with, and the bounds and shape of what is remembered.
_WITH_A_RESTART: Final[tuple[Path, ...]] = (
    *((section,) for section in ("kafka", "format", "sources", "store", "audit", "state", "alertmanager", "webhook")),
    ("metrics",),
    ("scoring", "max_principals"),
    ("scoring", "max_ready"),
    ("scoring", "idle_days"),
    ("scoring", "dedup_window"),
    *(("detectors", name, setting) for name, each in REGISTRY.items() for setting in sorted(each.shaping)),
)


def differences(before: Config, after: Config) -> list[Path]:
    """The settings that are not the same in both, in the order of the settings; a list is one setting.

    One that names a file is not the same, either, if the file is another.
    """
    old, new = (dict(leaves(effective(config))) for config in (before, after))
    replaced = {name for name in {**before.files, **after.files} if before.files.get(name) != after.files.get(name)}
    return [path for path in {**old, **new} if old.get(path, ...) != new.get(path, ...) or dotted(path) in replaced]


def refusals(changed: list[Path], loaded: Loaded) -> list[str]:
    """What to say of each change that takes a restart: the place, the setting and the remedy."""
    told = []
    for path in changed:
        if any(path[: len(fixed)] == fixed for fixed in _WITH_A_RESTART):
            origin = loaded.origin(path)
            where = f"{origin}: " if origin is not None else ""
            told.append(f"{where}`{dotted(path)}` can't be changed while the service runs: restart it, or take it back")
    return told
