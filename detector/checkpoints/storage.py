"""Where files of checkpoints are: a folder of this machine, or an object store through fsspec."""

import os
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import fsspec
from fsspec.registry import known_implementations

from detector.checkpoints.errors import CheckpointError

DRAFT: Final = ".draft"


class Storage(Protocol):
    """Files by path, relative to a root. Whatever fails raises OSError."""

    def read(self, path: str) -> bytes | None:
        """The file's bytes; None if there is none."""

    def write(self, path: str, payload: bytes) -> None:
        """Write a file whole: until this returns a reader sees none, or the old one; from then on it lasts."""

    def names(self, folder: str) -> list[str]:
        """Names of the files in a folder, in order; none if the folder is not there."""

    def remove(self, path: str) -> None:
        """Remove a file; one that is not there is no error."""

    def where(self, path: str) -> str:
        """The path as a person would look it up."""


class LocalFolder:
    """A folder of this machine, readable by its owner only.

    Args:
        root: The folder; made if it is not there.

    Raises:
        CheckpointError: It can't be made.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        try:
            _make(root)
        except OSError as error:
            raise CheckpointError(f"checkpoints can't be kept in {root}: {error.strerror}") from error

    def read(self, path: str) -> bytes | None:
        """As `Storage` has it."""
        try:
            return (self._root / path).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, path: str, payload: bytes) -> None:
        """By a draft that is synced and renamed: a crash leaves either the old file or the new one."""
        target = self._root / path
        _make(target.parent)
        draft = target.with_name(target.name + DRAFT)
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            view = memoryview(payload)
            while view:
                view = view[os.write(handle, view) :]
            os.fsync(handle)
        except OSError:
            draft.unlink(missing_ok=True)
            raise
        finally:
            os.close(handle)
        draft.replace(target)
        folder = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def names(self, folder: str) -> list[str]:
        """As `Storage` has it."""
        try:
            return sorted(file.name for file in (self._root / folder).iterdir())
        except FileNotFoundError:
            return []

    def remove(self, path: str) -> None:
        """As `Storage` has it."""
        (self._root / path).unlink(missing_ok=True)

    def where(self, path: str) -> str:
        """The path on this machine."""
        return str(self._root / path)


def _make(folder: Path) -> None:
    """Make a folder and those above it that are missing, all for their owner only."""
    for missing in reversed([part for part in (folder, *folder.parents) if not part.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)


class ObjectStore:
    """A folder of an object store, where a put is atomic and what was put is listed at once.

    Args:
        url: As fsspec knows it; credentials come from the environment, as its package reads them.
        root: Folder below it.
        probe: Name of a file that is written and removed, to find out at the start whether it can be.

    Raises:
        CheckpointError: The scheme is not known, its package is not installed, or the store can't be written.
    """

    def __init__(self, url: str, root: str, probe: str) -> None:
        scheme = urlsplit(url).scheme
        try:
            self._files, base = fsspec.core.url_to_fs(url)
        except ImportError as error:
            raise CheckpointError(f"state.url: {scheme}:// needs a package: {_remedy(scheme, error)}") from error
        except ValueError as error:
            raise CheckpointError(
                f"state.url: {scheme}:// is not supported ({error}); give a `file://` URL, a path, or an object store"
            ) from error
        self._scheme, self._root = scheme, f"{base.rstrip('/')}/{root}"
        try:
            self.write(probe, b"")
            self.remove(probe)
        except OSError as error:
            raise CheckpointError(
                f"checkpoints can't be kept in {self.where('')}: {error}; the store must let this program list, "
                "read, write and remove below it"
            ) from error

    def read(self, path: str) -> bytes | None:
        """As `Storage` has it."""
        try:
            payload: bytes = self._files.cat_file(f"{self._root}/{path}")
        except FileNotFoundError:
            return None
        except Exception as error:
            raise _failed(error) from error
        return payload

    def write(self, path: str, payload: bytes) -> None:
        """One put."""
        try:
            self._files.pipe_file(f"{self._root}/{path}", payload)
        except Exception as error:
            raise _failed(error) from error

    def names(self, folder: str) -> list[str]:
        """As the store lists it now, not as it was remembered."""
        try:
            self._files.invalidate_cache()
            found: list[str] = self._files.ls(f"{self._root}/{folder}", detail=False)
        except FileNotFoundError:
            return []
        except Exception as error:
            raise _failed(error) from error
        return sorted(name.rstrip("/").rpartition("/")[2] for name in found)

    def remove(self, path: str) -> None:
        """As `Storage` has it."""
        try:
            self._files.rm_file(f"{self._root}/{path}")
        except FileNotFoundError:
            return
        except Exception as error:
            raise _failed(error) from error

    def where(self, path: str) -> str:
        """The URL, without credentials."""
        return f"{self._scheme}://{self._root.lstrip('/')}/{path}".rstrip("/")


def _failed(error: Exception) -> OSError:
    """Every package has errors of its own; to us they are all the same."""
    return error if isinstance(error, OSError) else OSError(f"{type(error).__name__}: {error}")


def _remedy(scheme: str, error: ImportError) -> str:
    known: dict[str, Any] = known_implementations.get(scheme, {})
    package = str(known.get("class", "")).partition(".")[0]
    return f"pip install {package}" if package not in {"", "fsspec"} else str(error)


def open_storage(url: str, stage: str, writer: str) -> Storage:
    """The files of one stage below a URL; a `file://` URL or a path is a folder of this machine.

    Raises:
        CheckpointError: Nothing can be kept there.
    """
    parts = urlsplit(url)
    if parts.scheme in {"", "file"}:
        return LocalFolder(Path(parts.netloc + parts.path if parts.scheme else url) / stage)
    return ObjectStore(url, stage, f"probe-{writer}")
