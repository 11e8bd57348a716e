"""What is valid in a partition's folder, and the names by which files of different writers are told apart."""

import hashlib
import re
from typing import Final, NamedTuple, Self

import msgspec

FORMAT_VERSION: Final = 2

_NAME: Final = re.compile(r"(manifest|whole|more)-(\d{4})-(\d{10})-(\d{10})-(\w+)\.(?:json|bin)")


class Key(NamedTuple):
    """Which of two checkpoints is the newer one: the greater.

    `generation` is the consumer group's, which rises with every rebalance; `era` rises when that begins anew.
    Within a generation a partition has one writer, whose checkpoints are numbered.
    """

    era: int
    generation: int
    number: int
    writer: str

    @property
    def term(self) -> tuple[int, int]:
        """What a writer that was replaced stays behind in."""
        return self.era, self.generation

    @classmethod
    def of(cls, name: str) -> Self | None:
        """The key in a file's name, that of a draft included; None if it has none."""
        match = _NAME.match(name)
        return None if match is None else cls(int(match[2]), int(match[3]), int(match[4]), match[5])

    def name(self, kind: str) -> str:
        """The name of a file: a "manifest", a "whole" state, or "more" of one."""
        ending = "json" if kind == "manifest" else "bin"
        return f"{kind}-{self.era:04}-{self.generation:010}-{self.number:010}-{self.writer}.{ending}"


class Saved(msgspec.Struct, frozen=True):
    """One piece: its file, its digest and size in bytes, and the next offset to read after it."""

    file: str
    blake2b: str
    size: int
    offset: int


class Manifest(msgspec.Struct, frozen=True):
    """One checkpoint: the pieces that make it up, a whole state first, each with where it ends.

    `together` are the partitions (by folder) that were saved at the same moment, each with the number that its
    manifest has: only all of them are a moment to go back to.
    """

    version: int
    pieces: list[Saved]
    together: dict[str, int] = {}


def digest(payload: bytes) -> str:
    """By which a torn or changed file is known."""
    return hashlib.blake2b(payload, digest_size=16).hexdigest()
