"""The files that settings name and that is judged by, told by content: another may come by the same name."""

import hashlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from os import stat_result
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec

from detector.config import Config
from detector.detectors import REGISTRY

MODEL_SETTING: Final = "detectors.forest_challenger.model"


def named(config: Config) -> dict[str, Path]:
    """The files, by the setting that names them."""
    found = {}
    for name in REGISTRY:
        settings = getattr(config.detectors, name)
        model = getattr(settings, "model", None)
        if model is not None and settings.enabled:
            found[f"detectors.{name}.model"] = Path(model)
    return found


def digests(config: Config) -> dict[str, str]:
    """The SHA-256 of each file as it is now. One that can't be read has none: who needs it says why."""
    found = {}
    for setting, path in named(config).items():
        with suppress(OSError):
            found[setting] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def with_digests(config: Config) -> Config:
    """The configuration with the digests of its files as they are now: part of what is in force, and of its hash."""
    return config.with_files(digests(config))


class Revived(NamedTuple):
    """A configuration out of a stored version, with its files as they are now; `replaced` are not what they were."""

    config: Config
    replaced: list[str]


def revived(body: str) -> Revived:
    """The configuration in the text of a version.

    Raises:
        pydantic.ValidationError: This program does not take it.
    """
    were: dict[str, str] = {}
    with suppress(msgspec.DecodeError):  # what is no JSON is told like all else that is not taken
        plain = msgspec.json.decode(body, type=dict[str, Any])
        were = plain.pop("files", were)
        body = msgspec.json.encode(plain).decode()
    config = with_digests(Config.model_validate_json(body))
    return Revived(config, [setting for setting, sha256 in were.items() if config.files.get(setting) != sha256])


class ModelWatch:
    """Looks from time to time whether the files that settings name are still those in force.

    Args:
        in_force: Gives the configuration in force.
    """

    def __init__(self, in_force: Callable[[], Config]) -> None:
        self._in_force = in_force
        self._last: Mapping[str, _Look] | None = None
        self._compared: Mapping[str, _Look] | None = None

    def changed(self) -> bool:
        """Whether one is another by content; said once for each that comes, when it has come to rest."""
        config = self._in_force()
        now, before = {setting: _look(path) for setting, path in named(config).items()}, self._last
        self._last = now
        if now != before or now == self._compared:
            return False
        self._compared = now
        return digests(config) != config.files


_Look = tuple[str, int, int, int]
"""A file's name and what says that it is another: when it was written, its size, its number on the disk."""


def _look(path: Path) -> _Look:
    with suppress(OSError):
        seen: stat_result = path.stat()
        return str(path), seen.st_mtime_ns, seen.st_size, seen.st_ino
    return str(path), 0, 0, 0
