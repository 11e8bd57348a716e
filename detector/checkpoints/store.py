"""The checkpoints of one stage: written piece by piece, made valid by a manifest, read back whole or not at all.

A folder a partition holds pieces, and manifests that name them. The newest manifest counts whose first piece is
whole; of its pieces count those before the first that is missing or damaged, up to the offset of the last of them.
A moment at which several partitions were saved counts if all of them have a manifest of it.
"""

import secrets
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec
import structlog

from detector.checkpoints import legacy
from detector.checkpoints.errors import CheckpointError, CheckpointFenced
from detector.checkpoints.manifest import FORMAT_VERSION, Key, Manifest, Saved, digest
from detector.checkpoints.pieces import Part, Piece, decode
from detector.checkpoints.storage import Storage, open_storage

log = structlog.get_logger(__name__)

Partition = tuple[str, int]

# Pieces after which, or share of the whole state's bytes from which on, the changes are folded into a new one.
MORE_MOST: Final = 60
SHARE_MOST: Final = 1.0


class Checkpoint(msgspec.Struct, frozen=True):
    """A whole state, what changed after it piece by piece, and the offset to go on reading from."""

    offset: int
    parts: list[Part]


class _Tenure:
    """A partition as one writer has it: where it stands among all writers, and what it wrote last.

    `begun_at` is the number it began at, `number` that of the last try; `pieces` make up the last checkpoint,
    `last_key` is its manifest, `before` the last manifest of the whole state before this one. `era_proved` is false
    as long as it is not known whether the group began anew.
    """

    __slots__ = ("before", "begun_at", "era", "era_proved", "last_key", "number", "pieces")

    def __init__(self, era: int, number: int, last_key: Key | None, *, era_proved: bool = True) -> None:
        self.era, self.number, self.begun_at = era, number, number
        self.era_proved = era_proved
        self.pieces: list[Saved] = []
        self.last_key = last_key
        self.before: Key | None = None


