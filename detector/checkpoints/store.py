"""The checkpoints of one stage: written piece by piece, made valid by a manifest, read back whole or not at all.

A folder a partition holds pieces, and manifests that name them. The newest manifest counts whose first piece is
whole; of its pieces count those before the first that is missing or damaged, up to the offset of the last of them.
A moment at which several partitions were saved counts for none of them if one was left with a piece of it and without
a manifest, as by a crash.
"""

import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import msgspec
import structlog

from detector.bounded import within
from detector.checkpoints import legacy
from detector.checkpoints.errors import CheckpointError, CheckpointFenced
from detector.checkpoints.manifest import FORMAT_VERSION, Key, Manifest, Saved, digest
from detector.checkpoints.patient import Patient
from detector.checkpoints.pieces import Part, Piece, Rows
from detector.checkpoints.reader import Checkpoint, Reader
from detector.checkpoints.storage import open_storage
from detector.checkpoints.tenure import Tenure

log = structlog.get_logger(__name__)

Partition = tuple[str, int]

# Pieces after which, or share of the whole state's bytes from which on, the changes are folded into a new one.
MORE_MOST: Final = 60
SHARE_MOST: Final = 1.0


class _Draft(msgspec.Struct, frozen=True):
    """A piece that is written, and the manifest that is to make it valid."""

    folder: str
    tenure: Tenure
    key: Key
    manifest: Manifest


