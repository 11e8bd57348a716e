"""Whether a configuration's files are still those that were read."""

from pathlib import Path

from detector.config_base import ConfigError
from detector.config_file import files

# Of each file its name and what says that it is another: when it was written, its size, its number on the disk.
_Look = tuple[tuple[str, int, int, int], ...]


class FileWatch:
    """Looks at a file, or the files of a folder, from time to time.

    By their dates and not by the system's notices: these don't come over a network's file system, and the change of
    a mounted Kubernetes ConfigMap is one of a link far away.

    Args:
        path: The file or folder; to be made before it is read, so that no change is missed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._known = self._last = self._look()

    def changed(self) -> bool:
        """Whether there is something else than the last time that this said so; said once it has come to rest."""
        now, before = self._look(), self._last
        self._last = now
        if now == self._known or now != before:
            return False
        self._known = now
        return True

    def _look(self) -> _Look | None:
        try:
            found = files(self.path) if self.path.is_dir() else [self.path]
            stats = [(file.name, file.stat()) for file in found]
        except (OSError, ConfigError):
            return None
        return tuple((name, stat.st_mtime_ns, stat.st_size, stat.st_ino) for name, stat in stats)
