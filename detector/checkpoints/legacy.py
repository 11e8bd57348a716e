"""Checkpoints of format 1, which are read once, when a newer program takes them over: whole states, two of them."""

import re
from collections.abc import Callable
from typing import Any, Final

import msgspec

from detector.checkpoints.errors import CheckpointError
from detector.checkpoints.manifest import digest
from detector.checkpoints.storage import Storage

MANIFEST: Final = "manifest.json"
_STATE: Final = re.compile(r"state-\d+\.msgpack(\.draft)?")


class _Saved(msgspec.Struct, frozen=True):
    file: str
    blake2b: str
    offset: int


class _Manifest(msgspec.Struct, frozen=True):
    version: int
    current: _Saved
    previous: _Saved | None = None


def is_ours(name: str) -> bool:
    """Whether a file is one of format 1."""
    return name == MANIFEST or _STATE.fullmatch(name) is not None


def read(files: Storage, folder: str, damaged: Callable[[str, str], None]) -> tuple[int, dict[str, Any]] | None:
    """Offset and state of a partition's folder; None if there are none.

    Raises:
        CheckpointError: They are of another format, or neither state is whole.
    """
    payload = files.read(f"{folder}/{MANIFEST}")
    if payload is None:
        return None
    remedy = "restore it from a backup, or move it away to start without a memory"
    try:
        manifest = msgspec.json.decode(payload, type=_Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{files.where(folder)}/{MANIFEST} can't be understood ({error}): {remedy}") from error
    if manifest.version != 1:
        raise CheckpointError(f"{files.where(folder)} holds checkpoints of format {manifest.version}: {remedy}")
    for saved in (manifest.current, manifest.previous):
        state = files.read(f"{folder}/{saved.file}") if saved is not None else None
        if saved is not None and state is not None and digest(state) == saved.blake2b:
            return saved.offset, msgspec.msgpack.decode(state)
        damaged(folder, saved.file if saved is not None else MANIFEST)
    raise CheckpointError(f"neither state in {files.where(folder)} is whole: {remedy}")
