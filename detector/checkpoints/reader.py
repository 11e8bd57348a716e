"""The checkpoints in partitions' folders as they are read: what is damaged is told, what is torn is known."""

from collections.abc import Callable, Sequence

import msgspec
import structlog

from detector.checkpoints.errors import CheckpointError
from detector.checkpoints.manifest import FORMAT_VERSION, Key, Manifest, digest
from detector.checkpoints.pieces import Part, decode
from detector.checkpoints.storage import Storage

log = structlog.get_logger(__name__)


class Checkpoint(msgspec.Struct, frozen=True):
    """A whole state, what changed after it piece by piece, and the offset to go on reading from."""

    offset: int
    parts: list[Part]


class Reader:
    """Reads folders below one storage. What fails there raises OSError.

    Args:
        files: Where the folders are.
        on_damage: Called for each file that was missing, damaged, or can't be had together with others.
    """

    def __init__(self, files: Storage, on_damage: Callable[[], None]) -> None:
        self._files = files
        self._on_damage = on_damage

    def manifests(self, folder: str) -> list[Key]:
        """Keys of the manifests in a folder, the newest last."""
        return _manifests(self._files.names(folder))

    def manifest(self, folder: str, key: Key) -> Manifest | None:
        """A manifest; None if it is missing or damaged.

        Raises:
            CheckpointError: It is of another format.
        """
        payload = self._files.read(f"{folder}/{key.name('manifest')}")
        try:
            manifest = None if payload is None else msgspec.json.decode(payload, type=Manifest)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        if manifest is not None and manifest.version != FORMAT_VERSION:
            raise CheckpointError(
                f"{self._files.where(folder)} holds checkpoints of format {manifest.version}, this program reads "
                f"{FORMAT_VERSION}: run the version that wrote them, or move it away to start without a memory"
            )
        return manifest if manifest is not None and manifest.pieces else None

    def read(self, folder: str, manifest: Manifest) -> Checkpoint | None:
        """What of a checkpoint is whole; None if that is nothing."""
        parts: list[Part] = []
        offset = 0
        for saved in manifest.pieces:
            payload = self._files.read(f"{folder}/{saved.file}")
            if payload is None or digest(payload) != saved.blake2b:
                self.damaged(folder, saved.file)
                break
            parts.append(decode(payload))
            offset = saved.offset
        return Checkpoint(offset, parts) if parts else None

    def damaged(self, folder: str, file: str) -> None:
        """Tell of a file, and count it."""
        log.error("checkpoint_damaged", folder=self._files.where(folder), file=file)
        self._on_damage()

    def is_torn(self, key: Key, manifest: Manifest, names: dict[str, list[str]]) -> bool:
        """Whether the writer ended before all that were saved together had a manifest of that moment.

        The sign of it is a piece of that moment with no manifest as new as it. In a folder that was moved away,
        begun anew or restored from a backup there is none: no reason for the others to go back.
        """
        for folder, number in manifest.together.items():
            if folder not in names:
                names[folder] = self._files.names(folder)
            there = [found for name in names[folder] if (found := Key.of(name)) is not None]
            moment = (key.generation, number, key.writer)
            piece = next((found for found in there if found[1:] == moment), None)
            if piece is not None and not any(valid >= piece for valid in _manifests(names[folder])):
                return True
        return False


def _manifests(names: Sequence[str]) -> list[Key]:
    names = [name for name in names if name.startswith("manifest-") and name.endswith(".json")]
    return sorted(key for name in names if (key := Key.of(name)) is not None)