class CheckpointStore:
    """Checkpoints of one stage, below one URL. Any process that sees the URL can restore.

    A writer that is behind another, by the consumer group's generation, writes nothing more and removes nothing
    that another wrote since. One thread may save while another loads, no two may save.

    Args:
        url: `file://` URL or path of a folder, or that of an object store which fsspec has a package for.
        stage: Name of the stage; stages keep apart.
        writer: Tells this process's files from those of all others; drawn at random by default.
        on_damage: Called for each piece or manifest that was missing, damaged, or can't be had together with others.
        patience: Seconds that opening, and each file that is read, may take.

    Raises:
        CheckpointError: Nothing can be kept there; the message says why, and what to do.
    """

    def __init__(
        self,
        url: str,
        stage: str,
        *,
        writer: str | None = None,
        on_damage: Callable[[], None] = lambda: None,
        patience: float = 60.0,
    ) -> None:
        self._writer = writer or secrets.token_hex(4)
        try:
            files = within(patience, lambda: open_storage(url, stage, self._writer))
        except TimeoutError as error:
            raise CheckpointError(f"state.url: checkpoints can't be kept there: {error}; does it hang?") from error
        self._files = Patient(files, patience)
        self._reader = Reader(self._files, on_damage)
        self._tenures: dict[Partition, Tenure] = {}

    def trouble(self) -> str | None:
        """What is waited for, and how long already, when it is longer than it should be; None otherwise."""
        return self._files.trouble()

    def load(self, partitions: Sequence[Partition], generation: int = 0) -> dict[Partition, Checkpoint | None]:
        """The last whole checkpoints of partitions that are taken over; None where none was ever made.

        Those that were not made valid for all partitions of their moment count when nothing else is left. What is
        damaged is passed over, told in the log and counted.

        Raises:
            CheckpointError: They were written by another version of the program, or nothing of one is whole.
        """
        names: dict[str, list[str]] = {}
        found = {}
        for partition in partitions:
            folder = _folder(*partition)
            try:
                found[partition] = self._load(partition, folder, generation, names)
            except TimeoutError as error:
                raise CheckpointError(
                    f"{self._files.where(folder)} can't be read: {error}; does the place of `state.url` hang? "
                    "Nothing was read of the partition"
                ) from error
            except OSError as error:
                raise CheckpointError(f"{self._files.where(folder)} can't be read: {error}") from error
        return found

    def _load(
        self, partition: Partition, folder: str, generation: int, names: dict[str, list[str]]
    ) -> Checkpoint | None:
        keys = self._reader.manifests(folder)
        tenure = self._tenures[partition] = Tenure(self._writer, keys, generation)
        if not tenure.era_proved:
            where, found = self._files.where(folder), keys[-1].generation
            log.warning("checkpoint_of_a_higher_generation", folder=where, generation=generation, found=found)
        damaged = False
        torn: list[tuple[Key, Manifest]] = []
        for key in reversed(keys):
            manifest = self._reader.manifest(folder, key)
            if manifest is None:
                self._reader.damaged(folder, key.name("manifest"))
            elif self._reader.is_torn(key, manifest, names):
                log.warning("checkpoint_not_complete", folder=self._files.where(folder), manifest=key.name("manifest"))
                torn.append((key, manifest))
                continue
            elif (checkpoint := self._reader.read(folder, manifest)) is not None:
                tenure.last_key = key
                return checkpoint
            damaged = True
        old = legacy.read(self._files, folder, self._reader.damaged)
        if old is not None:
            return Checkpoint(old[0], [Part(old[1], Rows(()))])
        return self._last_resort(folder, tenure, torn, damaged=damaged)

    def _last_resort(
        self, folder: str, tenure: Tenure, torn: Sequence[tuple[Key, Manifest]], *, damaged: bool
    ) -> Checkpoint | None:
        """The newest of what was not made valid together with others: better a state of another moment than none.

        None is right after a crash at the very first checkpoint: no offset was committed, all is read again.

        Raises:
            CheckpointError: There were checkpoints, and nothing of one is whole.
        """
        if not damaged and all(key.number <= 1 for key, _ in torn):
            return None
        for key, manifest in torn:
            checkpoint = self._reader.read(folder, manifest)
            if checkpoint is not None:
                self._reader.damaged(folder, key.name("manifest"))
                tenure.last_key = key
                return checkpoint
        raise CheckpointError(
            f"no checkpoint in {self._files.where(folder)} is whole: restore it from a backup, or move it away "
            "to start without a memory"
        )

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
        """Partitions that a higher generation wrote, or a rival: the group began anew, or we are not in it any more.

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
            CheckpointFenced: Another member has taken a partition over; of the others none is saved.
            CheckpointError: It can't be written, or a partition is `unproved`; what was saved before stays valid,
                the next must be whole.
        """
        # As they are now: a write that hangs must not end in the tenure of one who loads meanwhile.
        tenures = {partition: self._tenures.get(partition) for partition in checkpoints}
        drafts: list[_Draft] = []
        written: list[str] = []
        try:
            for partition, (offset, piece) in checkpoints.items():
                keys = self._reader.manifests(_folder(*partition))
                tenure = tenures[partition]
                if tenure is None:
                    tenure = tenures[partition] = self._tenures[partition] = Tenure(self._writer, keys, None)
                self._check_fence(partition, keys, tenure, generation)
                drafts.append(self._write_piece(partition, tenure, offset, piece, generation, written))
            together = {draft.folder: draft.key.number for draft in drafts}
            for draft in drafts:
                self._make_valid(draft, together, written)
        except (OSError, CheckpointError) as error:
            _start_over(tenures.values())
            self._take_back(written)
            if isinstance(error, CheckpointError):
                raise
            raise CheckpointError(f"a checkpoint can't be written: {error}") from error
        for draft in drafts:
            self._tidy(draft)
        return sum(draft.manifest.pieces[-1].size for draft in drafts)

    def start_over(self, partitions: Iterable[Partition]) -> None:
        """Ask for a whole state next: changes were given away that are in no piece."""
        _start_over(self._tenures.get(partition) for partition in partitions)

    def _take_back(self, written: Sequence[str]) -> None:
        """Remove what a try left that failed, the last file first, so that no piece goes before its manifest."""
        try:
            for path in reversed(written):
                self._files.remove(path)
        except OSError as error:
            log.warning("checkpoint_not_tidied", folder=self._files.where(""), why=str(error))

    def _write_piece(
        self, partition: Partition, tenure: Tenure, offset: int, piece: Piece, generation: int, written: list[str]
    ) -> _Draft:
        folder = _folder(*partition)
        if not piece.whole and not tenure.pieces:
            raise CheckpointError(f"the first piece of {partition} must be whole")
        tenure.number += 1  # whatever becomes of it: a put that seems to have failed may have arrived
        key = Key(tenure.era, generation, tenure.number, self._writer)
        payload = piece.encode()
        saved = Saved(key.name("whole" if piece.whole else "more"), digest(payload), len(payload), offset)
        written.append(f"{folder}/{saved.file}")
        self._files.write(written[-1], payload)
        pieces = [saved] if piece.whole else [*tenure.pieces, saved]
        return _Draft(folder, tenure, key, Manifest(FORMAT_VERSION, pieces))

    def _check_fence(self, partition: Partition, keys: Sequence[Key], tenure: Tenure, generation: int) -> None:
        standing, where = tenure.standing(keys, generation), self._files.where(_folder(*partition))
        if standing == "lost":
            raise CheckpointFenced(
                f"{where} was written by another member ({keys[-1].name('manifest')}) since this one took it over "
                f"(generation {generation}): this one is out of date and stops; if two members of two groups share "
                "the folder, give each a `state.url` of its own",
                partition,
            )
        if standing == "contested":
            tenure.contest(keys)
        if not tenure.era_proved:
            raise CheckpointError(f"{where} was written by another member: the group must tell whose it is")

    def _make_valid(self, draft: _Draft, together: dict[str, int], written: list[str]) -> None:
        manifest = msgspec.structs.replace(draft.manifest, together=together)
        written.append(f"{draft.folder}/{draft.key.name('manifest')}")
        self._files.write(written[-1], msgspec.json.encode(manifest))
        if len(manifest.pieces) == 1:
            draft.tenure.before = draft.tenure.last_key
        draft.tenure.pieces = manifest.pieces

    def _tidy(self, draft: _Draft) -> None:
        """Remove what no checkpoint names that is kept: this one, the one before, the last of the whole before."""
        folder, tenure, key = draft.folder, draft.tenure, draft.key
        previous, tenure.last_key = tenure.last_key, key
        try:
            kept = {key.name("manifest"), *(saved.file for saved in draft.manifest.pieces)}
            for older in filter(None, (previous, tenure.before)):
                there = self._reader.manifest(folder, older)
                if there is not None:
                    kept |= {older.name("manifest"), *(saved.file for saved in there.pieces)}
            for name in self._files.names(folder):
                written = Key.of(name)
                old = written is not None and written < key
                if written is not None and written.term == key.term and tenure.is_rival_s(written):
                    continue
                if name not in kept and (old or (tenure.before is not None and legacy.is_ours(name))):
                    self._files.remove(f"{folder}/{name}")
        except (OSError, msgspec.DecodeError, CheckpointError) as error:
            log.warning("checkpoint_not_tidied", folder=self._files.where(folder), why=str(error))


def _start_over(tenures: Iterable[Tenure | None]) -> None:
    for tenure in filter(None, tenures):
        tenure.pieces = []


def _folder(topic: str, partition: int) -> str:
    return f"{topic.replace('/', '_')}/{partition}"
