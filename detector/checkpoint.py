"""State saved together with the offsets it stands for: written whole, then made valid by one rename.

A folder a partition holds numbered `state-N.msgpack` files and `manifest.json`, written last, which names the
current state and the one before it, each with its offset and digest. A state that is missing or does not
match its digest is never used: the one before it is, from its own, earlier offset.
"""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
import structlog

log = structlog.get_logger(__name__)

FORMAT_VERSION: Final = 1
MANIFEST: Final = "manifest.json"


class CheckpointError(Exception):
    """Checkpoints can't be kept where they should be, or can't be read by this program."""


class Saved(msgspec.Struct, frozen=True):
    """One whole state: its file, the digest of its bytes, and the next offset to read."""

    file: str
    blake2b: str
    offset: int


class Manifest(msgspec.Struct, frozen=True):
    """What is valid in a partition's folder."""

    version: int
    current: Saved
    previous: Saved | None = None


class Checkpoint(msgspec.Struct, frozen=True):
    """A state, and the offset to go on reading from."""

    offset: int
    state: dict[str, Any]


class CheckpointFolder:
    """Checkpoints of one stage, below one folder.

    Args:
        url: `file://` URL or path; made if it is not there, readable by its owner only.
        stage: Name of the stage; stages keep apart.

    Raises:
        CheckpointError: The URL names no folder on this machine, or the folder can't be made.
    """

    def __init__(self, url: str, stage: str) -> None:
        self._root = _local(url) / stage
        try:
            self._root.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise CheckpointError(f"checkpoints can't be kept in {self._root}: {error.strerror}") from error

    def save(self, checkpoints: Mapping[tuple[str, int], Checkpoint]) -> int:
        """Save partitions, each as of its offset, the next one to read; returns the size in bytes.

        All states are written before the first of them is made valid, so that a crash in between leaves the
        partitions as close together in time as can be.

        Raises:
            CheckpointError: It can't be written; what was saved before stays valid.
        """
        manifests: list[tuple[Path, Manifest]] = []
        size = 0
        try:
            for (topic, partition), checkpoint in checkpoints.items():
                folder = self._folder(topic, partition)
                payload = msgspec.msgpack.encode(checkpoint.state)
                size += len(payload)
                manifests.append((folder, self._write_state(folder, payload, checkpoint.offset)))
            for folder, manifest in manifests:
                self._make_valid(folder, manifest)
        except OSError as error:
            raise CheckpointError(f"a checkpoint can't be written: {error}") from error
        return size

    def _write_state(self, folder: Path, payload: bytes, offset: int) -> Manifest:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        before = self._manifest(folder)
        number = 1 + int(before.current.file[6:-8]) if before is not None else 0
        saved = Saved(f"state-{number}.msgpack", _digest(payload), offset)
        _write_whole(folder / saved.file, payload)
        return Manifest(FORMAT_VERSION, saved, before.current if before is not None else None)

    @staticmethod
    def _make_valid(folder: Path, manifest: Manifest) -> None:
        _write_whole(folder / MANIFEST, msgspec.json.encode(manifest))
        kept = {saved.file for saved in (manifest.current, manifest.previous) if saved is not None}
        for file in folder.glob("state-*"):
            if file.name not in kept:
                file.unlink(missing_ok=True)

    def load(self, topic: str, partition: int) -> Checkpoint | None:
        """The last whole state of a partition; None if none was ever saved.

        Raises:
            CheckpointError: It was written by another version of the program, or nothing of it is whole.
        """
        folder = self._folder(topic, partition)
        manifest = self._manifest(folder)
        if manifest is None:
            return None
        if manifest.version != FORMAT_VERSION:
            raise CheckpointError(
                f"{folder} holds checkpoints of format {manifest.version}, this program reads {FORMAT_VERSION}: "
                "run the version that wrote them, or move the folder away to start without a memory"
            )
        for saved in (manifest.current, manifest.previous):
            payload = _read(folder / saved.file) if saved is not None else None
            if saved is not None and payload is not None and _digest(payload) == saved.blake2b:
                return Checkpoint(saved.offset, msgspec.msgpack.decode(payload))
            log.error("checkpoint_damaged", folder=str(folder), file=saved.file if saved else None)
        raise CheckpointError(
            f"neither checkpoint in {folder} is whole: restore the folder from a backup, or move it away to "
            "start without a memory"
        )

    def _folder(self, topic: str, partition: int) -> Path:
        return self._root / topic.replace(os.sep, "_") / str(partition)

    @staticmethod
    def _manifest(folder: Path) -> Manifest | None:
        payload = _read(folder / MANIFEST)
        if payload is None:
            return None
        try:
            return msgspec.json.decode(payload, type=Manifest)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise CheckpointError(
                f"{folder / MANIFEST} can't be understood ({error}): restore the folder from a backup, or move it "
                "away to start without a memory"
            ) from error


def _local(url: str) -> Path:
    parts = urlsplit(url)
    if parts.scheme not in {"", "file"}:
        raise CheckpointError(f"state.url: {parts.scheme}:// is not supported; give a `file://` URL or a path")
    return Path(parts.netloc + parts.path) if parts.scheme else Path(url)


def _digest(payload: bytes) -> str:
    return hashlib.blake2b(payload, digest_size=16).hexdigest()


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CheckpointError(
            f"{path} can't be read: {error.strerror}; the folder must belong to the user that runs the detector"
        ) from error


def _write_whole(path: Path, payload: bytes) -> None:
    """Write so that a crash leaves either the old file or the new one, never a torn one."""
    draft = path.with_name(path.name + ".draft")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        view = memoryview(payload)
        while view:
            view = view[os.write(handle, view) :]
        os.fsync(handle)
    finally:
        os.close(handle)
    draft.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