class CheckpointStore:
    """Checkpoints of one stage, below one URL. Any process that sees the URL can restore.

    A writer that is behind another, by the consumer group's generation, writes nothing more and removes nothing
    that another wrote since. Not thread-safe.

    Args:
        url: `file://` URL or path of a folder, or that of an object store which fsspec has a package for.
        stage: Name of the stage; stages keep apart.
        writer: Tells this process's files from those of all others; drawn at random by default.
        on_damage: Called for each piece or manifest that was missing or damaged.

    Raises:
        CheckpointError: Nothing can be kept there; the message says why, and what to do.
    """

    def __init__(
        self, url: str, stage: str, *, writer: str | None = None, on_damage: Callable[[], None] = lambda: None
    ) -> None:
        self._writer = writer or secrets.token_hex(4)
        self._files: Storage = open_storage(url, stage, self._writer)
        self._on_damage = on_damage
        self._tenures: dict[Partition, _Tenure] = {}

    def load(self, partitions: Sequence[Partition], generation: int = 0) -> dict[Partition, Checkpoint | None]:
        """The last whole checkpoints of partitions that are taken over; None where none was ever made.

        Those that were not made valid for all partitions of their moment count for none. What is damaged is
        passed over, told in the log and counted.

        Raises:
            CheckpointError: They were written by another version of the program, or nothing of one is whole.
        """
        newest: dict[str, int] = {}
        found = {}
        for partition in partitions:
            folder = _folder(*partition)
            try:
                found[partition] = self._load(partition, folder, generation, newest)
            except OSError as error:
                raise CheckpointError(f"{self._files.where(folder)} can't be read: {error}") from error
        return found

    def _load(self, partition: Partition, folder: str, generation: int, newest: dict[str, int]) -> Checkpoint | None:
        keys = self._manifests(folder)
        tenure = self._tenures[partition] = self._begin(folder, keys, generation)
        damaged = False
        for key in reversed(keys):
            manifest = self._manifest(folder, key)
            if manifest is None:
                self._damaged(folder, key.name("manifest"))
            elif not self._is_complete(manifest, newest):
                log.warning("checkpoint_not_complete", folder=self._files.where(folder), manifest=key.name("manifest"))
                continue
            elif (checkpoint := self._read(folder, manifest)) is not None:
                tenure.last_key = key
                return checkpoint
            damaged = True
        old = legacy.read(self._files, folder, self._damaged)
        if old is None and damaged:
            raise CheckpointError(
                f"no checkpoint in {self._files.where(folder)} is whole: restore it from a backup, or move it away "
                "to start without a memory"
            )
        return None if old is None else Checkpoint(old[0], [Part(old[1], [])])

    def _is_complete(self, manifest: Manifest, newest: dict[str, int]) -> bool:
        """Whether all that were saved together have a manifest of that moment, or a later one.

        A folder in which there is nothing was moved away: pieces come before the first manifest.
        """
        for folder, number in manifest.together.items():
            if folder not in newest:
                newest[folder] = max((key.number for key in self._manifests(folder)), default=-1)
            if newest[folder] < number and self._files.names(folder):
                return False
        return True

    def wants_whole(self, partition: Partition) -> bool:
        """Whether the next piece of a partition must be a whole state.

        So it is at the beginning of a tenure, after a failure, and when the changes outgrew what they change.
        """
        tenure = self._tenures.get(partition)
        if tenure is None or not tenure.pieces:
            return True
        whole, *more = (piece.size for piece in tenure.pieces)
        return len(more) >= MORE_MOST or sum(more) >= SHARE_MOST * whole

    def unproved(self, partitions: Sequence[Partition]) -> list[Partition]:
        """Partitions that a higher generation wrote: the group began anew, or we are not in it any more.

        A commit that the group accepts tells; see `prove`.
        """
        return [p for p in partitions if p in self._tenures and not self._tenures[p].era_proved]

    def prove(self, partitions: Sequence[Partition]) -> None:
        """The group has accepted a commit of these, so a new era has begun for them."""
        for partition in partitions:
            self._tenures[partition].era_proved = True

    def save(self, checkpoints: Mapping[Partition, tuple[int, Piece]], generation: int = 0) -> int:
        """Save pieces, each with its offset, the next one to read; returns their size in bytes.

        All pieces are written before the first manifest, so that a crash in between leaves the partitions as
        close together in time as can be.

        Raises:
            CheckpointFenced: Another member has taken a partition over.
            CheckpointError: It can't be written; what was saved before stays valid, the next must be whole.
        """
        drafts = []
        try:
            for partition, (offset, piece) in checkpoints.items():
                drafts.append((partition, *self._write_piece(partition, offset, piece, generation)))
            together = {_folder(*partition): key.number for partition, key, _ in drafts}
            for partition, key, manifest in drafts:
                self._make_valid(partition, key, msgspec.structs.replace(manifest, together=together))
        except OSError as error:
            for partition in checkpoints:
                self._tenures[partition].pieces = []
            raise CheckpointError(f"a checkpoint can't be written: {error}") from error
        for partition, key, manifest in drafts:
            self._tidy(partition, key, manifest)
        return sum(manifest.pieces[-1].size for _, _, manifest in drafts)

    def _begin(self, folder: str, keys: Sequence[Key], generation: int) -> _Tenure:
        """Where a writer of `generation` stands that takes over from all that wrote so far."""
        if not keys:
            return _Tenure(0, 0, None)
        newest = keys[-1]
        if generation >= newest.generation:
            return _Tenure(newest.era, newest.number, newest)
        log.warning(
            "checkpoint_of_a_higher_generation",
            folder=self._files.where(folder),
            generation=generation,
            found=newest.generation,
        )
        return _Tenure(newest.era + 1, newest.number, newest, era_proved=False)

    def _write_piece(self, partition: Partition, offset: int, piece: Piece, generation: int) -> tuple[Key, Manifest]:
        folder = _folder(*partition)
        keys = self._manifests(folder)
        tenure = self._tenures.get(partition)
        if tenure is None:
            newest = keys[-1] if keys else Key(0, 0, 0, self._writer)
            tenure = self._tenures[partition] = _Tenure(newest.era, newest.number, keys[-1] if keys else None)
        self._check_fence(folder, keys, tenure, generation)
        tenure.number += 1  # whatever becomes of it: a put that seems to have failed may have arrived
        key = Key(tenure.era, generation, tenure.number, self._writer)
        payload = piece.encode()
        saved = Saved(key.name("whole" if piece.whole else "more"), digest(payload), len(payload), offset)
        if not piece.whole and not tenure.pieces:
            raise CheckpointError(f"the first piece of {partition} must be whole")
        self._files.write(f"{folder}/{saved.file}", payload)
        return key, Manifest(FORMAT_VERSION, [saved] if piece.whole else [*tenure.pieces, saved])

    def _check_fence(self, folder: str, keys: Sequence[Key], tenure: _Tenure, generation: int) -> None:
        own = (tenure.era, generation)
        for key in keys:
            if key.term > own or (key.term == own and self._is_rival_s(key, tenure)):
                raise CheckpointFenced(
                    f"{self._files.where(folder)} was written by another member ({key.name('manifest')}) since this "
                    f"one took it over (generation {generation}): this one is out of date and stops; if two members "
                    "of two groups share the folder, give each a `state.url` of its own"
                )

    def _is_rival_s(self, key: Key, tenure: _Tenure) -> bool:
        """Whether a file of our own generation is of another writer, and of after our beginning."""
        return key.writer != self._writer and key.number > tenure.begun_at

    def _make_valid(self, partition: Partition, key: Key, manifest: Manifest) -> None:
        tenure = self._tenures[partition]
        self._files.write(f"{_folder(*partition)}/{key.name('manifest')}", msgspec.json.encode(manifest))
        if len(manifest.pieces) == 1:
            tenure.before = tenure.last_key
        tenure.pieces = manifest.pieces

    def _tidy(self, partition: Partition, key: Key, manifest: Manifest) -> None:
        """Remove what no checkpoint names that is kept: this one, the one before, the last of the whole before."""
        folder, tenure = _folder(*partition), self._tenures[partition]
        previous, tenure.last_key = tenure.last_key, key
        try:
            kept = {key.name("manifest"), *(saved.file for saved in manifest.pieces)}
            for older in filter(None, (previous, tenure.before)):
                there = self._manifest(folder, older)
                if there is not None:
                    kept |= {older.name("manifest"), *(saved.file for saved in there.pieces)}
            for name in self._files.names(folder):
                written = Key.of(name)
                old = written is not None and written < key
                if written is not None and written.term == key.term and self._is_rival_s(written, tenure):
                    continue
                if name not in kept and (old or (tenure.before is not None and legacy.is_ours(name))):
                    self._files.remove(f"{folder}/{name}")
        except (OSError, msgspec.DecodeError, CheckpointError) as error:
            log.warning("checkpoint_not_tidied", folder=self._files.where(folder), why=str(error))

    def _manifests(self, folder: str) -> list[Key]:
        """Keys of the manifests in a folder, the newest last."""
        names = [name for name in self._files.names(folder) if name.startswith("manifest-") and name.endswith(".json")]
        return sorted(key for name in names if (key := Key.of(name)) is not None)

    def _manifest(self, folder: str, key: Key) -> Manifest | None:
        """A manifest; None if it is missing or damaged."""
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

    def _read(self, folder: str, manifest: Manifest) -> Checkpoint | None:
        """What of a checkpoint is whole; None if that is nothing."""
        parts: list[Part] = []
        offset = 0
        for saved in manifest.pieces:
            payload = self._files.read(f"{folder}/{saved.file}")
            if payload is None or digest(payload) != saved.blake2b:
                self._damaged(folder, saved.file)
                break
            parts.append(decode(payload))
            offset = saved.offset
        return Checkpoint(offset, parts) if parts else None

    def _damaged(self, folder: str, file: str) -> None:
        log.error("checkpoint_damaged", folder=self._files.where(folder), file=file)
        self._on_damage()


def _folder(topic: str, partition: int) -> str:
    return f"{topic.replace('/', '_')}/{partition}"
