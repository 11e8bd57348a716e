"""One writer's hold of a partition: where it stands among all writers there ever were."""

from collections.abc import Sequence
from typing import Literal

from detector.checkpoints.manifest import Key, Saved

Standing = Literal["ours", "contested", "lost"]


class Tenure:
    """A partition as one writer has it, and what it wrote last.

    `begun_at` is the number it began at, `number` that of the last try; `pieces` make up the last checkpoint,
    `last_key` is its manifest, `before` the last manifest of the whole state before this one. `era_proved` is false
    as long as it is not known whether the group takes this writer for the partition's owner.

    Args:
        writer: Whose it is.
        keys: Of the manifests that stand, the newest last.
        generation: The consumer group's, in which the partition is taken over; None: that of the newest manifest.
    """

    __slots__ = ("before", "begun_at", "era", "era_proved", "last_key", "number", "pieces", "writer")

    def __init__(self, writer: str, keys: Sequence[Key], generation: int | None) -> None:
        newest = keys[-1] if keys else Key(0, 0, 0, writer)
        behind = generation is not None and generation < newest.generation
        self.writer = writer
        self.era = newest.era + behind
        self.era_proved = not behind
        self.number = self.begun_at = newest.number
        self.pieces: list[Saved] = []
        self.last_key: Key | None = keys[-1] if keys else None
        self.before: Key | None = None

    def standing(self, keys: Sequence[Key], generation: int) -> Standing:
        """What the manifests that stand tell a writer of `generation`.

        A later generation has replaced it. A later era of a lower generation may be of a member that the group
        knows no more, and so may a rival's of the same generation: a static member that was started anew keeps it.
        """
        own = (self.era, generation)
        if any(key.term > own and key.generation >= generation for key in keys):
            return "lost"
        return (
            "contested" if any(key.term > own or (key.term == own and self.is_rival_s(key)) for key in keys) else "ours"
        )

    def contest(self, keys: Sequence[Key]) -> None:
        """Begin an era after all others, which counts when the group has accepted a commit."""
        self.era = max(key.era for key in keys) + 1
        self.number = self.begun_at = max(self.number, *(key.number for key in keys))
        self.era_proved = False
        self.pieces = []

    def is_rival_s(self, key: Key) -> bool:
        """Whether a file of our own term is of another writer, and of after our beginning."""
        return key.writer != self.writer and key.number > self.begun_at
